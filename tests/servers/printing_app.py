# ruff: noqa: T201 - printing is what it is for
"""A careless application that prints, warns and fails in every way, over ASGI and over WSGI."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from zeroret import ZeroRetention
from zeroret.types import Environ, StartResponse

zr = ZeroRetention("usage-only", ["memory:"], journal="memory", grace=0.2)
write_early = sys.stdout.write
print("the application is loaded", 1)


class Failing:
    """Fails when nobody needs it any more."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __del__(self) -> None:
        raise LookupError(self.text)


def fail(text: str) -> None:
    """Fail."""
    raise LookupError(text)


def later(text: str) -> None:
    """Print and fail in a thread, when the reply and its grace are long over."""
    threading.Event().wait(0.6)
    print("later", text)
    fail(text)


def careless(text: str) -> None:
    """Do it in every way."""
    print("asked", text, 3)
    print(f"asked {text}", file=sys.stderr)
    write_early(text + "\n")
    sys.stdout.buffer.write(text.encode() + b"\n")
    os.write(2, text.encode() + b"\n")
    for letter in text:
        print(letter, end="", flush=True)
    print()
    warnings.warn(text, stacklevel=1)
    try:
        fail(text)
    except LookupError:
        traceback.print_exc()
    Failing(text)
    gc.collect()
    for target in (fail, later):
        threading.Thread(target=target, args=(text,), name=text).start()
    print("answered in", 12.5, "ms")


async def chat(request: Request) -> PlainTextResponse:
    """Be careless with a body, on the loop too, and after the reply."""
    text = (await request.body()).decode()
    careless(text)
    loop = asyncio.get_running_loop()
    loop.call_soon(fail, text)
    loop.call_later(0.5, fail, text)
    asyncio.ensure_future(asyncio.to_thread(fail, text))  # noqa: RUF006 - nobody asks for it
    loop.call_exception_handler({"message": text, "exception": ValueError(text)})
    return PlainTextResponse("fine", background=BackgroundTask(after, text))


def after(text: str) -> None:
    """Print and fail behind the reply."""
    print("after", text)
    fail(text)


async def talk(socket: WebSocket) -> None:
    """Be careless with a message."""
    await socket.accept()
    text = await socket.receive_text()
    print("heard", text)
    fail(text)


asgi: Any = zr.install(
    Starlette(routes=[Route("/", chat, methods=["POST"]), WebSocketRoute("/talk", talk)])
)


def over_wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Be careless with a body."""
    text = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()
    careless(text)
    environ["wsgi.errors"].write(f"{text}\n")
    start_response("200 OK", [("Content-Length", "4")])
    if environ["PATH_INFO"] == "/fail":
        fail(text)
    return [b"fine"]


wsgi = zr.wsgi(over_wsgi)
