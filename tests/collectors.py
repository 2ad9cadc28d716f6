"""Collectors: local endpoints that take telemetry as real ones do, and keep all they were sent."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Collector:
    """What one endpoint has received, decompressed."""

    def __init__(self) -> None:
        self.port = 0
        self.received: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def everything(self) -> bytes:
        """Return paths, headers and bodies, one after the other."""
        return b"\n".join(
            path.encode() + repr(headers).encode() + body for path, headers, body in self.received
        )

    def bodies(self, path: str = "") -> list[bytes]:
        """Return the bodies of requests whose path holds *path*."""
        return [body for at, _, body in self.received if path in at]

    def json(self, path: str = "") -> list[Any]:
        """Return those bodies, read as JSON."""
        return [json.loads(body) for body in self.bodies(path)]


@contextmanager
def collecting(answer: bytes = b"{}") -> Iterator[Collector]:
    """Run a collector on this machine that answers every POST with 200 and *answer*."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            encoding = self.headers.get("Content-Encoding")
            if encoding == "gzip":
                body = gzip.decompress(body)
            elif encoding == "deflate":
                body = zlib.decompress(body)
            collector.received.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the inherited name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
