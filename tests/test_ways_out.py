"""Network and stores of a served application: what a handler can still do, and what it cannot."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from scenes import Listener
from zeroret import ZeroRetention, testing
from zeroret.errors import RetentionViolation
from zeroret.types import ASGIApp, Message, Receive, Scope, Send

PROMPT = "the words of a prompt that nobody else would say"
COOKIE = "8s3kq0vv1l2m4n5p6q7r8s9t0u1v2w3x"


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A server on loopback."""
    made = Listener()
    yield made
    made.stop()


def call(runtime: ZeroRetention, app: ASGIApp) -> list[Message]:
    """Make one call of *app* with the prompt in its body; return what it sent."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps({"q": PROMPT}).encode()}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"cookie", b"sid=" + COOKIE.encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}

    async def run() -> None:
        await runtime.asgi(app)(scope, receive, send)

    asyncio.run(run())
    return sent


def asking(url: str, caught: list[BaseException]) -> ASGIApp:
    """Return an app that hands the prompt on to *url*, and answers whatever happens."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        try:
            async with httpx.AsyncClient() as client:
                await client.post(url, content=body)
        except RetentionViolation as refused:
            caught.append(refused)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answered"})

    return app


def test_a_handler_is_told_and_its_reply_goes_on(listener: Listener) -> None:
    """The refusal is the handler's to catch; reply, record and count are whole."""
    caught: list[BaseException] = []
    with testing.memory_runtime(upstreams=["api.openai.com"]) as runtime:
        before = runtime.posture()["violations"].get("upstream.refused", 0)
        sent = call(runtime, asking(listener.url, caught))
        records = testing.usage_records(runtime)
        after = runtime.posture()["violations"]["upstream.refused"]
    assert listener.requests == []
    assert [type(error) for error in caught] == [RetentionViolation]
    assert "test_ways_out.py" in str(caught[0])
    assert sent[-1]["body"] == b"answered"
    assert [record.outcome for record in records] == ["completed"]
    assert after == before + 1


@pytest.mark.parametrize("options", [{}, {"upstreams": ["localhost"]}, {"mode": "report"}])
def test_an_upstream_is_asked_as_ever(options: dict[str, Any], listener: Listener) -> None:
    """By default this machine may be asked; in report mode anybody may."""
    caught: list[BaseException] = []
    if options.get("mode") == "report":
        options = options | {"upstreams": ["api.openai.com"]}
    with testing.memory_runtime(**options) as runtime:
        call(runtime, asking(listener.url, caught))
    assert caught == []
    assert [json.loads(noted.body) for noted in listener.requests] == [{"q": PROMPT}]


def test_sessions_are_stored_and_prompts_are_not(tmp_path: Path) -> None:
    """With no store named, what belongs to the caller's own cookie may be written, and no more."""
    path = tmp_path / "app.db"
    refused: list[str] = []
    with testing.memory_runtime(writable=[path]) as runtime, closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE notes (body)")

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            body = (await receive())["body"].decode()
            for text in (f"session:{COOKIE}", json.loads(body)["q"], "the program's own words"):
                try:
                    db.execute("INSERT INTO notes VALUES (?)", (text,))
                except RetentionViolation:
                    refused.append(text)
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

        call(runtime, app)
        rows = [body for (body,) in db.execute("SELECT body FROM notes")]
    assert rows == [f"session:{COOKIE}", "the program's own words"]
    assert refused == [PROMPT]
