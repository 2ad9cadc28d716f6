"""Replies that depend on the journal: held until their record is on the disk, or refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zeroret.exchange import Exchange
    from zeroret.types import Environ, Message, Receive, Scope, Send, StartResponse

UNAVAILABLE: Final = 503
"""What a request gets while usage cannot be recorded and ``journal_full="refuse"`` is set."""

RETRY_AFTER: Final = "1"
"""Seconds after which the journal is tried again."""

BODY: Final = (
    b'{"error":{"type":"service_unavailable","message":"usage cannot be recorded at the moment"}}'
)

_RESPONSE: Final = frozenset({"http.response.body", "http.response.pathsend", "websocket.close"})


class DurableSend:
    """An ASGI ``send`` that lets a reply's end pass when its record is on the disk.

    It stands outside the shell, which writes the record before it hands the end on. The wait is in
    a thread; one sync serves all replies that wait at that moment.
    """

    __slots__ = ("_exchange", "_send")

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange = exchange
        self._send = send

    async def __call__(self, message: Message) -> None:
        """Send *message*, after the sync if it ends the reply."""
        if self._exchange.finished and message["type"] in _RESPONSE:
            await in_thread(self._exchange.journal.wait_durable)
        await self._send(message)


async def in_thread(call: Callable[[], Any]) -> None:
    """Await *call* in a thread, under asyncio and trio alike."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        await trio.to_thread.run_sync(call)
    else:
        await loop.run_in_executor(None, call)


async def unavailable_asgi(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer one connection with a 503: the ASGI application of a journal that takes nothing."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013})  # RFC 6455, registry: try again later
        return
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(BODY)),
        (b"retry-after", RETRY_AFTER.encode()),
    ]
    await send({"type": "http.response.start", "status": UNAVAILABLE, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def unavailable_wsgi(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer one request with a 503: the WSGI application of a journal that takes nothing."""
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(BODY))),
        ("Retry-After", RETRY_AFTER),
    ]
    start_response("503 Service Unavailable", headers)
    return [BODY]
