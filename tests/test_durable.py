"""Replies that depend on the journal: synced before their end, or refused while it is full."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest

from zeroret import ZeroRetention
from zeroret.durable import BODY
from zeroret.types import Environ, Message, Receive, Scope, Send, StartResponse

pytestmark = pytest.mark.anyio
HTTP: dict[str, Any] = {"type": "http", "method": "POST", "path": "/v1/chat", "headers": []}


async def chunks(_scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in three pieces."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(3):
        await send({"type": "http.response.body", "body": b"piece", "more_body": number < 2})


async def receive() -> Message:
    """Give a short body."""
    return {"type": "http.request", "body": b"{}"}


async def call(runtime: ZeroRetention, send: Send) -> None:
    """Make one request."""
    await runtime.asgi(chunks)(dict(HTTP), receive, send)


def pieces(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer in three pieces."""
    start_response("200 OK", [])
    yield from (b"piece", b"piece", b"piece")


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each sync of a file among other events."""
    events: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        events.append("sync")

    monkeypatch.setattr(os, "fsync", fsync)
    return events


async def test_a_reply_ends_when_its_record_is_on_the_disk(
    syncs: list[str], tmp_path: Path
) -> None:
    """With ``fsync="always"`` the last piece waits for the sync, and no other one does."""

    async def send(message: Message) -> None:
        syncs.append(message["type"].rpartition(".")[2])

    options: Any = {"journal": tmp_path / "j", "fsync": "always"}
    with ZeroRetention("usage-only", ["memory:durable"], **options) as runtime:
        await runtime.asgi(chunks)(dict(HTTP), receive, send)
        syncs.clear()
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(call, runtime, send)
        pieces_before_sync = syncs[: syncs.index("sync")].count("body")
        assert pieces_before_sync <= 10
        assert syncs[-1] == "body"
        assert 1 <= syncs.count("sync") <= 5
        assert runtime.failures == {}


def test_wsgi_waits_in_its_own_thread(syncs: list[str], tmp_path: Path) -> None:
    """A WSGI reply ends after the sync, too."""
    options: Any = {"journal": tmp_path / "j", "fsync": "always"}
    with ZeroRetention("usage-only", ["memory:durable"], **options) as runtime:
        for _ in range(2):  # the first one makes the files
            syncs.clear()
            environ: Environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
            response: Any = runtime.wsgi(pieces)(environ, lambda *_: lambda _data: None)
            list(response)
            response.close()
        assert syncs == ["sync"]


async def test_other_choices_wait_for_nothing(syncs: list[str], tmp_path: Path) -> None:
    """By default no reply waits for a disk."""

    async def send(_message: Message) -> None:
        pass

    with ZeroRetention("usage-only", ["memory:durable"], journal=tmp_path / "j") as runtime:
        syncs.clear()  # the start makes the pepper, which is synced
        await runtime.asgi(chunks)(dict(HTTP), receive, send)
    assert syncs == []


def fill(runtime: ZeroRetention) -> None:
    """Let the journal meet a full disk."""
    journal: Any = runtime.journal
    own = journal._begin()
    own.writer._bound = 0
    from zeroret.usage.record import UsageRecord

    journal.append(UsageRecord(id="0190a1b2-0000-7000-8000-000000000001", policy="p@1"))


async def test_new_requests_are_refused_while_the_disk_is_full(tmp_path: Path) -> None:
    """With ``journal_full="refuse"`` clients get a 503 that says when to come again."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    options: Any = {"journal": tmp_path / "j", "journal_full": "refuse"}
    with ZeroRetention("usage-only", ["memory:full"], **options) as runtime:
        await runtime.asgi(chunks)(dict(HTTP), receive, send)
        assert sent[0]["status"] == 200
        fill(runtime)
        sent.clear()
        await runtime.asgi(chunks)(dict(HTTP), receive, send)
        assert sent[0]["status"] == 503
        assert (b"retry-after", b"1") in sent[0]["headers"]
        assert sent[1]["body"] == BODY
        sent.clear()
        socket = {"type": "websocket", "path": "/ws", "headers": []}
        await runtime.asgi(chunks)(socket, receive, send)
        assert sent == [{"type": "websocket.close", "code": 1013}]
        environ: Environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
        told: list[Any] = []

        def start_response(*given: Any) -> Any:
            told.append(given[0])

        response: Any = runtime.wsgi(pieces)(environ, start_response)
        assert (list(response), told) == ([BODY], ["503 Service Unavailable"])
        response.close()
        runtime.journal._own.writer._bound = 2**30  # type: ignore[union-attr] # a journal on disk
        runtime.journal._retry_at = 0.0  # type: ignore[union-attr] # likewise
        sent.clear()
        await runtime.asgi(chunks)(dict(HTTP), receive, send)
        assert sent[0]["status"] == 200


async def test_by_default_a_full_disk_costs_nobody_a_reply(tmp_path: Path) -> None:
    """Records wait in memory, and requests are answered."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with ZeroRetention("usage-only", ["memory:full"], journal=tmp_path / "j") as runtime:
        await runtime.asgi(chunks)(dict(HTTP), receive, send)
        fill(runtime)
        await runtime.asgi(chunks)(dict(HTTP), receive, send)
        assert [each["status"] for each in sent if "status" in each] == [200, 200]
        assert runtime.posture()["journal"]["journal"]["errors"] >= 1
