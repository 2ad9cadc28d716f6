"""Run one application of the demo under uvicorn: ``python -m zeroret.cli.demo.serving``.

``MODULE FD READY``: the module whose ``app`` is served, the descriptor of a listening socket, and
a file that is made as soon as requests are answered. uvicorn's own logging stays as it comes:
access lines on stdout, tracebacks on stderr.
"""

from __future__ import annotations

import socket
import sys
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
    listening = socket.socket(fileno=int(descriptor))
    config = uvicorn.Config(f"{module}:app", timeout_graceful_shutdown=5)
    AnnouncingServer(config, Path(ready)).run(sockets=[listening])


if __name__ == "__main__":
    main()
