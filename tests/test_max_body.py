"""``max_body``: a 413 for a body that is too large, declared or not; nothing changes without it."""

from __future__ import annotations

import io
import json
import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import anyio
import django
import flask
import httpx
import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test.utils import override_settings
from django.urls import path
from fastapi import FastAPI, Request, UploadFile
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar, post
from litestar import Request as LitestarRequest
from litestar.params import JSONBody
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from zeroret import ZeroRetention, testing
from zeroret.bodies import BODY, ASGIBodyLimit, BodyTooLargeError, LimitedInput, exceeds
from zeroret.types import ASGIApp, Environ, Message, Receive, Scope, Send, StartResponse, WSGIApp

LIMIT = 1000
SERVERS = Path(__file__).parent / "servers"


@pytest.fixture
def limited() -> Iterator[ZeroRetention]:
    """Give a runtime in memory with a limit."""
    with testing.memory_runtime(max_body=LIMIT) as runtime:
        yield runtime


@pytest.mark.parametrize(
    ("declared", "too_large"),
    [
        ("1000", False),
        ("1001", True),
        ("0", False),
        ("9" * 400, True),
        (b"1001", True),
        ("-1", False),
        ("", False),
        ("1e9", False),
        ("٣٣٣٣٣", False),
        ("1_000_000", False),
        (" 1001", False),
    ],
)
def test_lengths_are_ascii_digits(declared: str | bytes, too_large: bool) -> None:  # noqa: FBT001 - a test's parameter
    """What is no length promises nothing, and is counted instead."""
    assert exceeds(declared, LIMIT) is too_large


class Client:
    """A client that sends chunks and keeps what comes back; the body has no declared length."""

    def __init__(self, *chunks: bytes, **scope: Any) -> None:
        self.chunks = list(chunks)
        self.received = 0
        self.sent: list[Message] = []
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/",
            "raw_path": b"/",
            "root_path": "",
            "query_string": b"",
            "headers": [],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
            **scope,
        }

    async def receive(self) -> Message:
        """Give the next chunk; wait for ever when there is none."""
        self.received += 1
        if not self.chunks:
            await anyio.sleep_forever()
        chunk = self.chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(self.chunks)}

    async def send(self, message: Message) -> None:
        """Keep what came."""
        self.sent.append(message)

    async def call(self, app: ASGIApp) -> None:
        """Call *app* as a server does."""
        await app(self.scope, self.receive, self.send)

    @property
    def status(self) -> int:
        """The status of the only response."""
        starts = [each for each in self.sent if each["type"] == "http.response.start"]
        assert len(starts) == 1
        status: int = starts[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        """The whole body of the response."""
        return b"".join(each.get("body", b"") for each in self.sent)


async def counting(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body as ASGI says it, and answer with its size."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.mark.anyio
async def test_a_declared_body_is_refused_before_the_app_runs(limited: ZeroRetention) -> None:
    """Neither the app nor the body is touched; the record says that it was rejected."""

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    client = Client(b"x" * 2000, headers=[(b"content-length", b"2000")])
    await client.call(limited.asgi(never))
    assert (client.status, client.received) == (413, 0)
    headers = dict(client.sent[0]["headers"])
    assert headers == {
        b"content-type": b"application/json",
        b"content-length": str(len(BODY)).encode(),
        b"connection": b"close",
    }
    assert json.loads(client.body)["error"]["type"] == "request_too_large"
    [record] = testing.usage_records(limited)
    assert (record.status, record.outcome, record.request_bytes) == (413, "rejected", 0)
    assert record.error_type is None


@pytest.mark.anyio
async def test_http_2_has_no_connection_header(limited: ZeroRetention) -> None:
    """RFC 9113, 8.2.2: a response must not carry it there."""
    client = Client(headers=[(b"content-length", b"2000")], http_version="2")
    await client.call(limited.asgi(counting))
    assert client.status == 413
    assert b"connection" not in dict(client.sent[0]["headers"])


@pytest.mark.anyio
async def test_a_body_of_unknown_length_is_refused_when_it_passes(limited: ZeroRetention) -> None:
    """The client has its 413 at once; the app sees a client that is gone, and no byte too many."""
    seen: list[Message] = []

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([await receive() for _ in range(4)])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"never seen"})

    client = Client(b"x" * 600, b"x" * 400, b"x", b"x" * 600)
    await client.call(limited.asgi(reading))
    assert (client.status, client.body) == (413, BODY)
    assert [(each["type"], len(each.get("body", b""))) for each in seen] == [
        ("http.request", 600),
        ("http.request", 400),
        ("http.disconnect", 0),
        ("http.disconnect", 0),
    ]
    assert client.received == 3
    [record] = testing.usage_records(limited)
    assert (record.status, record.outcome) == (413, "rejected")


@pytest.mark.anyio
async def test_what_an_app_raises_about_it_goes_nowhere(limited: ZeroRetention) -> None:
    """The server has a whole response, and no error to log; other errors are errors still."""

    async def raising(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise RuntimeError

    client = Client(b"x" * 2000)
    await client.call(limited.asgi(raising))
    assert client.status == 413
    with pytest.raises(RuntimeError):
        await Client(b"x").call(limited.asgi(raising))


@pytest.mark.anyio
async def test_a_reply_that_has_begun_is_not_begun_again(limited: ZeroRetention) -> None:
    """An app that answers while it reads sees the client go, and ends its own reply."""

    async def duplex(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message["type"] == "http.request"
            body = {"type": "http.response.body", "body": b"got", "more_body": more}
            await send(body)

    client = Client(b"x" * 600, b"x" * 600, b"x" * 600)
    await client.call(limited.asgi(duplex))
    assert (client.status, client.body) == (200, b"gotgot")


@given(
    chunks=st.lists(st.integers(0, 400), min_size=1, max_size=8),
    limit=st.integers(1, 1000),
)
def test_only_the_sum_counts(chunks: list[int], limit: int) -> None:
    """However a body is cut: up to the limit it arrives whole, past it there is a 413."""
    client = Client(*[b"x" * size for size in chunks])
    anyio.run(client.call, ASGIBodyLimit(counting, limit))
    if sum(chunks) > limit:
        assert (client.status, client.body) == (413, BODY)
    else:
        assert (client.status, client.body) == (200, str(sum(chunks)).encode())


def fastapi_app() -> FastAPI:
    """Return an app that takes anything, in each way."""
    app = FastAPI()

    @app.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    @app.post("/json")
    async def parsed(value: dict[str, str]) -> int:
        return len(value)

    @app.post("/form")
    async def form(file: UploadFile) -> int | None:
        return file.size

    return app


def litestar_app() -> Litestar:
    """Return an app that takes anything."""

    @post("/body")
    async def body(request: LitestarRequest[Any, Any, Any]) -> int:
        return len(await request.body())

    @post("/json")
    async def parsed(data: JSONBody[dict[str, str]]) -> int:
        return len(data)

    return Litestar([body, parsed])


def django_size(request: HttpRequest) -> HttpResponse:
    """Return the size of the body."""
    return HttpResponse(str(len(request.body)))


urlpatterns = [path("body", django_size)]


@pytest.fixture
def django_settings() -> Iterator[None]:
    """Point Django at this module."""
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="x", LOGGING_CONFIG=None)
    django.setup()
    with override_settings(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__):
        yield


ASGI_APPS: dict[str, tuple[Callable[[], Any], str]] = {
    "fastapi body": (fastapi_app, "/body"),
    "fastapi json": (fastapi_app, "/json"),
    "fastapi form": (fastapi_app, "/form"),
    "litestar body": (litestar_app, "/body"),
    "litestar json": (litestar_app, "/json"),
    "django body": (ASGIHandler, "/body"),
}


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("name", ASGI_APPS)
def test_each_frameworks_client_gets_the_413(
    name: str,
    declared: bool,  # noqa: FBT001 - a test's parameter
    limited: ZeroRetention,
    django_settings: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever a framework makes of a client that is gone, ours sees the 413 and nothing else."""
    make, place = ASGI_APPS[name]
    content_type = b"multipart/form-data; boundary=x" if "form" in name else b"application/json"
    headers = [(b"content-type", content_type), (b"host", b"x")]
    if declared:
        headers.append((b"content-length", b"2000"))
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    first = [part] if "form" in name else []
    client = Client(
        *first, *[b"x" * 200] * 10, path=place, raw_path=place.encode(), headers=headers
    )
    with caplog.at_level(logging.ERROR):
        anyio.run(client.call, limited.asgi(make()))
    assert (client.status, client.body) == (413, BODY)
    [record] = testing.usage_records(limited)
    assert (record.status, record.outcome) == (413, "rejected")


def test_without_the_option_nothing_stands_in_between(runtime: ZeroRetention) -> None:
    """No limit, no wrapper: the app gets the shell's own callables, and any size."""
    seen: list[str] = []

    async def looking(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(type(receive.__self__).__name__)  # type: ignore[attr-defined] # a bound method
        await counting(scope, receive, send)

    client = Client(*[b"x" * 2**20] * 4)
    anyio.run(client.call, runtime.asgi(looking))
    assert (client.status, client.body, seen) == (200, str(2**22).encode(), ["ASGIResponder"])


def test_a_websocket_has_no_body(limited: ZeroRetention) -> None:
    """Its messages are no request body, whatever they add up to."""
    app = FastAPI()

    @app.websocket("/")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        for _ in range(3):
            await socket.send_text(await socket.receive_text())

    with TestClient(limited.asgi(app)).websocket_connect("/") as session:
        for _ in range(3):
            session.send_text("x" * 900)
            assert session.receive_text() == "x" * 900


# WSGI.


class Stream:
    """A stream that notes the largest size that it was asked for."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        """Return a method that notes its argument."""
        method = getattr(self._stream, name)

        def noted(size: int) -> Any:
            assert size >= 0
            self.asked = max(self.asked, size)
            return method(size)

        return noted


_READS = st.one_of(
    st.tuples(st.just("read"), st.integers(-1, 40)),
    st.tuples(st.just("read1"), st.integers(-1, 40)),
    st.tuples(st.just("readline"), st.integers(-1, 40)),
    st.tuples(st.just("readlines"), st.integers(-1, 40)),
    st.tuples(st.just("readinto"), st.integers(0, 40)),
    st.tuples(st.just("iterate"), st.just(0)),
)


def read_by(stream: Any, how: str, size: int) -> Any:
    """Read in one of the ways there are."""
    if how == "readinto":
        buffer = bytearray(size)
        return stream.readinto(buffer), bytes(buffer)
    if how == "iterate":
        return list(stream)
    return getattr(stream, how)(size)


@given(
    data=st.binary(max_size=100) | st.lists(st.sampled_from([b"\n", b"x"])).map(b"".join),
    limit=st.integers(1, 60),
    reads=st.lists(_READS, max_size=10),
)
def test_a_limited_input_reads_as_the_stream_does(
    data: bytes, limit: int, reads: list[tuple[str, int]]
) -> None:
    """Up to the limit it is the stream; past it, an error, and never more asked for than that."""
    stream = Stream(data)
    ours, plain = LimitedInput(stream, limit), io.BytesIO(data)
    for how, size in reads:
        try:
            result = read_by(ours, how, size)
        except BodyTooLargeError:
            assert len(data) > limit
            with pytest.raises(BodyTooLargeError):
                ours.read(1)
            break
        assert result == read_by(plain, how, size)
    assert stream.asked <= limit + 1
    assert ours.passed is (plain.tell() > limit) or ours.passed


def environ(*chunks: bytes, declared: bool, **extra: Any) -> Environ:
    """Return a POST's environment, its length declared, or the end marked by the stream's own."""
    data = b"".join(chunks)
    made: Environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/body",
        "QUERY_STRING": "",
        "CONTENT_TYPE": "text/plain",
        "wsgi.input": io.BytesIO(data),
        **extra,
    }
    if declared:
        made["CONTENT_LENGTH"] = str(len(data))
    else:
        made |= {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    setup_testing_defaults(made)
    return made


def call(app: WSGIApp, made: Environ) -> tuple[list[str], bytes]:
    """Call *app* as a server does; return the statuses that were started, and the body."""
    statuses: list[str] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        statuses.append(status)
        return len

    response: Any = app(made, start_response)
    try:
        return statuses, b"".join(response)
    finally:
        if hasattr(response, "close"):
            response.close()


def flask_app() -> flask.Flask:
    """Return an app that takes anything."""
    app = flask.Flask(__name__)

    @app.post("/body")
    def size() -> str:
        return str(len(flask.request.get_data()))

    return app


def plain_app(made: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read, then answer."""
    size = len(made["wsgi.input"].read(int(made.get("CONTENT_LENGTH") or 10**9)))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(size).encode()]


def generating_app(made: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Read and answer when the server asks for the first chunk."""
    yield from plain_app(made, start_response)


def swallowing_app(made: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Take every error for the end."""
    size = 0
    try:
        while piece := made["wsgi.input"].read(100):
            size += len(piece)
    except OSError:
        pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(size).encode()]


WSGI_APPS: dict[str, Callable[[], WSGIApp]] = {
    "plain": lambda: plain_app,
    "generating": lambda: generating_app,
    "swallowing": lambda: swallowing_app,
    "flask": flask_app,
    "django": WSGIHandler,
}


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("name", WSGI_APPS)
def test_wsgi_refuses_what_passes_and_nothing_else(
    name: str,
    declared: bool,  # noqa: FBT001 - a test's parameter
    limited: ZeroRetention,
    django_settings: None,
) -> None:
    """Up to the limit the reply is the app's; past it the 413, and one response in all."""
    if name == "django" and not declared:
        pytest.skip("Django's WSGI handler reads no body without a declared length")
    app = limited.wsgi(WSGI_APPS[name]())
    made = environ(b"x" * LIMIT, declared=declared)
    assert call(app, made) == (["200 OK"], str(LIMIT).encode())
    made = environ(b"x" * LIMIT, b"x", declared=declared)
    assert call(app, made) == (["413 Content Too Large"], BODY)
    records = testing.usage_records(limited)
    assert [(each.status, each.outcome) for each in records] == [
        (200, "completed"),
        (413, "rejected"),
    ]


@pytest.mark.parametrize("name", ["plain", "generating", "swallowing"])
def test_both_sides_of_the_limit_are_valid_wsgi(name: str, limited: ZeroRetention) -> None:
    """PEP 3333 holds for the server and for the app, refused or not."""
    app = validator(limited.wsgi(validator(WSGI_APPS[name]())))
    for size in (10, LIMIT + 1):
        made = environ(b"x" * size, declared=False)
        call(app, made)


def test_a_reply_that_has_begun_ends_with_its_error(limited: ZeroRetention) -> None:
    """An app that answers while it reads gets the error where it reads."""
    closed: list[bool] = []

    class Reply:
        def __init__(self, made: Environ) -> None:
            self._input = made["wsgi.input"]

        def __iter__(self) -> Iterator[bytes]:
            while piece := self._input.read(400):
                yield piece

        def close(self) -> None:
            closed.append(True)

    def duplex(made: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Reply(made)

    with pytest.raises(OSError, match="withheld"):
        call(limited.wsgi(duplex), environ(b"x" * 2000, declared=False))
    assert closed == [True]


def test_what_was_returned_before_is_closed(limited: ZeroRetention) -> None:
    """The reply that nobody gets is closed all the same, once."""
    closed: list[bool] = []

    class Reply(list[bytes]):
        def close(self) -> None:
            closed.append(True)

    def reading(made: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            made["wsgi.input"].read()
        except OSError:
            start_response("500 Oh", [])
        return Reply()

    assert call(limited.wsgi(reading), environ(b"x" * 2000, declared=False)) == (
        ["413 Content Too Large"],
        BODY,
    )
    assert closed == [True]


def test_wsgi_without_the_option_is_left_alone(runtime: ZeroRetention) -> None:
    """No limit, no wrapper."""
    made = environ(b"x" * 2**20, declared=True)
    assert call(runtime.wsgi(plain_app), made) == (["200 OK"], str(2**20).encode())
    assert type(made["wsgi.input"]).__name__ == "_Input"


# Real servers.


def raw(port: int, *pieces: bytes) -> bytes:
    """Send *pieces* over a connection, and return what comes until it is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


SERVER_COMMANDS = {
    "uvicorn h11": ("-m", "uvicorn", "--http", "h11", "bodies:asgi", "--port", "{port}"),
    "uvicorn httptools": (
        "-m", "uvicorn", "--http", "httptools", "bodies:asgi", "--port", "{port}",
    ),
    "hypercorn": ("-m", "hypercorn", "-b", "127.0.0.1:{port}", "bodies:asgi"),
    "gunicorn": ("-m", "gunicorn", "-b", "127.0.0.1:{port}", "bodies:wsgi"),
    "gunicorn threads": (
        "-m", "gunicorn", "-k", "gthread", "-b", "127.0.0.1:{port}", "bodies:wsgi",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVER_COMMANDS)
def test_real_servers_send_it(
    name: str, start_server: Any, tmp_path: Path, usage_rows: Any
) -> None:
    """Over a connection: small bodies arrive, larger ones get the 413, chunked or declared."""
    server = start_server(*SERVER_COMMANDS[name], folder=tmp_path, PYTHONPATH=str(SERVERS))
    url = f"http://127.0.0.1:{server.port}/size"

    def chunks(count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield b"x" * 250

    with httpx.Client(timeout=20) as client:
        assert client.post(url, content=b"x" * LIMIT).text == "1000"
        assert client.post(url, content=chunks(4)).text == "1000"
        declared = client.post(url, content=b"x" * 1001)
        counted = client.post(url, content=chunks(5))
        assert client.post(url, content=b"x").text == "1"
    for reply in (declared, counted):
        assert (reply.status_code, reply.content) == (413, BODY)
    expected = (
        b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n"
    )
    answer = raw(server.port, expected + b"Connection: close\r\n\r\n")
    assert b"HTTP/1.1 413 " in answer  # after a 100 that some servers send before they ask
    rows = usage_rows(tmp_path / "usage.db", 6)
    assert [row["outcome"] for row in rows].count("rejected") == 3
    assert {row["status"] for row in rows} == {200, 413}
