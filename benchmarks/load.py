"""A load generator of raw sockets: keep-alive connections, one request at a time on each.

Bounded in requests and in seconds. It knows each reply's length beforehand from the first one of
the connection (a Content-Length, or the end of a chunked body), so that it costs far less CPU than
the server it drives.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, cast

import uvloop
from rounds import serve

if TYPE_CHECKING:
    from typing import Any

    from workloads import Workload

_CHUNKED_END: Final = b"0\r\n\r\n"
_OK: Final = b"HTTP/1.1 200"


class Turn:
    """One turn of load: how many requests are left, and how long each took."""

    def __init__(self, requests: int, connections: int) -> None:
        self.left = requests
        self.open = connections
        self.latencies: list[float] = []
        self.failed: str | None = None
        self.done = asyncio.Event()

    def ended(self) -> None:
        """Note that one connection has nothing more to do."""
        self.open -= 1
        if not self.open:
            self.done.set()


class Connection(asyncio.Protocol):
    """One keep-alive connection that sends its next request when the last reply is whole."""

    def __init__(self, request: bytes, turn: Turn) -> None:
        self._request = request
        self._turn = turn
        self._transport: asyncio.Transport | None = None
        self._seen = 0
        self._whole: int | None = None
        self._head = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        """Take a piece of a reply."""
        if not self._seen:
            if not data.startswith(_OK):
                self._fail(data.partition(b"\r\n")[0].decode("latin-1"))
                return
            self._whole = _reply_length(data)
        self._seen += len(data)
        whole = data.endswith(_CHUNKED_END) if self._whole is None else self._seen >= self._whole
        if whole:
            self._turn.latencies.append(time.perf_counter() - self._sent)
            self._seen = 0
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, which must not come from the server in the middle of a turn."""
        if self._transport is not None:
            self._transport = None
            self._fail(f"the server closed a connection: {type(exc).__name__}")

    def _next(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if self._turn.left <= 0 or self._turn.failed:
            self._transport = None
            transport.close()
            self._turn.ended()
            return
        self._turn.left -= 1
        self._sent = time.perf_counter()
        transport.write(self._request)

    def _fail(self, why: str) -> None:
        self._turn.failed = self._turn.failed or why
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        self._turn.ended()


def _reply_length(data: bytes) -> int | None:
    """Return how long the reply is that begins with *data*, None for a chunked one."""
    head, blank, _ = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(head) + len(blank) + int(value)
    return None


def request_bytes(workload: Workload) -> bytes:
    """Return the bytes of one request of *workload*."""
    lines = [f"{workload.method} {workload.path} HTTP/1.1".encode()]
    lines += [name + b": " + value for name, value in workload.headers()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + workload.body


async def run(port: int, request: bytes, connections: int, requests: int, limit: float) -> Turn:
    """Drive one turn against *port*; at most *requests* requests and *limit* seconds."""
    loop = asyncio.get_running_loop()
    turn = Turn(requests, connections)
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(request, turn), "127.0.0.1", port)
    try:
        await asyncio.wait_for(turn.done.wait(), limit)
    except TimeoutError:
        turn.failed = turn.failed or f"not done within {limit:g} s"
    return turn


def main() -> None:
    """Drive turns as asked until standard input ends."""
    from workloads import WORKLOADS

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        request = request_bytes(WORKLOADS[question["work"]])
        started = time.perf_counter()
        turn = runner.run(
            run(
                question["port"],
                request,
                question["connections"],
                question["requests"],
                question["limit"],
            )
        )
        return {
            "wall": time.perf_counter() - started,
            "latencies": turn.latencies,
            "failed": turn.failed,
        }

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        serve(answer)


if __name__ == "__main__":
    main()
