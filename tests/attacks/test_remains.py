"""What is left when the grace is over: nothing of ours refers to content, no file is another's."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from zeroret import ConfigurationError, ZeroRetention
from zeroret.content.flight import LAST
from zeroret.journal.pepper import pepper
from zeroret.types import Receive, Scope, Send

Answering = Callable[..., Awaitable[None]]
pytestmark = pytest.mark.usefixtures("every_object")

ENDS = ("reply", "crash", "named", "abort", "stream")


def holders(secret: str) -> list[str]:
    """Return the types of our objects that refer to a text with *secret* in it."""
    gc.collect()
    found = []
    for each in gc.get_objects():
        if str(type(each).__module__).startswith("zeroret") and not isinstance(each, type):
            for held in gc.get_referents(each):
                inside = held if type(held) in (list, tuple) else [held]
                if any(type(one) in (str, bytes) and secret in str(one) for one in inside):
                    found.append(type(each).__qualname__)
    return found


@pytest.mark.parametrize("end", ENDS)
def test_nothing_of_ours_refers_to_content_after_the_grace(
    end: str, server: Any, answering: Answering
) -> None:
    """However the exchange ended, and though its context and its objects are still there."""
    secret = secrets.token_hex(8)
    seen: list[Any] = []
    found: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        seen.append(scope["zeroret.exchange"])
        found.extend(holders(secret))
        if end == "crash":
            raise ValueError(message["body"])
        if end == "named":
            raise type(secret, (ValueError,), {})(secret)
        if end == "abort":
            raise asyncio.CancelledError(secret)
        if end == "stream":
            kind = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": kind})
            await send({"type": "http.response.body", "body": message["body"], "more_body": True})
            return
        await answering(send, message["body"])

    async def main() -> None:
        body = b'{"model": "%b", "stream": true, "messages": []}' % secret.encode()
        headers = {"user-agent": secret, "authorization": f"Bearer {secret}", "x-note": secret}
        await server.call(app, "/v1/chat/completions", body, headers=headers)
        assert "Exchange" in found  # while it ran
        await asyncio.sleep(0.3)
        assert seen[0].closed
        assert not holders(secret)

    asyncio.run(main())


def reached(start: object) -> list[object]:
    """Return everything that *start* leads to, through containers and objects of ours."""
    found: dict[int, object] = {}
    waiting = [start]
    while waiting:
        each = waiting.pop()
        if id(each) in found or isinstance(each, type | ModuleType | ZeroRetention):
            continue
        found[id(each)] = each
        ours = str(type(each).__module__).startswith("zeroret")
        if ours or isinstance(each, dict | list | tuple | set | frozenset | deque):
            waiting += gc.get_referents(each)
    return list(found.values())


def test_what_keeps_an_exchange_keeps_no_content(server: Any, answering: Answering) -> None:
    """Contexts of workers, tasks and callbacks outlive the exchange; they hold it empty."""
    secret = secrets.token_hex(8)
    kept: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        loop = asyncio.get_running_loop()
        kept.append(contextvars.copy_context())
        kept.append(loop.call_later(60, print))
        kept.append(asyncio.create_task(asyncio.sleep(60)))
        kept.append(await loop.run_in_executor(None, contextvars.copy_context))
        kept.append(scope["zeroret.exchange"])
        await answering(send, message["body"])

    async def main() -> None:
        reply = await server.call(
            app,
            f"/v1/{secret}/chat/completions",
            b'{"model": "%b", "messages": [], "%b": 1}' % (secret.encode(), secret.encode()),
            headers=dict.fromkeys(("user-agent", "authorization", "cookie", "x-note"), secret),
        )
        assert reply.raised is None
        await asyncio.sleep(0.3)
        exchange = kept[-1]
        assert kept[0][LAST] is kept[3][LAST] is exchange
        shown = [str(each) for each in reached(exchange)]
        assert len(shown) > 20
        assert not [each for each in shown if secret in each]
        kept[1].cancel()
        kept[2].cancel()

    asyncio.run(main())


def test_a_method_that_a_client_made_up_is_not_kept(server: Any, answering: Answering) -> None:
    """Any token is a method to HTTP: only the known ones are remembered."""
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["zeroret.exchange"])
        await answering(send)

    async def main() -> None:
        scope = {**_SCOPE, "method": "SECRET"}
        await server.runtime.asgi(app)(scope, _receive, _send)

    asyncio.run(main())
    assert seen[0].method == ""
    assert server.records()[-1].method == "other"


def test_a_class_made_of_content_is_let_go(server: Any) -> None:
    """Standing in for an exception keeps no class alive that the exchange made."""
    name = "made_" + secrets.token_hex(8)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise type(name, (ValueError,), {})

    asyncio.run(server.call(app))
    gc.collect()
    name_of: Any = type.__dict__["__name__"].__get__  # other tests' classes refuse to be asked
    classes = [each for each in gc.get_objects() if issubclass(type(each), type)]
    assert not [each for each in classes if name_of(each) == name]


def test_our_own_objects_say_nothing_of_content(server: Any, answering: Answering) -> None:
    """The repr of runtime, exchange, meter and live set names no byte of the request."""
    secret = secrets.token_hex(8)
    said: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        exchange = scope["zeroret.exchange"]
        said.extend(map(repr, (exchange, exchange.meter, exchange.index, server.runtime)))
        said.append(repr(server.runtime.posture()))
        await answering(send)

    asyncio.run(server.call(app, "/v1/chat/completions", secret.encode()))
    assert len(said) == 5
    assert not any(secret in each for each in said)


def test_tiny_chunks_do_not_pile_up(server: Any, answering: Answering) -> None:
    """Empty chunks are not referenced, and of the smallest only so many."""
    counted: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        counted.append(len(scope["zeroret.exchange"].chunks))
        await answering(send)

    asyncio.run(server.call(app, "/", *[b""] * 50_000, b"x"))
    asyncio.run(server.call(app, "/", *[b"ab"] * 140_000))
    assert counted[0] < 10
    assert counted[1] <= 2**17


@pytest.mark.parametrize("trap", ["link", "writable", "fifo", "folder", "long"])
def test_a_pepper_that_others_made_is_refused(trap: str, tmp_path: Path) -> None:
    """Links, files that others may write, and what is no pepper stop the start, and say so."""
    folder, planted = tmp_path / "journal", tmp_path / "planted"
    folder.mkdir(mode=0o700)
    planted.write_bytes(b"k" * 32)
    file = folder / "pepper"
    if trap == "link":
        file.symlink_to(planted)
    elif trap == "writable":
        file.write_bytes(b"k" * 32)
        file.chmod(0o666)
    elif trap == "fifo":
        os.mkfifo(file, 0o600)
    elif trap == "folder":
        file.mkdir()
    else:
        file.write_bytes(b"k" * 33)
        file.chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        pepper(folder)
    assert "kkk" not in str(caught.value)


def test_a_pepper_that_was_restored_becomes_private(tmp_path: Path) -> None:
    """One that others could read is used, and readable by nobody else from then on."""
    folder = tmp_path / "journal"
    folder.mkdir(mode=0o700)
    (folder / "pepper").write_bytes(b"k" * 32)
    (folder / "pepper").chmod(0o644)
    assert pepper(folder) == b"k" * 32
    assert (folder / "pepper").stat().st_mode & 0o777 == 0o600


def test_a_journal_is_not_followed_to_another_place(tmp_path: Path) -> None:
    """A link, or a folder that everybody may write, is refused; files are for their owner alone."""
    elsewhere, link = tmp_path / "elsewhere", tmp_path / "link"
    elsewhere.mkdir()
    link.symlink_to(elsewhere)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    for place in (link, shared):
        with pytest.raises(ConfigurationError):
            ZeroRetention("usage-only", ["memory:"], journal=str(place)).start()
    assert not list(elsewhere.iterdir())
    own = tmp_path / "own"
    database = tmp_path / "usage.db"
    with ZeroRetention("usage-only", [f"sqlite:///{database}"], journal=str(own)) as runtime:
        asyncio.run(runtime.asgi(_answer)(_SCOPE, _receive, _send))  # type: ignore[arg-type] # a coroutine
        assert runtime.flush()
        modes = {file.stat().st_mode & 0o077 for file in (*own.iterdir(), database, own)}
    assert modes == {0}


_SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}


async def _receive() -> Any:
    return {"type": "http.request", "body": b""}


async def _send(message: Any) -> None:
    pass


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})
