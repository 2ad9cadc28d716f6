"""SQLite databases: in memory, read-only, or named in ``writable``; bound to their one file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, TypeAlias

import aiosqlite
import pytest
import sqlalchemy

from zeroret.content.flight import Flight
from zeroret.errors import RetentionViolation
from zeroret.guards import databases, files, threads
from zeroret.guards.databases import Database, named

Within: TypeAlias = Callable[..., AbstractContextManager[Flight]]

_early = sqlite3.connect


@pytest.fixture(autouse=True)
def guarded() -> Iterator[None]:
    """Install the guard for one test."""
    files.install()
    yield
    files.uninstall()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Give a database that exists."""
    path = tmp_path.resolve() / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (":memory:", Database("")),
        ("", None),
        (None, None),
        ("app.db", Database("app.db")),
        (b"app.db", Database("app.db")),
        (Path("app.db"), Database("app.db")),
        ("file:app.db", Database("app.db")),
        ("file:app.db?mode=rw", Database("app.db")),
        ("file:app.db?cache=shared&mode=ro", Database("app.db", read_only=True)),
        ("file:app.db?mode=ro&mode=rwc", None),
        ("file:app.db?mod%65=rwc&mode=ro", None),
        ("file:app.db?mode=ro#&mode=rwc", Database("app.db", read_only=True)),
        ("file:///data/a%20b.db", Database("/data/a b.db")),
        ("file://localhost/data/a.db", Database("/data/a.db")),
        ("file://elsewhere/data/a.db", None),
        ("file:/data/a%00b.db", None),
        ("file::memory:", Database("")),
        ("file:shared?mode=memory&cache=shared", Database("")),
        ("file:", None),
        ("file:?mode=ro", None),
    ],
)
def test_names_are_read_as_sqlite_reads_them(name: object, expected: Database | None) -> None:
    """A URI's file, its mode, and what is no database that can be judged."""
    assert named(name) == expected


def test_databases_that_cannot_keep_anything_are_allowed(database: Path, within: Within) -> None:
    """Memory and read-only files carry nothing out."""
    with within():
        for name, uri in (
            (":memory:", False),
            ("file:one?mode=memory&cache=shared", True),
            (f"file:{database}?mode=ro", True),
        ):
            with closing(sqlite3.connect(name, uri=uri)) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("connect", [sqlite3.connect, sqlite3.Connection, sqlite3.dbapi2.connect])
def test_a_file_is_refused_unless_it_is_named(
    connect: Callable[..., sqlite3.Connection], database: Path, within: Within
) -> None:
    """Whatever makes the connection; the journal files are allowed with the database."""
    for name, options in (
        (str(database), {}),
        (database, {}),
        (f"file:{database}", {"uri": True}),
        (f"file:{database}?mode=rw", {"uri": True}),
        ("", {}),
    ):
        with within(), pytest.raises(RetentionViolation):
            connect(name, **options)
    with within(writable=[database]), closing(connect(str(database))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
        assert database.with_name("app.db-wal").exists()


@pytest.mark.parametrize("name", ["file:x?mode=memory", "file:/tmp/x?mode=ro", "file::memory:"])
def test_what_looks_like_a_uri_may_be_a_files_name(
    name: str, tmp_path: Path, within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ``uri=True`` the same text names a file, in a folder called ``file:`` if need be."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file:/tmp").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with within():
        for connect in (sqlite3.connect, _early, sqlite3.Connection):
            with pytest.raises(RetentionViolation):
                connect(name)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_connection_of_an_exchange_writes_to_its_one_database(
    database: Path, tmp_path: Path, within: Within
) -> None:
    """Neither ATTACH nor VACUUM INTO reaches another file; temporary tables stay in memory."""

    class Own(sqlite3.Connection):
        def setlimit(self, *args: Any) -> int:
            return 0

        def cursor(self, *args: Any) -> Any:
            raise NotImplementedError

    before = sorted(tmp_path.iterdir())
    with within(writable=[database]):
        for connection in (
            sqlite3.connect(":memory:"),
            sqlite3.connect(":memory:", factory=Own),
            sqlite3.connect(database),
        ):
            cursor = sqlite3.Cursor(connection)
            for statement in (
                f"ATTACH '{tmp_path}/other.db' AS other",
                f"VACUUM INTO '{tmp_path}/other.db'",
            ):
                with pytest.raises(sqlite3.OperationalError, match="attached"):
                    cursor.execute(statement)
            assert cursor.execute("PRAGMA temp_store").fetchone() == (2,)
            cursor.close()
            connection.close()
    assert sorted(tmp_path.iterdir()) == before


def test_a_connection_from_before_is_as_it_was(
    database: Path, tmp_path: Path, within: Within
) -> None:
    """Pools that were filled at start-up go on; the store's guard looks after what they write."""
    with closing(sqlite3.connect(database)) as connection, within():
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
        connection.execute(f"ATTACH '{tmp_path}/other.db' AS other")


def test_a_connection_that_cannot_be_bound_is_closed(
    database: Path, within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error while it is bound leaves no connection behind that is not."""
    made: list[sqlite3.Connection] = []

    class Own(sqlite3.Connection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    def broken(*args: Any) -> None:
        raise MemoryError

    with within(writable=[database]):
        with monkeypatch.context() as patched:
            patched.setattr(sqlite3, "Cursor", broken)
            with pytest.raises(MemoryError):
                sqlite3.connect(database, factory=Own)
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            made[0].execute("SELECT 1")


def test_report_mode_binds_nothing(database: Path, tmp_path: Path, within: Within) -> None:
    """What is only counted works as ever."""
    with within(enforce=False), closing(sqlite3.connect(database)) as connection:
        connection.execute(f"ATTACH '{tmp_path}/other.db' AS other")


def test_sqlalchemy_and_aiosqlite_come_by_here(database: Path, within: Within) -> None:
    """A pool's connection, and one that a library's own thread makes, are judged alike."""

    async def write() -> None:
        async with aiosqlite.connect(database) as connection:
            await connection.execute("INSERT INTO t VALUES (1)")

    async def refused() -> None:
        connection = aiosqlite.connect(database)
        with pytest.raises(RetentionViolation):
            await connection
        await asyncio.to_thread(connection._thread.join)

    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    threads.install()
    try:
        with within():
            with pytest.raises(RetentionViolation):
                engine.connect()
            asyncio.run(refused())
        with within(writable=[database]):
            engine.connect().close()
            asyncio.run(write())
    finally:
        threads.uninstall()
        engine.dispose()


def test_the_uninstall_leaves_the_module_as_it_was() -> None:
    """Both names of `connect` are the original again."""
    assert sqlite3.connect is not _early
    files.uninstall()
    assert sqlite3.connect is sqlite3.dbapi2.connect is _early
    files.install()
    assert databases.PATCHES.watched == {"sqlite3"}
