"""A program that measures the memory of one large exchange, bare and wrapped, in megabytes.

Arguments: the kind of body (``json``, ``stream``, ``line``, ``gzip``, ``dense``), and its megabytes
each way before it is compressed: ``gzip`` to a thousandth, ``dense`` to a hundredth. Prints by how
much the resident set grew at its peak, bare and then wrapped.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
import zlib
from collections.abc import Iterator
from hashlib import sha512
from pathlib import Path

from zeroret import testing
from zeroret.types import ASGIApp, Message, Receive, Scope, Send

CHUNK = 65536
PATH = "/v1/chat/completions"
JSON_TYPE = (b"content-type", b"application/json")
SSE_TYPE = (b"content-type", b"text/event-stream")
GZIP = (b"content-encoding", b"gzip")
CODED = ("gzip", "dense")
CLEAR_REFS = os.open("/proc/self/clear_refs", os.O_WRONLY)  # root's once a runtime has started
HEAD = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "'
EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "%08d some words"}}]}\n\n'


def text(number: int) -> bytes:
    """Return a chunk of a long text, an object of its own."""
    words = b"%08d words of a long text, " % number
    return words * (CHUNK // len(words))


def dense(number: int) -> bytes:
    """Return a chunk that compresses a hundredfold."""
    noise = (sha512(b"%d %d" % (number, part)).hexdigest() for part in range(CHUNK // 8192))
    return b"".join(each.encode() + b"y" * 8064 for each in noise)


def events(number: int) -> bytes:
    """Return a chunk of whole events."""
    return EVENT % number * (CHUNK // len(EVENT))


def body(kind: str, megabytes: int) -> Iterator[bytes]:
    """Yield the chunks of a body; each is made when it is sent and kept by nobody."""
    count = megabytes * 2**20 // CHUNK
    if kind == "json":
        yield HEAD
        yield from map(text, range(count))
        yield b'"}]}'
    elif kind == "stream":
        yield from map(events, range(count))
        yield b"data: [DONE]\n\n"
    elif kind == "line":
        yield b'data: {"'
        yield from map(text, range(count))
    else:
        packer = zlib.compressobj(wbits=31)
        yield packer.compress(HEAD)
        for number in range(count):
            yield packer.compress(text(0) if kind == "gzip" else dense(number))
        yield packer.compress(b'"}]}') + packer.flush()


def app_of(kind: str, megabytes: int) -> ASGIApp:
    """Return an app that takes a large body without keeping it, and sends as large a one."""
    headers = [SSE_TYPE if kind in ("stream", "line") else JSON_TYPE]
    if kind in CODED:
        headers.append(GZIP)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for chunk in body(kind, megabytes):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body"})

    return app


async def serve(app: ASGIApp, kind: str, megabytes: int) -> None:
    """Send one request as large as the answer will be."""
    chunks = body(kind if kind in CODED else "json", megabytes)
    headers = [JSON_TYPE, GZIP] if kind in CODED else [JSON_TYPE]

    async def receive() -> Message:
        chunk = next(chunks, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    async def send(message: Message) -> None:
        pass

    await app({"type": "http", "method": "POST", "path": PATH, "headers": headers}, receive, send)


def resident(field: str) -> float:
    """Return one of the process's memory numbers in megabytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def growth(app: ASGIApp, kind: str, megabytes: int) -> float:
    """Return by how many megabytes the resident set grew at its peak while *app* served."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    os.pwrite(CLEAR_REFS, b"5", 0)  # the peak starts anew
    before = resident("VmRSS")
    asyncio.run(serve(app, kind, megabytes))
    return resident("VmHWM") - before


def main() -> None:
    """Measure and print."""
    kind, megabytes = sys.argv[1], int(sys.argv[2])
    with testing.memory_runtime(grace=0) as runtime:
        runtime.counter.count("load the vocabulary beforehand", model="gpt-4o")
        app = app_of(kind, megabytes)
        asyncio.run(serve(runtime.asgi(app), kind, 0))
        bare = growth(app, kind, megabytes)
        print(bare, growth(runtime.asgi(app), kind, megabytes))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
