"""An app that tries to write, in every way, and says what came of it; for `zeroret run`.

In report mode, so that what refuses is the kernel. ``kill`` crashes the process.
"""

from __future__ import annotations

import ctypes
import json
import logging.handlers
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from zeroret import ZeroRetention
from zeroret.guards import process
from zeroret.types import Environ, Receive, Scope, Send, StartResponse

zr = ZeroRetention("usage-only", ["memory:"], journal="memory", mode="report")


def _python(path: str) -> None:
    Path(path).write_bytes(b"x")


def _descriptor(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))


def _library(path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.open(os.fsencode(path), os.O_WRONLY | os.O_CREAT, 0o600) < 0:
        raise OSError(ctypes.get_errno(), "libc")


def _child(path: str) -> None:
    done = subprocess.run(["/bin/sh", "-c", 'echo x > "$0"', path], stderr=-1, check=False)
    if done.returncode:
        raise PermissionError(13, done.stderr.decode()[-40:])


def _rotation(path: str) -> None:
    """Rotate a log; `logging` swallows what goes wrong in a record, so the handler is asked."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=1, backupCount=1)
    handler.doRollover()
    handler.close()


def _folder(path: str) -> None:
    Path(path).mkdir()


def _link(path: str) -> None:
    Path(path).symlink_to("/etc/hosts")


WAYS: dict[str, Callable[[str], None]] = {
    "python": _python,
    "descriptor": _descriptor,
    "library": _library,
    "child": _child,
    "rotation": _rotation,
    "folder": _folder,
    "link": _link,
}


def answer(query: str) -> bytes:
    """Return what became of a write in every way beneath the folder that *query* names."""
    if query == "kill":
        os.kill(os.getpid(), signal.SIGSEGV)
    results: dict[str, Any] = {"posture": zr.posture()["guards"], "told": process.told()}
    for name, write in WAYS.items():
        try:
            write(f"{query}/{name}-{os.getpid()}")
            results[name] = "written"
        except OSError as error:
            results[name] = type(error).__name__
    with tempfile.NamedTemporaryFile() as file:
        results["temporary"] = file.name
    return json.dumps(results | {"pid": os.getpid()}).encode()


def over_wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer."""
    body = answer(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def over_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": f"{message['type']}.complete"})
        return
    body = answer(scope["query_string"].decode())
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


wsgi = zr.wsgi(over_wsgi)
asgi = zr.asgi(over_asgi)
