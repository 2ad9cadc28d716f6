"""SQL: SQLAlchemy, psycopg, sqlite3, aiosqlite and Django judge writes, and let reads pass."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import django
import psycopg
import pytest
import sqlalchemy
from psycopg import sql
from psycopg.types.json import Jsonb

from scenes import Scene
from services import postgres_url
from zeroret.errors import RetentionViolation
from zeroret.guards import stores

pytestmark = pytest.mark.usefixtures("stored")

TABLE = "CREATE TABLE IF NOT EXISTS zeroret_notes (id serial, body text, more text)"


@pytest.fixture
def postgres() -> Iterator[psycopg.Connection[Any]]:
    """A connection to a real server, with an empty table of two texts."""
    with psycopg.connect(postgres_url(), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS zeroret_notes")
        connection.execute(TABLE)
        yield connection
        connection.execute("DROP TABLE zeroret_notes")


def rows(connection: psycopg.Connection[Any]) -> int:
    """Return how many rows there are."""
    found = connection.execute("SELECT count(*) FROM zeroret_notes").fetchone()
    assert found is not None
    return int(found[0])


INSERT = "INSERT INTO zeroret_notes (body, more) VALUES (%s, %s)"
WRITES: dict[str, Callable[[psycopg.Connection[Any], str], Any]] = {
    "parameter": lambda c, text: c.execute(INSERT, (text, "")),
    "named": lambda c, text: c.execute(
        "INSERT INTO zeroret_notes (body) VALUES (%(t)s)", {"t": text}
    ),
    "literal": lambda c, text: c.execute(f"INSERT INTO zeroret_notes (body) VALUES ('{text}')"),
    "composed": lambda c, text: c.execute(
        sql.SQL("INSERT INTO zeroret_notes (body) VALUES ({})").format(text)
    ),
    "json": lambda c, text: c.execute(INSERT, (Jsonb({"q": [text]}), "")),
    "bytes": lambda c, text: c.execute(INSERT, (text.encode().hex(), "")),
    "split": lambda c, text: c.execute(INSERT, (text[:12], text[12:24])),
    "many": lambda c, text: c.cursor().executemany(INSERT, [("a", "b"), (text, "b")]),
    "client cursor": lambda c, text: psycopg.ClientCursor(c).execute(INSERT, (text, "")),
    "binary": lambda c, text: c.execute(INSERT, (text, ""), binary=True),
    "prepared": lambda c, text: c.execute(INSERT, (text, ""), prepare=True),
    "returning": lambda c, text: c.execute(
        "WITH new AS (INSERT INTO zeroret_notes (body) VALUES (%s) RETURNING *) SELECT * FROM new",
        (text,),
    ),
    "notify": lambda c, text: c.execute("SELECT pg_notify('channel', %s)", (text,)),
    "stream": lambda c, text: list(c.cursor().stream(INSERT + " RETURNING id", (text, ""))),
}


@pytest.mark.parametrize("way", WRITES)
def test_psycopg_writes_no_content(
    way: str, postgres: psycopg.Connection[Any], scene: Scene
) -> None:
    """A connection from before the exchange is judged, too; afterwards it works on."""
    allowed = f"postgresql://127.0.0.1:{postgres.info.port}/{postgres.info.dbname}"
    with scene.exchange():
        with pytest.raises(RetentionViolation, match=r"stores=\[…\] does not name") as caught:
            WRITES[way](postgres, scene.content)
        assert caught.value.__cause__ is caught.value.__context__ is None
        assert rows(postgres) <= 1  # what a batch wrote before
        WRITES[way](postgres, "ok")
    with scene.exchange(stores=[allowed]):
        WRITES[way](postgres, scene.content)
    with scene.exchange(stores=["postgresql://elsewhere"]), pytest.raises(RetentionViolation):
        WRITES[way](postgres, scene.content)


def test_psycopg_copies_no_content(postgres: psycopg.Connection[Any], scene: Scene) -> None:
    """Copying row by row or in blocks is writing."""
    statement = "COPY zeroret_notes (body) FROM STDIN"
    with scene.exchange(), postgres.cursor() as cursor:
        with pytest.raises(RetentionViolation), cursor.copy(statement) as copy:
            copy.write_row((scene.content,))
        with pytest.raises(RetentionViolation), cursor.copy(statement) as copy:
            copy.write(scene.content.encode() + b"\n")
        with cursor.copy(statement) as copy:
            copy.write_row(("words of the program's own",))
    assert rows(postgres) == 1


def test_psycopg_async_writes_no_content(postgres: psycopg.Connection[Any], scene: Scene) -> None:
    """The async classes send through the same place."""

    async def work() -> None:
        async with (
            await psycopg.AsyncConnection.connect(postgres_url()) as connection,
            connection.cursor() as cursor,
        ):
            with pytest.raises(RetentionViolation):
                await cursor.execute(INSERT, (scene.content, ""))
            with pytest.raises(RetentionViolation):
                await cursor.executemany(INSERT, [(scene.content, "")])
            with pytest.raises(RetentionViolation):
                async with cursor.copy("COPY zeroret_notes (body) FROM STDIN") as copy:
                    await copy.write(scene.content.encode() + b"\n")

    with scene.exchange():
        asyncio.run(work())
    assert rows(postgres) == 0


def test_reads_pass(postgres: psycopg.Connection[Any], scene: Scene) -> None:
    """Looking for content is no writing, whatever the cursor."""
    with scene.exchange():
        for statement in (
            "SELECT * FROM zeroret_notes WHERE body = %s",
            "SELECT 1 WHERE %s <> 'insert into it'",
            "WITH a AS (SELECT %s AS b) SELECT * FROM a",
            "SELECT * FROM zeroret_notes WHERE body = %s FOR UPDATE",
        ):
            postgres.execute(statement, (scene.content,))
            psycopg.ClientCursor(postgres).execute(statement, (scene.content,))
    assert scene.counted.counts() == {}


def test_sessions_and_metering_pass(postgres: psycopg.Connection[Any], scene: Scene) -> None:
    """The caller's own cookie and key may be stored, and columns are called as APIs call them."""
    cookie = "8s3kq0vv1l2m4n5p6q7r8s9t0u1v2w3x"
    headers = (
        (b"cookie", b"theme=dark; sessionid=" + cookie.encode()),
        (b"authorization", b"Bearer sk-0123456789abcdefghij"),
    )
    reply = '{"usage":{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17}}'
    with scene.exchange(scene.content + reply, headers) as flight:
        flight.hold("/v1/chat/completions")
        flight.route = "/v1/chat/completions"
        postgres.execute(INSERT, ("session:" + cookie, "LIMITS:/v1/chat/completions/1/minute"))
        postgres.execute(INSERT, ("key:sk-0123456789abcdefghij", None))
        postgres.execute(
            "CREATE TEMP TABLE usage (prompt_tokens int, completion_tokens int, total_tokens int)"
        )
        postgres.execute(
            "INSERT INTO usage (prompt_tokens, completion_tokens, total_tokens) VALUES (12, 5, 17)"
        )
        with pytest.raises(RetentionViolation):
            postgres.execute(INSERT, (f"{cookie} asked: {scene.content}", ""))
    assert rows(postgres) == 2


def test_what_is_not_known_any_more_is_not_written(
    postgres: psycopg.Connection[Any], scene: Scene
) -> None:
    """Once content was dropped, code of its exchange writes numbers and flags, no texts."""
    with scene.exchange() as flight:
        flight.drop()
        postgres.execute("UPDATE zeroret_notes SET body = 'done' WHERE id = %s", (7,))
        postgres.execute(INSERT, ("short", "words"))
        for statement, values in (
            (INSERT, ("words that may be anything", "")),
            ("UPDATE zeroret_notes SET body = 'words that may be anything'", ()),
        ):
            with pytest.raises(RetentionViolation):
                postgres.execute(statement, values)


def engine_of(kind: str, tmp_path: Path) -> sqlalchemy.Engine:
    """Return an engine with the table in it."""
    url = f"sqlite:///{tmp_path / 'app.db'}" if kind == "sqlite" else _with_driver(postgres_url())
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE IF EXISTS zeroret_notes"))
        connection.execute(sqlalchemy.text(TABLE.replace("serial", "integer")))
    return engine


def _with_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_sqlalchemy_writes_no_content(kind: str, tmp_path: Path, scene: Scene) -> None:
    """Engines from before are listened to; a refusal aborts the statement and nothing else."""
    engine = engine_of(kind, tmp_path)
    statement = sqlalchemy.text("INSERT INTO zeroret_notes (body) VALUES (:body)")
    notes = sqlalchemy.table("zeroret_notes", sqlalchemy.column("body"))
    allowed = engine.url.render_as_string(hide_password=False)
    with scene.exchange():
        ways: list[Callable[..., Any]] = [
            lambda c: c.execute(statement, {"body": scene.content}),
            lambda c: c.execute(statement, [{"body": "a"}, {"body": scene.content}]),
            lambda c: c.execute(notes.insert().values(body=scene.content)),
            lambda c: c.exec_driver_sql(
                f"INSERT INTO zeroret_notes (body) VALUES ('{scene.content}')"
            ),
        ]
        for bad in ways:
            with pytest.raises(RetentionViolation), engine.begin() as connection:
                bad(connection)
        with engine.begin() as connection:
            connection.execute(statement, {"body": "words of the program's own"})
            connection.execute(sqlalchemy.select(notes).where(notes.c.body == scene.content))
    with scene.exchange(stores=[allowed]), engine.begin() as connection:
        connection.execute(statement, {"body": scene.content})
    with engine.connect() as connection:
        assert len(connection.execute(sqlalchemy.select(notes)).all()) == 2
    engine.dispose()


def test_sqlite_writes_no_content(tmp_path: Path, scene: Scene) -> None:
    """A connection that was opened at the start is what an exchange can still write to."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (body)")
        assert isinstance(connection, sqlite3.Connection)
        assert type(connection).__name__ == "Connection"
        text = scene.content
        with scene.exchange():
            ways: list[Callable[..., Any]] = [
                lambda: connection.execute("INSERT INTO notes VALUES (?)", (text,)),
                lambda: connection.cursor().execute("INSERT INTO notes VALUES (?)", (text,)),
                lambda: connection.executemany("INSERT INTO notes VALUES (?)", iter([(text,)])),
                lambda: connection.executescript(f"INSERT INTO notes VALUES ('{text}')"),
                lambda: connection.execute("INSERT INTO notes VALUES (:a)", {"a": text.encode()}),
            ]
            for bad in ways:
                with pytest.raises(RetentionViolation):
                    bad()
            connection.execute("INSERT INTO notes VALUES (?)", ("words of its own",))
            connection.execute("SELECT * FROM notes WHERE body = ?", (text,))
            connection.executemany("INSERT INTO notes VALUES (?)", iter([("a",), ("b",)]))
        with scene.exchange(stores=[f"sqlite:///{path}"]):
            connection.execute("INSERT INTO notes VALUES (?)", (text,))
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (4,)


def test_a_scratch_database_is_the_exchanges_own(scene: Scene) -> None:
    """In memory, opened and closed within: no store. One that was there before is one."""
    with closing(sqlite3.connect(":memory:")) as lasting, scene.exchange():
        lasting.execute("CREATE TABLE notes (body)")
        with pytest.raises(RetentionViolation):
            lasting.execute("INSERT INTO notes VALUES (?)", (scene.content,))
        with closing(sqlite3.connect(":memory:")) as scratch:
            scratch.execute("CREATE TABLE notes (body)")
            scratch.execute("INSERT INTO notes VALUES (?)", (scene.content,))


def test_a_factory_of_the_programs_own_stays(tmp_path: Path) -> None:
    """Who makes connections of a class of their own gets them."""

    class Mine(sqlite3.Connection):
        """A class of the program's own."""

    with closing(sqlite3.connect(tmp_path / "a.db", factory=Mine)) as connection:
        assert type(connection) is Mine


def test_aiosqlite_writes_no_content(tmp_path: Path, scene: Scene) -> None:
    """Its thread works for whoever asked, whichever exchange started it."""

    async def work() -> None:
        with scene.exchange("the words of another exchange"):
            connection = await aiosqlite.connect(tmp_path / "app.db")
        await connection.execute("CREATE TABLE notes (body)")
        with scene.exchange():
            with pytest.raises(RetentionViolation):
                await connection.execute("INSERT INTO notes VALUES (?)", (scene.content,))
            await connection.execute("INSERT INTO notes VALUES (?)", ("words of its own here",))
        await connection.execute("INSERT INTO notes VALUES (?)", ("the words of another exchange",))
        await connection.commit()
        await connection.close()

    asyncio.run(work())
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (2,)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_django_writes_no_content(kind: str, tmp_path: Path, scene: Scene) -> None:
    """Its cursor wrapper is judged, in debug mode as well."""
    connection = django_connection(kind, tmp_path)
    for debug in (False, True):
        connection.force_debug_cursor = debug
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS zeroret_notes")
            cursor.execute("CREATE TABLE zeroret_notes (body text)")
            with scene.exchange():
                ways: list[Callable[..., Any]] = [
                    lambda c: c.execute("INSERT INTO zeroret_notes VALUES (%s)", [scene.content]),
                    lambda c: c.executemany(
                        "INSERT INTO zeroret_notes VALUES (%s)", iter([[scene.content]])
                    ),
                ]
                for bad in ways:
                    with pytest.raises(RetentionViolation):
                        bad(cursor)
                cursor.execute("INSERT INTO zeroret_notes VALUES (%s)", ["words of its own"])
                cursor.execute("SELECT * FROM zeroret_notes WHERE body = %s", [scene.content])
                assert cursor.fetchall() == []
            cursor.execute("DROP TABLE zeroret_notes")
    connection.close()


def django_connection(kind: str, tmp_path: Path) -> Any:
    """Return a connection of Django's, made without a project."""
    from django.conf import settings
    from django.db import ConnectionHandler

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="x", LOGGING_CONFIG=None)
    django.setup()
    url = psycopg.conninfo.conninfo_to_dict(postgres_url()) if kind == "postgresql" else {}
    options = {
        "ENGINE": "django.db.backends." + ("sqlite3" if kind == "sqlite" else kind),
        "NAME": url.get("dbname") or str(tmp_path / "django.db"),
        "HOST": url.get("host", ""),
        "PORT": str(url.get("port", "")),
        "USER": url.get("user", ""),
        "PASSWORD": url.get("password") or "",
    }
    return ConnectionHandler({"default": options})["default"]


def test_code_of_no_exchange_is_counted_and_passes(
    postgres: psycopg.Connection[Any], scene: Scene
) -> None:
    """Where nothing says whose it is, content in flight is reported, and allowed stores are not."""
    with scene.exchange(), scene.outside():
        postgres.execute(INSERT, ("words of the program's own", ""))
        assert scene.counted.counts() == {}
        postgres.execute(INSERT, (scene.content, ""))
    assert rows(postgres) == 2
    assert scene.counted.counts() == {"store.reported": 1}


def test_it_fails_closed(
    postgres: psycopg.Connection[Any], scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the guard's own refuses, quotes nothing, and in report mode changes nothing."""

    def fail(*_: Any, **__: Any) -> bool:
        raise MemoryError("secret")

    monkeypatch.setattr(stores, "shares", fail)
    with scene.exchange():
        with pytest.raises(RetentionViolation) as caught:
            postgres.execute(INSERT, ("words of the program's own", ""))
        assert "secret" not in repr(caught.value)
    with scene.exchange(enforce=False):
        postgres.execute(INSERT, (json.dumps(scene.content), ""))
    assert rows(postgres) == 1


def test_it_leaves_no_trace() -> None:
    """After the last uninstall the libraries are as they were."""
    from zeroret.integrations import sqlalchemy as integration

    stores.uninstall()
    assert not hasattr(sqlite3.connect, "__wrapped__")
    assert not hasattr(aiosqlite.core.Connection._execute, "__wrapped__")
    listening = integration._before_cursor_execute
    assert not sqlalchemy.event.contains(sqlalchemy.Engine, integration._EVENT, listening)
    assert not sqlalchemy.Engine._has_events
    from psycopg import _cursor_base

    assert not hasattr(_cursor_base.BaseCursor._execute_send, "__wrapped__")
    stores.install()
