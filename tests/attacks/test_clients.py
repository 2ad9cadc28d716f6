"""A client chooses every byte of its requests: records, journal and store hold none of them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from zeroret import ZeroRetention, testing
from zeroret.types import Receive, Scope, Send

Answering = Callable[..., Awaitable[None]]
CHAT = "/v1/chat/completions"
SSE = [(b"content-type", b"text/event-stream")]
JSON = [(b"content-type", b"application/json")]
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
FAKE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
INJECTIONS = (
    "x'); DROP TABLE usage; --",
    'cnry\n00000000 {"id":"1"}\n',
    "cnry\r\ndata: [DONE]\r\n\r\n",
    "cnry\x00\x1b[2J\u2028",
    "{cnry.__class__}%(cnry)s%n${jndi:cnry}",
    "=cnry!A1",
    "gpt-4o\n",
    "gpt-4o/cnry",
    "cnry/gpt-4o",
    "ft:gpt-4o:cnry::1",
    "gpt-4o-20240101cnry",
    "x" * 100_000,
)


def request(model: object, **more: object) -> bytes:
    """Return a chat request."""
    messages = [{"role": "user", "content": "cnry"}]
    return json.dumps({"model": model, "messages": messages, **more}).encode()


@pytest.mark.parametrize("folder", ["journal", "memory"])
def test_what_a_client_writes_is_in_no_record_and_no_file(folder: str, tmp_path: Path) -> None:
    """Model, path, method, headers, address, credential and ids: none of it is kept."""
    place = "memory" if folder == "memory" else str(tmp_path / "journal")
    database = tmp_path / "usage.db"
    sinks = [f"sqlite:///{database}", f"jsonl:///{tmp_path / 'usage.jsonl'}"]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": JSON})
        body = {"model": scope["model"], "choices": [], "usage": USAGE, "id": scope["model"]}
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    async def main(runtime: ZeroRetention) -> None:
        for text in INJECTIONS:
            left = [{"type": "http.request", "body": request(text, user=text, metadata=text)}]
            raw = text.encode("utf-8", "replace")
            names = ("user-agent", "x-forwarded-for", "cookie", "x-request-id", "traceparent")
            scope = {
                "type": "http",
                "method": text,
                "path": f"/cnry/{text}{CHAT}",
                "query_string": raw,
                "headers": [(name.encode(), raw) for name in names]
                + [(b"authorization", b"Basic " + raw), (b"x-" + raw, raw)],
                "client": (text, 1),
                "model": text,
            }

            async def receive(left: list[Any] = left) -> Any:
                return left.pop() if left else {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                pass

            await runtime.asgi(app)(scope, receive, send)

    runtime = ZeroRetention("usage-only", sinks, journal=place)
    with runtime:
        asyncio.run(main(runtime))
        assert runtime.flush()
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for trace in (b"cnry", b"DROP", b"jndi", b"xxxxxxxx", b"Basic"):
        assert trace not in kept
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT request_model, method, route FROM usage").fetchall()
    connection.close()
    assert len(rows) == len(INJECTIONS)
    assert {row[0] for row in rows} <= {"other", "ft:gpt-4o", None}
    assert {row[1:] for row in rows} == {("other", "other")}


def event(data: object) -> bytes:
    """Return one event."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def test_text_that_looks_like_the_protocol_is_text(server: Any) -> None:
    """Usage, terminal events and errors quoted in an answer's text change no count."""
    bait = json.dumps({"usage": FAKE, "error": {"message": "x"}}) + "\n\ndata: [DONE]\n\n"
    call = {"id": "1", "function": {"name": "usage", "arguments": json.dumps({"usage": FAKE})}}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": SSE})
        for delta in ({"content": bait}, {"tool_calls": [call]}, {"usage": FAKE, "error": "x"}):
            choices = [{"index": 0, "delta": delta, "usage": FAKE}]
            await send(
                {
                    "type": "http.response.body",
                    "more_body": True,
                    "body": event({"choices": choices}),
                }
            )
        tail = event({"choices": [], "usage": USAGE}) + b"data: [DONE]\n\n"
        await send({"type": "http.response.body", "body": tail})

    asyncio.run(server.call(app, CHAT, request("gpt-4o", stream=True, usage=FAKE)))
    (record,) = server.records()
    assert (record.input_tokens, record.output_tokens) == (7, 3)
    assert (record.outcome, record.usage_source) == ("completed", "reported")


@pytest.mark.parametrize(
    "count", [-1, 2**63, 2**5000, 1e308, -0.5, float("nan"), True, "7", [7], {"a": 7}, None]
)
def test_a_count_that_is_none_is_not_kept(count: object, server: Any) -> None:
    """Negative, huge, fractional and foreign numbers leave no number behind."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        usage = {"prompt_tokens": count, "completion_tokens": count}
        body = json.dumps({"model": "gpt-4o", "choices": [], "usage": usage}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": JSON})
        await send({"type": "http.response.body", "body": body})

    asyncio.run(server.call(app, CHAT, request("gpt-4o", max_tokens=count, n=count)))
    (record,) = server.records()
    for name in ("input_tokens", "output_tokens"):
        value = getattr(record, name)
        assert value is None or type(value) is int
        assert value is None or 0 <= value < 100


BODIES = {
    "deep": b'{"model":"gpt-4o","messages":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "unclosed": b'{"model":"gpt-4o","messages":' + b"[" * 200_000,
    "surrogates": b'{"model":"\\ud800","messages":[{"role":"user","content":"\\udfff\\ud800"}]}',
    "not utf-8": b'{"model":"gpt-4o","messages":[{"role":"\xff","content":"\xc3\x28"}]}',
    "twice": b'{"model":"gpt-4o","model":"cnry","usage":{"prompt_tokens":1}}',
    "number": b'{"model":1e999999,"messages":%b}' % (b"9" * 100_000),
    "no object": b"[" + b"1," * 100_000 + b"1]",
    "nothing": b"",
}


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_costs_neither_reply_nor_record(
    name: str, server: Any, answering: Answering
) -> None:
    """The reply passes, one record is left; what could not be read is counted, nothing broke."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await answering(send)

    for path in (CHAT, "/v1/messages", "/v1/embeddings", "/v1/completions"):
        reply = asyncio.run(server.call(app, path, BODIES[name]))
        assert reply.body == b"fine"
        assert reply.raised is None
    records = server.records()
    assert len(records) == 4
    assert not any("cnry" in repr(record) for record in records)
    assert server.runtime.failures == {}


def test_a_credential_is_kept_only_as_a_keyed_digest(answering: Answering) -> None:
    """A key that the app refuses leaves nothing; one that it takes, no byte of itself."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        status = 200 if scope["path"] == "/good" else 401
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        pass

    found = []
    for header in ("authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"):
        with testing.memory_runtime() as runtime:
            for path in ("/good", "/bad"):
                scope = {"type": "http", "method": "GET", "path": path}
                head = {"headers": [(header.encode(), b"Bearer sk-cnry")], "query_string": b""}
                asyncio.run(runtime.asgi(app)({**scope, **head}, receive, send))  # type: ignore[arg-type] # a coroutine
            good, bad = testing.usage_records(runtime)
            assert bad.key_id is None
            assert "cnry" not in repr(good)
            found.append(good.key_id)
    assert all(found[:4])
    assert found[4] is None
