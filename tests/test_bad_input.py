"""Bad input through the real shells: the reply passes as without us, and nothing quotes it."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import logging
import math
import subprocess
import sys
import traceback
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zeroret import ZeroRetention, testing
from zeroret.tokens.vocabulary import encoding
from zeroret.types import ASGIApp, Environ, Message, Receive, Scope, Send, StartResponse, WSGIApp
from zeroret.usage.record import UsageRecord

CANARY: Final = "canary-5d1c"
PATH: Final = "/v1/chat/completions"
USAGE: Final = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
ANSWER: Final = json.dumps(
    {
        "model": "gpt-4o",
        "choices": [{"message": {"role": "assistant", "content": f"four {CANARY}"}}],
        "usage": USAGE,
    }
).encode()
REQUEST: Final = json.dumps(
    {"model": "gpt-4o", "messages": [{"role": "user", "content": f"hello {CANARY}"}]}
).encode()
STREAMED: Final = json.dumps(
    {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": CANARY}]}
).encode()
JSON_TYPE: Final = (b"content-type", b"application/json")
SSE_TYPE: Final = (b"content-type", b"text/event-stream")
logger: Final = logging.getLogger("app.under.test")


def event(text: str) -> bytes:
    """Return one streamed delta."""
    delta = {"model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(delta).encode() + b"\n\n"


GONE: Final[Message] = {"type": "http.disconnect"}
DONE: Final = b"data: [DONE]\n\n"
REPORT: Final = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"


def deflated(data: bytes, *, raw: bool) -> bytes:
    """Return *data* deflated, as RFC 1950 says or raw, as some send it."""
    packer = zlib.compressobj(wbits=-15 if raw else 15)
    return packer.compress(data) + packer.flush()


@dataclass(frozen=True)
class Case:
    """One bad exchange, and what its record can know."""

    name: str
    request: tuple[bytes, ...] = (REQUEST,)
    response: tuple[bytes, ...] = (ANSWER,)
    request_headers: tuple[tuple[bytes, bytes], ...] = (JSON_TYPE,)
    response_headers: tuple[tuple[bytes, bytes], ...] = (JSON_TYPE,)
    path: str = PATH
    method: str = "POST"
    knows: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


REPORTED: Final = {"usage_source": "reported", "input_tokens": 7, "output_tokens": 3}
UNKNOWN: Final = {"usage_source": "unknown", "input_tokens": None, "output_tokens": None}
BOMB: Final = gzip.compress(b" " * (24 * 2**20) + ANSWER)

LENGTHS: Final[list[tuple[str, bytes, dict[str, Any]]]] = [
    ("too long", b"99999", REPORTED),
    ("too short", b"20", {"outcome": "completed"}),
    ("negative", b"-3", REPORTED),
    ("no number", CANARY.encode(), REPORTED),
    ("superscript", b"\xb2\xb3", REPORTED),
    ("of 5000 digits", b"9" * 5000, REPORTED),
    ("empty", b"", REPORTED),
]
CASES: Final = [
    Case("invalid json in", (b'{"model": ' + CANARY.encode(),), knows=REPORTED),
    Case("invalid json out", response=(b'{"usage": ' + CANARY.encode(),), knows=UNKNOWN),
    Case(
        "wrong types in",
        (b'{"model": ["' + CANARY.encode() + b'"], "messages": 7, "stream": "yes", "n": {}}',),
        knows={**REPORTED, "request_model": None},
    ),
    Case(
        "wrong types out",
        response=(
            b'{"model": {"a": "' + CANARY.encode() + b'"}, "choices": 7,'
            b' "usage": {"prompt_tokens": "12", "completion_tokens": -4}}',
        ),
        knows=UNKNOWN,
    ),
    Case("usage is a list", response=(b'{"choices": [], "usage": [1, 2]}',)),
    Case("a list in and out", (b"[1, 2]",), (b'["' + CANARY.encode() + b'"]',), knows=UNKNOWN),
    Case("numbers beyond all bounds", response=(b'{"usage": {"prompt_tokens": 1' + b"0" * 400
         + b', "completion_tokens": 1e999}}',), knows=UNKNOWN),
    Case("deep nesting", (b"[" * 100_000,), (b'{"choices":' * 100_000,), knows=UNKNOWN),
    Case("bad utf-8 in", (REQUEST[:-4] + b"\xff\xfe\xc3" + REQUEST[-4:],), knows=REPORTED),
    Case("bad utf-8 out", response=(ANSWER.replace(b"four", b"\xff\xfe\xc3"),)),
    Case("lone surrogates", (REQUEST.replace(b"hello", b"\\ud800"),), (ANSWER,), knows=REPORTED),
    Case("NUL bytes", (b"\0" * 99 + CANARY.encode(),), (b"\0" * 99,), knows=UNKNOWN),
    Case("blanks", (b" " * 1_000_000, REQUEST), (b"\n" * 1_000_000, ANSWER), knows=REPORTED),
    Case("many empty chunks", (b"", b"", REQUEST, b""), (b"", ANSWER, b"", b""), knows=REPORTED),
    Case("byte by byte", tuple(REQUEST[i : i + 1] for i in range(len(REQUEST))),
         tuple(ANSWER[i : i + 1] for i in range(len(ANSWER))), knows=REPORTED),
    Case("gzip both ways", (gzip.compress(REQUEST),), (gzip.compress(ANSWER),),
         (JSON_TYPE, (b"content-encoding", b"gzip")), (JSON_TYPE, (b"content-encoding", b"GZIP")),
         knows={**REPORTED, "request_model": "gpt-4o", "response_model": "gpt-4o"}),
    Case("deflate both ways", (deflated(REQUEST, raw=False),), (deflated(ANSWER, raw=True),),
         (JSON_TYPE, (b"content-encoding", b"deflate")),
         (JSON_TYPE, (b"content-encoding", b"deflate")),
         knows={**REPORTED, "request_model": "gpt-4o"}),
    Case("gzip bombs both ways", (BOMB,), (BOMB,), (JSON_TYPE, (b"content-encoding", b"gzip")),
         (JSON_TYPE, (b"content-encoding", b"gzip")), knows=UNKNOWN),
    Case("not gzip at all", (REQUEST,), (ANSWER,), (JSON_TYPE, (b"content-encoding", b"gzip")),
         (JSON_TYPE, (b"content-encoding", b"gzip")), knows=UNKNOWN),
    Case("gzip that was cut", (gzip.compress(REQUEST)[:-9],), (gzip.compress(ANSWER)[:-30],),
         (JSON_TYPE, (b"content-encoding", b"gzip")),
         (JSON_TYPE, (b"content-encoding", b"gzip")), knows=UNKNOWN),
    Case("an unknown coding", (REQUEST,), (ANSWER,), (JSON_TYPE, (b"content-encoding", b"zstd")),
         (JSON_TYPE, (b"content-encoding", b"br, gzip")), knows=UNKNOWN),
    *(
        Case(f"content-length {name}", response=(ANSWER[:50], ANSWER[50:]),
             request_headers=(JSON_TYPE, (b"content-length", value)),
             response_headers=(JSON_TYPE, (b"content-length", value)), knows=knows)
        for name, value, knows in LENGTHS
    ),
    Case("content-length twice", response=(ANSWER[:50], ANSWER[50:]),
         response_headers=((b"content-length", b"20"), (b"content-length", b"99999"), JSON_TYPE)),
    Case("truncated event", (STREAMED,), (event("one two")[:-20],), response_headers=(SSE_TYPE,),
         knows={"stream": True}),
    Case("a line that never ends", (STREAMED,), (b"data: {", *[b"x" * 65536] * 40),
         response_headers=(SSE_TYPE,), knows={"stream": True}),
    Case("events of junk", (STREAMED,), (b"data: \xff\xfe\n\n", b":\n\n", b"\r\r\n\n",
         b"data\n\n", b"data: [1]\n\n", b"data: null\n\n", b"event: \0\n\n", REPORT, DONE),
         response_headers=(SSE_TYPE,), knows=REPORTED),
    Case("after the end", (STREAMED,), (event("one"), REPORT, DONE, event(CANARY), DONE, REPORT),
         response_headers=(SSE_TYPE,), knows={**REPORTED, "outcome": "completed"}),
    Case("json that calls itself a stream", (STREAMED,), (ANSWER,), response_headers=(SSE_TYPE,),
         knows={"stream": True}),
    Case("a stream that calls itself json", (STREAMED,), (event("a"), REPORT, DONE), knows={}),
    Case("headers that are not clean", request_headers=(
         JSON_TYPE, (b"x-name", b"\xff\xfe\x80" + CANARY.encode()), (b"authorization", b"\xff"),
         (b"user-agent", b"\x00\xff" + CANARY.encode()), (b"", b"")), knows=REPORTED),
    Case("a content type of junk", response_headers=((b"content-type", b"\xff;\0;="),)),
    Case("empty path", path="", knows={"dialect": None}),
    Case("only slashes", path="//////", knows={"dialect": None}),
    Case("a strange path", path="/\0\udcff" + CANARY, knows={"dialect": None, "route": "other"}),
    Case("a strange method", method=CANARY, knows={"method": "other"}),
    Case("no method", method="", knows={"method": "other"}),
    Case("a lower-case method", method="post", knows={"method": "other"}),
    Case("nothing at all", (), (), (), (), knows=UNKNOWN),
]  # fmt: skip


@dataclass
class Seen:
    """Everything that app and server saw of one exchange."""

    app: list[Any] = field(default_factory=list)
    server: list[Any] = field(default_factory=list)
    error: BaseException | None = None


def asgi_scope(case: Case) -> dict[str, Any]:
    """Return the scope of *case* as a server makes it."""
    return {
        "type": "http",
        "method": case.method,
        "path": case.path,
        "query_string": f"q={CANARY}".encode(),
        "headers": list(case.request_headers),
    }


def asgi_app(case: Case, seen: Seen) -> ASGIApp:
    """Return an app that logs its whole request and answers as *case* says."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            seen.app.append(message)
            logger.error("got %r %s", message, scope["path"].encode("utf-8", "replace"))
            if not message.get("more_body"):
                break
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": list(case.response_headers)})
        for chunk in case.response:
            logger.error(f"sending {chunk!r:.5000}")  # noqa: G004 - what careless apps do
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body"})

    return app


def over_asgi(app: ASGIApp, case: Case, seen: Seen) -> None:
    """Serve *case* by *app* as a server would."""
    chunks = case.request or (b"",)
    messages = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, 1)
    ]

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        seen.server.append(message)

    asyncio.run(app(asgi_scope(case), receive, send))  # type: ignore[arg-type] # an awaitable, here a coroutine


def over_wsgi(app: WSGIApp, case: Case, seen: Seen) -> None:
    """Serve *case* by *app* as a server would."""
    headers = {
        f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}": value.decode("latin-1")
        for name, value in case.request_headers
    }
    environ: Environ = {
        "REQUEST_METHOD": case.method,
        "PATH_INFO": case.path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": f"q={CANARY}",
        **headers,
        "CONTENT_TYPE": "application/json",
        "wsgi.input": io.BytesIO(b"".join(case.request)),
    }

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        seen.server.append((status, headers))
        return seen.server.append

    response = app(environ, start_response)
    try:
        for chunk in response:
            seen.server.append(chunk)
    finally:
        close = getattr(response, "close", None)
        if close is not None:
            close()


def wsgi_app(case: Case, seen: Seen) -> WSGIApp:
    """Return an app that logs its whole request and answers as *case* says."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.app.append(environ["wsgi.input"].read())
        logger.error("got %r %r", seen.app, environ["PATH_INFO"].encode("utf-8", "replace"))
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in case.response_headers
        ]
        start_response("200 OK", headers)
        yield from case.response

    return app


def only(runtime: ZeroRetention) -> UsageRecord:
    """Return the one record that *runtime* has written."""
    (record,) = testing.usage_records(runtime)
    return record


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_input_passes_as_it_would_without_us(
    case: Case, interface: str, caplog: pytest.LogCaptureFixture
) -> None:
    """App and server see the same bytes in the same pieces; the record knows what can be known."""
    bare, wrapped = Seen(), Seen()
    with testing.memory_runtime() as runtime:
        if interface == "asgi":
            over_asgi(asgi_app(case, bare), case, bare)
            assert CANARY not in CANARY[1:]
            caplog.clear()
            over_asgi(runtime.asgi(asgi_app(case, wrapped)), case, wrapped)
        else:
            over_wsgi(wsgi_app(case, bare), case, bare)
            caplog.clear()
            over_wsgi(runtime.wsgi(wsgi_app(case, wrapped)), case, wrapped)
        record = only(runtime)
        assert runtime.failures == {}
    assert (wrapped.app, wrapped.server) == (bare.app, bare.server)
    assert CANARY not in caplog.text
    assert CANARY not in repr(record)
    given = {name: getattr(record, name) for name in case.knows}
    assert given == case.knows
    assert record.outcome == "completed"
    assert record.request_bytes == sum(map(len, case.request))


def test_the_search_would_find_a_leak(caplog: pytest.LogCaptureFixture) -> None:
    """Without the shell the same apps do log their content: the test above can fail."""
    seen = Seen()
    over_asgi(asgi_app(CASES[0], seen), CASES[0], seen)
    assert CANARY in caplog.text
    caplog.clear()
    over_wsgi(wsgi_app(CASES[0], seen), CASES[0], seen)
    assert CANARY in caplog.text


def test_special_tokens_in_the_text_are_text(runtime: ZeroRetention) -> None:
    """``<|endoftext|>`` in prompt and answer is counted like any other text, and breaks nothing."""
    text = "one <|endoftext|> two <|im_start|><|fim_prefix|>"
    body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": text}]}
    case = Case(
        "special", (json.dumps(body).encode(),), (event(text), DONE), response_headers=(SSE_TYPE,)
    )
    seen = Seen()
    over_asgi(runtime.asgi(asgi_app(case, seen)), case, seen)
    record = only(runtime)
    plain = len(encoding("o200k_base").encode(text, disallowed_special=()))
    assert (record.output_tokens, record.usage_source) == (plain, "counted")
    assert record.input_tokens == plain + 7  # 3 a message, 1 for its role, 3 for the answer's start


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_a_body_of_another_bytes_type_is_read(runtime: ZeroRetention, kind: Any) -> None:
    """Starlette passes memoryviews on, and servers take them: they are metered like bytes."""
    parts = [event("one two"), REPORT, DONE]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [SSE_TYPE]})
        for part in parts:
            await send({"type": "http.response.body", "body": kind(part), "more_body": True})
        await send({"type": "http.response.body"})

    case, seen = Case("views", (STREAMED,)), Seen()
    over_asgi(runtime.asgi(app), case, seen)
    assert [type(message["body"]) for message in seen.server[1:-1]] == [kind] * 3
    record = only(runtime)
    assert {name: getattr(record, name) for name in REPORTED} == REPORTED
    assert runtime.failures == {}


def test_every_value_of_a_repeated_header_is_content(runtime: ZeroRetention) -> None:
    """Cookies come in several lines of one name over HTTP/2: a later thread logs none of them."""
    headers = ((b"cookie", b"first-" + CANARY.encode() * 3), (b"cookie", b"second"))
    case, seen = Case("repeated", request_headers=headers), Seen()
    held: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = scope["zeroret.exchange"]
        held.extend(any(value in bytes(c) for c in exchange.chunks if isinstance(c, bytes))
                    for _, value in headers)  # fmt: skip
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    over_asgi(runtime.asgi(app), case, seen)
    assert held == [True, True]


RUNTIME: ZeroRetention


@pytest.fixture(scope="module")
def shared_runtime() -> Iterable[None]:
    """Start one runtime for all examples of the property, and see that each left one record."""
    global RUNTIME
    with testing.memory_runtime() as RUNTIME:
        yield
        records = testing.usage_records(RUNTIME)
        assert len({record.id for record in records}) == len(records)
        assert CANARY not in repr(records)


def test_a_group_of_exits_and_errors_leaves_without_text() -> None:
    """A task group that was cancelled while a task failed keeps the exit and loses the text."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exits = BaseExceptionGroup(CANARY, [asyncio.CancelledError()])
        raise BaseExceptionGroup(CANARY, [exits, ExceptionGroup(CANARY, [ValueError(CANARY)])])

    with testing.memory_runtime() as runtime, pytest.raises(BaseExceptionGroup) as caught:
        over_asgi(runtime.asgi(app), CASES[0], Seen())
    exits, errors = caught.value.split(asyncio.CancelledError)
    assert exits is not None
    assert errors is not None
    assert errors.subgroup(ValueError) is not None
    text = "".join(traceback.format_exception(caught.value))
    assert CANARY not in text
    assert CANARY not in repr(caught.value)


# Whatever the server and the app do to the protocol, the app does it to itself.

ODD: Final = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=4), st.binary(max_size=8),
    st.lists(st.none(), max_size=2), st.just(math.nan),
)  # fmt: skip
HEADERS: Final = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([b"content-length", b"content-type", b"authorization",
                                   b"x-api-key", b"user-agent", b"content-encoding", b"x"]),
                  st.one_of(st.binary(max_size=8), st.just(b"text/event-stream"))),
        ODD,
    ),
    max_size=4,
)  # fmt: skip
TYPES: Final = st.sampled_from(
    [
        "http.request", "http.disconnect", "http.response.start", "http.response.body",
        "http.response.trailers", "http.response.pathsend", "http.response.zerocopysend",
        "http.response.debug", "websocket.connect", "websocket.receive", "websocket.disconnect",
        "websocket.accept", "websocket.send", "websocket.close", "websocket.http.response.start",
        "websocket.http.response.body", "", "x",
    ]
)  # fmt: skip
MESSAGES: Final = st.fixed_dictionaries(
    {},
    optional={
        "type": st.one_of(TYPES, TYPES, TYPES, ODD),
        "body": st.one_of(st.binary(max_size=20), st.just(DONE), ODD),
        "more_body": st.one_of(st.booleans(), ODD),
        "status": st.one_of(st.sampled_from([200, 204, 404, 504]), ODD, st.just(2**70)),
        "headers": st.one_of(HEADERS, ODD),
        "bytes": ODD,
        "text": ODD,
        "code": ODD,
    },
)
SCOPES: Final = st.fixed_dictionaries(
    {},
    optional={
        "type": st.one_of(st.sampled_from(["http", "http", "websocket"]), ODD),
        "method": st.one_of(st.sampled_from(["POST", "HEAD"]), ODD),
        "path": st.one_of(st.just(PATH), ODD),
        "query_string": ODD,
        "headers": st.one_of(HEADERS, ODD),
        "client": ODD,
    },
)
ACTS: Final = st.lists(
    st.one_of(
        st.just("receive"),
        st.tuples(st.just("send"), MESSAGES),
        st.sampled_from([ValueError, KeyError, OSError, TimeoutError, RecursionError]),
        st.just(asyncio.CancelledError),
    ),
    max_size=10,
)


def play(
    wrap: Any, scope: dict[str, Any], received: list[Message], acts: list[Any]
) -> tuple[Any, ...]:
    """Let an app act as *acts* say; return what it and the server saw, and how it ended."""
    seen = Seen()
    waiting = list(received)

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        for act in acts:
            if act == "receive":
                seen.app.append(await receive())
            elif isinstance(act, tuple):
                await send(act[1])
            else:
                raise act(CANARY)

    async def receive() -> Message:
        return waiting.pop(0) if waiting else GONE

    async def send(message: Message) -> None:
        seen.server.append(message)

    async def run() -> None:
        try:
            await wrap(app)(dict(scope), receive, send)
        except BaseException as error:  # noqa: BLE001 - what leaves is what is compared
            seen.error = error

    asyncio.run(run())
    return [id(each) for each in seen.app], [id(each) for each in seen.server], seen.error


@pytest.mark.usefixtures("shared_runtime")
@given(scope=SCOPES, received=st.lists(MESSAGES, max_size=5), acts=ACTS)
@example(
    scope={"type": "http"}, received=[],
    acts=[("send", {"type": "http.response.start", "status": [1]}), ValueError],
)  # fmt: skip
@example(
    scope={"type": "http", "method": "HEAD", "path": PATH}, received=[],
    acts=[("send", {"type": "http.response.start", "status": 2**70})],
)  # fmt: skip
@example(scope={}, received=[{}], acts=["receive", "receive"])
@settings(max_examples=400)
def test_no_sequence_of_messages_raises_what_the_bare_app_would_not(
    scope: dict[str, Any], received: list[Message], acts: list[Any]
) -> None:
    """Any order, any missing key, any type: the same objects pass, the same class is raised."""
    bare_app, bare_server, bare_error = play(lambda app: app, scope, received, acts)
    app, server, error = play(RUNTIME.asgi, scope, received, acts)
    assert (app, server) == (bare_app, bare_server)
    assert isinstance(error, type(bare_error))
    if scope.get("type") in ("http", "websocket") and isinstance(error, Exception):
        assert CANARY not in f"{error!r} {error}"


@pytest.mark.usefixtures("shared_runtime")
@given(
    status=st.one_of(st.text(max_size=6), st.just("200 OK"), st.just("²³⁴ x")),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["Content-Length", "Content-Type", "content-encoding", "ü€"]),
            st.text(max_size=8),
        ),
        max_size=4,
    ),
    environ=st.dictionaries(
        st.sampled_from(["HTTP_AUTHORIZATION", "HTTP_USER_AGENT", "HTTP_€", "QUERY_STRING",
                         "PATH_INFO", "SCRIPT_NAME", "CONTENT_TYPE", "REMOTE_ADDR",
                         "REQUEST_METHOD"]),
        st.text(max_size=8),
    ),
    chunks=st.lists(st.binary(max_size=20), max_size=4),
    crash=st.sampled_from([None, ValueError, StopIteration, KeyError]),
)  # fmt: skip
@example(status="200 OK", headers=[("Content-Length", "²")], environ={}, chunks=[], crash=None)
@example(status="200 OK", headers=[("Content-Type", "€")], environ={}, chunks=[], crash=None)
@example(status="abc", headers=[], environ={}, chunks=[b"x"], crash=StopIteration)
@settings(max_examples=300)
def test_no_wsgi_call_raises_what_the_bare_app_would_not(
    status: str,
    headers: list[tuple[str, str]],
    environ: Environ,
    chunks: list[bytes],
    crash: type[Exception] | None,
) -> None:
    """Status, headers and environment of any kind: the same objects pass, the same is raised."""

    def play_wsgi(wrap: Any) -> tuple[Any, ...]:
        seen = Seen()

        def start_response(*given: Any) -> Any:
            seen.server.append(given)
            return seen.server.append

        def app(_environ: Environ, start: StartResponse) -> Iterable[bytes]:
            start(status, headers)
            if crash is not None:
                raise crash(CANARY)
            return chunks

        try:
            response = wrap(app)(dict(environ), start_response)
            seen.server.extend(response)
            if hasattr(response, "close"):
                response.close()
        except Exception as error:  # noqa: BLE001 - what leaves is what is compared
            seen.error = error
        return seen.server, seen.error

    bare_server, bare_error = play_wsgi(lambda app: app)
    server, error = play_wsgi(RUNTIME.wsgi)
    assert server == bare_server
    assert isinstance(error, type(bare_error))
    assert CANARY not in f"{error!r} {error}"


@pytest.mark.usefixtures("shared_runtime")
def test_every_odd_exchange_left_its_record() -> None:
    """However an exchange violates the protocol, it leaves one record and no live flight."""
    before = len(testing.usage_records(RUNTIME))
    acts: list[Any] = [("send", {"type": "http.response.start", "status": {}}), StopAsyncIteration]
    play(RUNTIME.asgi, {"type": "http"}, [{}], ["receive", *acts])
    play(RUNTIME.asgi, {"type": "websocket", "path": None}, [], [])
    assert len(testing.usage_records(RUNTIME)) == before + 2


_PROGRAM: Final = Path(__file__).with_name("memory.py")
ADDED: Final = 80
"""Megabytes of peak memory that one exchange may add, however large its bodies are.

The worst is a request just below 32 MiB: referenced, and joined once; 8 MiB stay matchable.
"""


@pytest.mark.parametrize(
    ("kind", "megabytes"),
    [("json", 31), ("json", 100), ("stream", 31), ("line", 100), ("dense", 31), ("gzip", 300)],
)
def test_large_bodies_add_a_bounded_amount_of_memory(kind: str, megabytes: int) -> None:
    """Bodies of 100 MB each way, or that inflate to more, add at most `ADDED` at their peak."""
    program = [sys.executable, str(_PROGRAM), kind, str(megabytes)]
    run = subprocess.run(program, capture_output=True, text=True, check=True)
    bare, wrapped = map(float, run.stdout.split())
    assert bare < 5, "the app itself keeps nothing"
    assert wrapped - bare < ADDED
