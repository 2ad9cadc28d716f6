"""Run one application of the demo under uvicorn: ``python -m zeroret.cli.demo.serving``.

``MODULE FD READY``: the module whose ``app`` is served, the descriptor of a listening socket, and
a file that is made as soon as requests are answered. uvicorn's own logging stays as it comes:
access lines on stdout, tracebacks on stderr. When the other end of stdin closes, the demo has ended
(however it did), and so does the server.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path

import uvicorn


class AnnouncingServer(uvicorn.Server):
    """A server that makes a file once it has started."""

    def __init__(self, config: uvicorn.Config, ready: Path) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self._ready.touch()


def main() -> None:
    """Serve what the command line names until a signal comes."""
    module, descriptor, ready = sys.argv[1:]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    listening = socket.socket(fileno=int(descriptor))
    config = uvicorn.Config(f"{module}:app", timeout_graceful_shutdown=5)
    AnnouncingServer(config, Path(ready)).run(sockets=[listening])


def _end_with_parent() -> None:
    os.read(0, 1)  # sys.stdin has a lock, which a daemon thread may not hold at exit
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
