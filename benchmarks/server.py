"""A server process of the load benchmark: uvicorn with one application of one variant."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

import uvicorn
import variants
import workloads
from rounds import tell
from starlette.applications import Starlette

_SERVED: Final = ("json", "healthz")


def application(stream: str) -> Starlette:
    """Return one application with every route under load; *stream* is the chat's streamed twin."""
    routes = [route for name in _SERVED for route in workloads.asgi_app(name).routes]
    routes += workloads.asgi_app(stream).routes
    return Starlette(routes=routes)


def main() -> None:
    """Serve until standard input ends, then print what the server ran with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", choices=variants.VARIANTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zeroret-benchmark-") as folder:
        _serve(arguments.variant, Path(folder))


def _serve(variant: str, folder: Path) -> None:
    app: Any = application("anthropic")
    made = variants.wrapped(variant, folder) if variant in variants.OPTIONS else None
    if made is not None:
        app = made.runtime.asgi(app)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", access_log=False, log_level="warning", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=_until_input_ends, args=(server,), daemon=True)
    thread.start()
    tell({"port": listener.getsockname()[1], "pid": os.getpid()})
    server.run(sockets=[listener])
    facts = {"peak_rss_mb": variants.peak_rss()} if made is None else made.facts()
    tell(facts)
    if made is not None:
        made.runtime.close()


def _until_input_ends(server: uvicorn.Server) -> None:
    sys.stdin.read()
    server.should_exit = True


if __name__ == "__main__":
    main()
