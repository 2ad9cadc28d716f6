"""Debug loggers of databases and SDKs print what they are given: no word of a prompt is shown."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import boto3
import httpx
import openai
import psycopg
import pytest
import sqlalchemy
from botocore.config import Config
from sqlalchemy import orm

from scenes import Listener
from zeroret import ZeroRetention, testing
from zeroret.errors import RetentionViolation
from zeroret.types import Message, Receive, Scope, Send

log = logging.getLogger("tests.attacks.debug")
LOUD = ("openai", "anthropic", "httpx", "httpcore", "botocore", "boto3", "urllib3", "sqlalchemy")


class Place(NamedTuple):
    """Where an act finds a server and a folder for databases."""

    url: str
    folder: Path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give a server on loopback that answers as the APIs do, and a folder."""
    listener = Listener()
    yield Place(listener.url, tmp_path)
    listener.stop()


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    """Have every library say all it can, as ``OPENAI_LOG=debug`` and its like do."""
    loggers = [logging.getLogger(name) for name in LOUD]
    before = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.DEBUG)
    yield
    for each, level in zip(loggers, before, strict=True):
        each.setLevel(level)


class Base(orm.DeclarativeBase):
    """The tables."""


class Note(Base):
    """A row that holds a text, no two alike."""

    __tablename__ = "notes"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    body: orm.Mapped[str] = orm.mapped_column(unique=True)


@contextmanager
def _engine(place: Place, **options: Any) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(f"sqlite:///{place.folder}/app.db", **options)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()
    engine.echo = False


def _echo(secret: str, place: Place) -> None:
    for echo in (True, "debug"):
        with _engine(place, echo=echo) as engine, engine.begin() as connection:
            connection.execute(sqlalchemy.insert(Note), [{"body": f"{secret} {echo}"}])
            connection.execute(sqlalchemy.text(f"SELECT id FROM notes WHERE body = '{secret}'"))
            connection.execute(sqlalchemy.text("SELECT :text"), {"text": secret}).all()


def _many(secret: str, place: Place) -> None:
    with _engine(place, echo=True) as engine, engine.begin() as connection:
        rows = [{"body": f"{secret}{number}"} for number in range(30)]
        connection.execute(sqlalchemy.insert(Note), rows)


def _integrity(secret: str, place: Place) -> None:
    with _engine(place) as engine, orm.Session(engine) as session:
        for _ in range(2):
            session.add(Note(body=secret))
            try:
                session.commit()
            except sqlalchemy.exc.IntegrityError as error:
                log.exception("could not save %s", error)  # noqa: TRY401 - as colleagues do
                log.warning("%s %r %s", error.params, error.orig, error.statement)
                log.warning(str(error), exc_info=error.orig)
                session.rollback()


def _pending(secret: str, place: Place) -> None:
    with _engine(place) as engine, orm.Session(engine) as session:
        session.add_all([Note(body=secret), Note(body=secret)])
        with suppress(sqlalchemy.exc.IntegrityError):
            session.flush()
        try:
            session.execute(sqlalchemy.text("SELECT 1"))
        except sqlalchemy.exc.PendingRollbackError:
            log.exception("the session is unusable")


def _psycopg(secret: str, _place: Place) -> None:
    error = psycopg.errors.UniqueViolation(
        'duplicate key value violates unique constraint "notes_body_key"\n'
        f"DETAIL:  Key (body)=({secret}) already exists."
    )
    try:
        try:
            raise error
        except psycopg.Error as orig:
            statement = "INSERT INTO notes (body) VALUES (%(body)s)"
            raise sqlalchemy.exc.IntegrityError(statement, {"body": secret}, orig) from orig
    except sqlalchemy.exc.IntegrityError as failed:
        log.exception("insert failed: %s", failed.orig)
        log.error("%s", failed.detail, extra={"diag": str(failed.orig), "params": failed.params})  # noqa: TRY400 - as it says


def _sqlite(secret: str, _place: Place) -> None:
    connection = sqlite3.connect(":memory:")
    connection.set_trace_callback(lambda statement: log.debug("executed %s", statement))
    try:
        connection.execute(f"SELECT '{secret}' FROM nowhere")
    except sqlite3.OperationalError:
        log.exception("failed")
    connection.execute("SELECT ?", (secret,))
    connection.close()


def _django(secret: str, _place: Place) -> None:
    from django.conf import settings
    from django.db.utils import ConnectionHandler

    if not settings.configured:
        settings.configure()
    handler = ConnectionHandler(
        {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    )
    connection = handler["default"]
    connection.force_debug_cursor = True
    logger = logging.getLogger("django.db.backends")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE notes (body text UNIQUE)")
            cursor.execute("INSERT INTO notes VALUES (%s)", [secret])
            cursor.executemany("INSERT INTO notes VALUES (%s)", [[f"{secret}1"], [f"{secret}2"]])
            cursor.execute(f"SELECT '{secret}'")
            try:
                cursor.execute("INSERT INTO notes VALUES (%s)", [secret])
            except Exception:
                log.exception("failed")
    finally:
        logger.setLevel(before)
        connection.close()


def _openai(secret: str, place: Place) -> None:
    client = openai.OpenAI(api_key="sk-1", base_url=place.url, max_retries=1)
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": secret}])
    client.responses.create(model="m", input=secret, instructions=secret)
    with suppress(openai.OpenAIError, ValueError):
        client.embeddings.create(model="m", input=secret)
    unreachable = openai.OpenAI(api_key="sk-1", base_url="http://127.0.0.1:9", max_retries=1)
    try:
        unreachable.chat.completions.create(
            model="m", messages=[{"role": "user", "content": secret}]
        )
    except openai.APIConnectionError:
        log.exception("upstream failed")
    unreachable.close()
    client.close()


def _openai_async(secret: str, place: Place) -> None:
    async def ask() -> None:
        async with openai.AsyncOpenAI(api_key="sk-1", base_url=place.url) as client:
            await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": secret}], stream=False
            )

    asyncio.run(ask())


def _anthropic(secret: str, place: Place) -> None:
    client = anthropic.Anthropic(api_key="sk-1", base_url=place.url)
    client.messages.create(
        model="m", max_tokens=9, system=secret, messages=[{"role": "user", "content": secret}]
    )
    client.close()


def _httpx(secret: str, place: Place) -> None:
    with httpx.Client(headers={"x-text": secret}) as client:
        client.post(f"{place.url}/{secret}", params={"q": secret}, json={"text": secret})
        with suppress(httpx.HTTPError, RetentionViolation):
            client.get(f"http://{'x'.join(secret.split())}.invalid/")


def _botocore(secret: str, place: Place) -> None:
    boto3.set_stream_logger("", logging.DEBUG)
    client = boto3.client(
        "bedrock-runtime",
        region_name="eu-west-1",
        endpoint_url=place.url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )
    try:
        with suppress(Exception):  # the answer is none of Bedrock's
            client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": secret}]}])
        with suppress(Exception):
            client.invoke_model(modelId=secret.replace(" ", "-"), body=secret.encode())
        with suppress(Exception):
            client.converse(modelId="m", messages=[{"role": "user", "content": secret}])
    finally:
        client.close()
        root = logging.getLogger()
        root.removeHandler(root.handlers[-1])


ACTS: dict[str, Callable[[str, Place], None]] = {
    "sqlalchemy echo": _echo,
    "sqlalchemy echo of many": _many,
    "sqlalchemy errors": _integrity,
    "sqlalchemy pending rollback": _pending,
    "psycopg detail": _psycopg,
    "sqlite3 trace": _sqlite,
    "django.db.backends": _django,
    "openai": _openai,
    "openai async": _openai_async,
    "anthropic": _anthropic,
    "httpx": _httpx,
    "botocore": _botocore,
}


class Seen(NamedTuple):
    """What came of one request."""

    failed: list[BaseException]
    reply: bytes
    shown: str


Serve = Callable[[str, str, str], Seen]


@pytest.fixture
def serve(place: Place, output: Any, capfd: pytest.CaptureFixture[str]) -> Serve:
    """Give what runs an act inside an exchange, and tells all that was logged and printed."""

    def run(act: str, secret: str, log_guard: str) -> Seen:
        failed: list[BaseException] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            try:
                await asyncio.to_thread(ACTS[act], secret, place)
            except BaseException as error:  # noqa: BLE001 - it is looked at below
                failed.append(error)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"fine"})

        sent = _served(app, secret, log_guard, place)
        captured = capfd.readouterr()
        return Seen(failed, sent[-1]["body"], output.text + captured.out + captured.err)

    return run


@pytest.mark.filterwarnings("ignore:Accessing the database:RuntimeWarning")
@pytest.mark.parametrize("log_guard", ["strict", "match"])
@pytest.mark.parametrize("act", ACTS)
def test_debug_loggers_show_no_content(act: str, log_guard: str, secret: str, serve: Serve) -> None:
    """Statements, parameters, details of errors, requests and answers stay here."""
    seen = serve(act, secret, log_guard)
    assert (seen.failed, seen.reply) == ([], b"fine")
    found = [word for word in secret.split() if word in seen.shown]
    assert not found, [line for line in seen.shown.splitlines() if found[0] in line][:5]
    assert seen.shown


@pytest.mark.filterwarnings("ignore:Accessing the database:RuntimeWarning")
@pytest.mark.parametrize("act", [each for each in ACTS if not each.startswith("openai")])
def test_without_a_log_guard_they_do(act: str, secret: str, serve: Serve) -> None:
    """All but the SDK of OpenAI, which leaves bodies out, print what they are given."""
    assert secret.partition(" ")[0] in serve(act, secret, "none").shown


def _served(app: Any, secret: str, log_guard: Any, place: Place) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": secret.encode()}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    options: dict[str, Any] = {"stores": [f"sqlite:///{place.folder}/app.db", "sqlite://"]}
    options |= {"writable": [place.folder], "upstreams": ["127.0.0.1"]}

    async def run(runtime: ZeroRetention) -> None:
        await runtime.asgi(app)(scope, receive, send)

    with testing.memory_runtime(log_guard=log_guard, grace=0.05, **options) as runtime:
        asyncio.run(run(runtime))
    return sent
