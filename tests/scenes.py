"""Scenes: exchanges with a boundary, and servers on loopback that note what reaches them."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from zeroret.content.boundary import Boundary
from zeroret.content.destinations import Stores, Upstreams
from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.content.live import LIVE
from zeroret.guards.violations import Violations


class Noted(NamedTuple):
    """A request that reached a server."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Listener:
    """A server on loopback that notes what reaches it and answers with a little JSON."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Noted] = []
        self.connections = 0
        self.redirect: str | None = None
        handler = type("Handler", (_Handler,), {"listener": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.scheme = "http" if context is None else "https"
        self.thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def url(self) -> str:
        """Its address by number."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def name(self) -> str:
        """Its entry among upstreams."""
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self.thread.join()
        self._server.server_close()


ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "created": 1,
    "content": [{"type": "text", "text": "ok"}],
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}}],
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
"""What passes for an answer of several APIs."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    listener: Listener

    def setup(self) -> None:
        self.listener.connections += 1
        super().setup()

    def log_message(self, *_: Any) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def do(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True
            return
        noted = Noted(self.command, self.path, dict(self.headers.items()), body)
        self.listener.requests.append(noted)
        if self.listener.redirect is not None:
            self._answer(307, b"", Location=self.listener.redirect)
        elif b'"stream":true' in body.replace(b" ", b""):
            chunk = b"data: " + json.dumps({"choices": [], "type": "ping"}).encode() + b"\n\n"
            self._answer(200, chunk + b"data: [DONE]\n\n", **{"Content-Type": "text/event-stream"})
        else:
            answer = json.dumps(ANSWER).encode()
            self._answer(200, answer, **{"Content-Type": "application/json"})

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do  # noqa: N815 - as http.server calls them

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes | None:
        """Read the body; None if the client went away within it."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            size = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(size)
            return body if len(body) == size else None
        parts: list[bytes] = []
        while size := int(self.rfile.readline() or b"-1", 16):
            if size < 0:
                return None
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)


class Scene:
    """What a test of a way out needs: a prompt, exchanges, servers, and a count of its own.

    Args:
        content: A prompt that stands in no source.
        counted: Where violations are counted meanwhile.
    """

    def __init__(self, content: str, counted: Violations) -> None:
        self.content = content
        self.counted = counted
        self._listeners: list[Listener] = []

    @cached_property
    def upstream(self) -> Listener:
        """A server that content may go to, once it is named."""
        return self.listener()

    @cached_property
    def evil(self) -> Listener:
        """A server that nobody names."""
        return self.listener()

    def listener(self, context: ssl.SSLContext | None = None) -> Listener:
        """Start one more server."""
        self._listeners.append(Listener(context))
        return self._listeners[-1]

    def stop(self) -> None:
        """End the servers."""
        for listener in self._listeners:
            listener.stop()

    def exchange(
        self,
        content: str | bytes | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        **boundary: Any,
    ) -> AbstractContextManager[Flight]:
        """Give a block that runs in an exchange with this boundary; its content is the prompt."""
        return _exchange(self.content if content is None else content, headers, **boundary)

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Give a block that runs as code which no exchange started."""
        current = CURRENT.set(None)
        try:
            yield
        finally:
            CURRENT.reset(current)


@contextmanager
def _exchange(
    content: str | bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = (), **boundary: Any
) -> Iterator[Flight]:
    if boundary.get("upstreams") is not None:
        boundary["upstreams"] = Upstreams.of(boundary["upstreams"])
    boundary["stores"] = Stores.of(boundary.get("stores", ()))
    names = boundary.pop("names", frozenset())
    flight = Flight(boundary=Boundary(**boundary), names=names)
    flight.hold(content)
    flight.headers = headers
    for _, value in headers:
        flight.hold(value)
    LIVE.enter(flight)
    current, last = CURRENT.set(flight), LAST.set(flight)
    try:
        yield flight
    finally:
        CURRENT.reset(current)
        LAST.reset(last)
        LIVE.leave(flight, 0)
