"""The ASGI shell: the reply passes untouched, and every connection leaves one record."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from zeroret import ZeroRetention, ZeroRetentionMiddleware, current, testing
from zeroret.types import ASGIApp, Message, Receive, Scope, Send
from zeroret.usage.record import UsageRecord

pytestmark = pytest.mark.anyio

CHAT = {
    "model": "gpt-4o-mini",
    "choices": [{"message": {"content": "four"}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8},
}


def http_scope(path: str = "/v1/chat/completions", **extra: Any) -> dict[str, Any]:
    """Return a POST's scope as a server makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(b"content-type", b"application/json")],
        "client": ("192.0.2.7", 4711),
        "server": ("127.0.0.1", 80),
        **extra,
    }


class UpstreamTimeout(Exception):  # noqa: N818 - the name of the class is what is tested
    """A timeout that is no `TimeoutError`, as those of HTTP clients."""


class Wire:
    """A server's two ends: what is received, and what was sent."""

    def __init__(self, *received: Message) -> None:
        self.received = list(received)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        """Give the next message, then a disconnect."""
        await anyio.lowlevel.checkpoint()
        return self.received.pop(0) if self.received else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message."""
        await anyio.lowlevel.checkpoint()
        self.sent.append(message)


def body(*chunks: bytes) -> list[Message]:
    """Return the request messages of a body in *chunks*."""
    return [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, 1)
    ]


def answering(*messages: Message) -> ASGIApp:
    """Return an app that reads its request and sends *messages*."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        for message in messages:
            await send(message)

    return app


def reply(payload: bytes, status: int = 200, kind: bytes = b"application/json") -> list[Message]:
    """Return the messages of a whole reply."""
    return [
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]},
        {"type": "http.response.body", "body": payload},
    ]


def only(runtime: ZeroRetention) -> UsageRecord:
    """Return the one record that *runtime* has written."""
    records = testing.usage_records(runtime)
    assert len(records) == 1, records
    return records[0]


async def test_a_call_leaves_one_record(runtime: ZeroRetention) -> None:
    """A JSON call is metered from the upstream's own usage."""
    wire = Wire(*body(json.dumps({"model": "gpt-4o-mini", "messages": []}).encode()))
    app = runtime.asgi(answering(*reply(json.dumps(CHAT).encode())))
    await app(http_scope(), wire.receive, wire.send)
    record = only(runtime)
    assert (record.input_tokens, record.output_tokens) == (7, 1)
    assert record.usage_source == "reported"
    assert record.request_model == record.response_model == "gpt-4o-mini"
    assert (record.status, record.outcome, record.method) == (200, "completed", "POST")
    assert (record.dialect, record.stream) == ("openai.chat", False)
    assert record.request_bytes == 40
    assert record.response_bytes == len(json.dumps(CHAT))


async def test_messages_pass_as_the_same_objects(runtime: ZeroRetention) -> None:
    """Nothing is copied, merged, split or reordered on the way to the server."""
    messages: list[Message] = [
        {"type": "http.response.start", "status": 200},
        {"type": "http.response.body", "body": b"a", "more_body": True},
        {"type": "http.response.body", "body": b"", "more_body": True},
        {"type": "http.response.debug", "info": {"x": 1}},
        {"type": "http.response.body", "body": b"b"},
    ]
    wire = Wire(*body(b"x"))
    await runtime.asgi(answering(*messages))(http_scope(), wire.receive, wire.send)
    assert [id(message) for message in wire.sent] == [id(message) for message in messages]


async def test_the_record_stands_before_the_last_chunk_is_sent(runtime: ZeroRetention) -> None:
    """Whatever completes the reply leaves only after its record was written."""
    seen: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            seen.append(len(testing.usage_records(runtime)))

    wire = Wire(*body(b"{}"))
    await runtime.asgi(answering(*reply(b"{}")))(http_scope(), wire.receive, send)
    assert seen == [1]


async def test_the_terminal_event_completes_a_stream(runtime: ZeroRetention) -> None:
    """A client that hangs up at ``[DONE]``, as the openai SDK does, leaves a completed record."""
    events = [b'data: {"choices":[{"delta":{"content":"four"}}]}\n\n', b"data: [DONE]\n\n"]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(reply(b"", kind=b"text/event-stream")[0])
        for event in events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        raise OSError("the client is gone")

    request = json.dumps({"model": "gpt-4o", "stream": True, "messages": []}).encode()
    wire = Wire(*body(request))
    with pytest.raises(OSError, match="withheld"):
        await runtime.asgi(app)(http_scope(), wire.receive, wire.send)
    record = only(runtime)
    assert (record.outcome, record.stream) == ("completed", True)
    assert (record.output_tokens, record.usage_source) == (1, "counted")


async def test_the_declared_length_completes_a_reply(runtime: ZeroRetention) -> None:
    """A reply whose Content-Length has passed is whole, whatever the app does next."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok", "more_body": True})
        seen.append(only(runtime).outcome)  # type: ignore[arg-type] # kept by this policy

    wire = Wire(*body(b""))
    await runtime.asgi(app)(http_scope("/x"), wire.receive, wire.send)
    assert seen == ["completed"]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "completed"), (404, "rejected"), (429, "rejected"), (500, "error"), (504, "timeout")],
)
async def test_the_status_says_how_it_ended(
    runtime: ZeroRetention, status: int, outcome: str
) -> None:
    """A whole reply's outcome follows from its status."""
    wire = Wire(*body(b"{}"))
    await runtime.asgi(answering(*reply(b"{}", status)))(http_scope(), wire.receive, wire.send)
    assert only(runtime).outcome == outcome


async def test_a_hang_up_is_an_aborted_exchange(runtime: ZeroRetention) -> None:
    """A stream that ends before its terminal event counts what was delivered."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(reply(b"", kind=b"text/event-stream")[0])
        event = b'data: {"choices":[{"delta":{"content":"one two"}}]}\n\n'
        await send({"type": "http.response.body", "body": event, "more_body": True})
        assert (await receive())["type"] == "http.disconnect"

    request = json.dumps({"model": "gpt-4o", "stream": True, "messages": []}).encode()
    wire = Wire(*body(request))
    await runtime.asgi(app)(http_scope(), wire.receive, wire.send)
    record = only(runtime)
    assert (record.outcome, record.output_tokens) == ("aborted", 2)


async def test_a_crash_reaches_the_server_as_a_stand_in(runtime: ZeroRetention) -> None:
    """The server sees the class and the place of an exception, and none of its content."""
    secret = "the patient said"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            raise KeyError(secret)
        except KeyError as error:
            raise ValueError(secret) from error

    wire = Wire(*body(secret.encode()))
    with pytest.raises(ValueError, match="withheld") as caught:
        await runtime.asgi(app)(http_scope(), wire.receive, wire.send)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert secret not in repr(error) + str(error) + repr(vars(error)) + repr(error.args)
    record = only(runtime)
    assert (record.outcome, record.error_type, record.status) == ("error", "ValueError", 500)


async def test_a_timeout_is_told_apart(runtime: ZeroRetention) -> None:
    """An exception that is a timeout by its class makes a ``timeout`` record."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise UpstreamTimeout

    wire = Wire(*body(b""))
    with pytest.raises(UpstreamTimeout):
        await runtime.asgi(app)(http_scope(), wire.receive, wire.send)
    assert only(runtime).outcome == "timeout"


async def test_cancellation_passes_and_is_recorded(runtime: ZeroRetention) -> None:
    """A cancelled exchange is recorded as aborted, and its cancellation stays what it is."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    wire = Wire(*body(b""))
    with anyio.move_on_after(0.05) as cancelled:
        await runtime.asgi(app)(http_scope(), wire.receive, wire.send)
    assert cancelled.cancelled_caught
    assert only(runtime).outcome == "aborted"


async def test_wrapping_twice_is_handled_once(runtime: ZeroRetention) -> None:
    """An app inside two shells leaves one record."""
    app = runtime.asgi(runtime.asgi(answering(*reply(b"{}"))))
    wire = Wire(*body(b"{}"))
    await app(http_scope(), wire.receive, wire.send)
    assert only(runtime).response_bytes == 2


async def test_the_exchange_is_current_inside_only(runtime: ZeroRetention) -> None:
    """``current()`` names the exchange to the code it runs, and None to all other."""
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(current())
        seen.append(await anyio.to_thread.run_sync(current))
        for message in reply(b"{}"):
            await send(message)

    wire = Wire(*body(b""))
    assert current() is None
    await runtime.asgi(app)(http_scope(), wire.receive, wire.send)
    assert current() is None
    assert seen[0] is seen[1]
    assert seen[0].id == only(runtime).id


async def test_the_handlers_own_word_wins(runtime: ZeroRetention) -> None:
    """What a handler reports stands in the record, marked as reported."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = current()
        assert exchange is not None
        exchange.report(input_tokens=11, output_tokens=22, model="gpt-4o")
        for message in reply(json.dumps(CHAT).encode()):
            await send(message)

    wire = Wire(*body(b"{}"))
    await runtime.asgi(app)(http_scope(), wire.receive, wire.send)
    record = only(runtime)
    assert (record.input_tokens, record.output_tokens, record.usage_source) == (11, 22, "reported")


async def test_a_websocket_is_one_exchange(runtime: ZeroRetention) -> None:
    """A websocket connection leaves one record with the bytes of its messages."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"] * 2})
        await send({"type": "websocket.close", "code": 1000})

    wire = Wire({"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hé"})
    scope = {**http_scope("/ws"), "type": "websocket"}
    del scope["method"]
    await runtime.asgi(app)(scope, wire.receive, wire.send)
    record = only(runtime)
    assert (record.status, record.outcome, record.method) == (101, "completed", "GET")
    assert (record.request_bytes, record.response_bytes) == (3, 6)


async def test_a_lost_websocket_is_aborted(runtime: ZeroRetention) -> None:
    """A connection that breaks off is aborted; one that is closed in order is completed."""

    def app_of(code: int) -> tuple[ASGIApp, Wire]:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await receive()

        closing = {"type": "websocket.disconnect", "code": code}
        return app, Wire({"type": "websocket.connect"}, closing)

    for code in (1006, 1000):
        app, wire = app_of(code)
        scope = {**http_scope("/ws"), "type": "websocket"}
        await runtime.asgi(app)(scope, wire.receive, wire.send)
    outcomes = [record.outcome for record in testing.usage_records(runtime)]
    assert outcomes == ["aborted", "completed"]


async def test_lifespan_starts_and_drains(runtime: ZeroRetention) -> None:
    """Lifespan events pass through; after shutdown every record stands in the sinks."""
    runtime.close()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        assert runtime.posture()["started"]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    wire = Wire({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await runtime.asgi(app)({"type": "lifespan"}, wire.receive, wire.send)
    assert [message["type"] for message in wire.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_identify_may_be_sync_or_async() -> None:
    """The account comes from ``identify``; what is no plain identifier is recorded as its HMAC."""

    async def later(credential: str) -> str | None:
        await anyio.lowlevel.checkpoint()
        return "ann@example.com" if credential == "sk-good" else None

    def at_once(credential: str) -> str | None:
        return "acme-7" if credential == "sk-good" else None

    scope = http_scope(headers=[(b"authorization", b"Bearer sk-good")])
    accounts: list[Any] = []
    keys: set[Any] = set()
    for identify in (later, at_once):
        with testing.memory_runtime(identify=identify) as runtime:
            wire = Wire(*body(b"{}"))
            await runtime.asgi(answering(*reply(b"{}")))(dict(scope), wire.receive, wire.send)
            record = only(runtime)
            accounts.append(record.account)
            keys.add(record.key_id)
            assert len(str(record.key_id)) == 40
    assert accounts[1] == "acme-7"
    assert accounts[0].startswith("h_")
    assert "ann" not in accounts[0]
    assert len(keys) == 1, "the same credential has the same id within an installation"


async def test_an_unknown_key_has_no_id_unless_the_app_took_it(runtime: ZeroRetention) -> None:
    """A credential nobody vouched for is named only if the app accepted it."""
    scope = http_scope(headers=[(b"x-api-key", b"guess")])
    for status in (401, 200):
        wire = Wire(*body(b"{}"))
        app = runtime.asgi(answering(*reply(b"{}", status)))
        await app(dict(scope), wire.receive, wire.send)
    refused, taken = testing.usage_records(runtime)
    assert refused.key_id is None
    assert taken.key_id is not None


async def test_an_error_in_identify_does_not_hurt_the_reply() -> None:
    """A broken ``identify`` costs the account, not the answer."""

    def identify(credential: str) -> str | None:
        raise RuntimeError(credential)

    with testing.memory_runtime(identify=identify) as runtime:
        wire = Wire(*body(b"{}"))
        scope = http_scope(headers=[(b"x-api-key", b"k")])
        await runtime.asgi(answering(*reply(b"{}")))(scope, wire.receive, wire.send)
        assert only(runtime).account is None
        assert runtime.posture()["failures"] == {"identify": 1}
        assert len(wire.sent) == 2


async def test_content_is_let_go_when_grace_is_over() -> None:
    """With no grace, nothing refers to the exchange's content once the reply has ended."""
    kept: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kept.append(current())
        await receive()
        for message in reply(b"{}"):
            await send(message)

    with testing.memory_runtime(grace=0.0) as runtime:
        wire = Wire(*body(b"a prompt"))
        await runtime.asgi(app)(http_scope(), wire.receive, wire.send)
        assert kept[0].closed
        assert kept[0].chunks == []
        assert kept[0].credential is None


async def test_the_middleware_form_shares_one_runtime() -> None:
    """A framework that builds the middleware again and again gets one runtime."""
    app = answering(*reply(b"{}"))
    try:
        built = [
            ZeroRetentionMiddleware(app, policy="usage-only", sinks=["memory:"], journal="memory")
            for _ in range(30)
        ]
        assert len({id(one.runtime) for one in built}) == 1
    finally:
        testing.uninstall()


@pytest.mark.parametrize("refusal", ["raises", "raises when asked", "returns"])
async def test_an_app_without_a_lifespan_has_the_runtimes(
    runtime: ZeroRetention, refusal: str
) -> None:
    """The server's start and stop reach the runtime though the app knows no lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if refusal == "raises when asked":
            await receive()
        if refusal.startswith("raises"):
            raise ValueError("this app can only handle HTTP")

    wire = Wire({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await runtime.asgi(app)({"type": "lifespan"}, wire.receive, wire.send)
    assert [message["type"] for message in wire.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
