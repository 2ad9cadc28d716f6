"""The server that the kill test kills: started as a program, it dies at one failpoint by SIGKILL.

Arguments: folder, failpoint, how many passes of the failpoint it survives, the sink's URI, and
optionally the address to listen on.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import zeroret
from zeroret.journal import Journal
from zeroret.journal.backlog import SegmentBacklog
from zeroret.recording import Recorder
from zeroret.sinks.postgresql import PostgresSink
from zeroret.sinks.sqlite import SqliteSink
from zeroret.types import ASGIApp, Message, Receive, Scope, Send

PAUSE = 0.05


class Failpoint:
    """Kills this process at its n-th passing."""

    def __init__(self, passes: int) -> None:
        self.passes = passes

    def reached(self) -> None:
        """Pass, or die."""
        self.passes -= 1
        if self.passes < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def after(owner: Any, name: str, failpoint: Failpoint, *, applies: Callable[..., bool]) -> None:
    """Let *failpoint* be reached each time that the method *name* of *owner* has returned."""
    method = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        if applies(*args):
            failpoint.reached()
        return result

    setattr(owner, name, wrapped)


def set_failpoint(name: str, passes: int) -> Failpoint:
    """Arm the failpoint called *name*; any other name arms none."""
    failpoint = Failpoint(passes)
    if name == "parsed":  # the record is made, and not yet appended

        def final(_self: Any, _exchange: Any, _metered: Any, outcome: str) -> bool:
            return outcome != "killed"  # a checkpoint makes one too

        after(Recorder, "record", failpoint, applies=final)
    elif name == "appended":  # the record is appended, its reply's end not yet sent
        after(Journal, "record", failpoint, applies=lambda *_: True)
    elif name == "peeked":  # a batch is read, the sink has not got it
        after(SegmentBacklog, "peek", failpoint, applies=lambda *_: True)
    elif name == "committed":  # the sink has committed, the cursor has not advanced
        after(SqliteSink, "write", failpoint, applies=lambda *_: True)
        after(PostgresSink, "write", failpoint, applies=lambda *_: True)
    elif name == "advanced":  # the cursor has advanced, nothing is collected yet
        after(SegmentBacklog, "advance", failpoint, applies=lambda *_: True)
    return failpoint


class SentFailpoint:
    """Outermost middleware whose failpoint is reached when a reply's last message was sent."""

    def __init__(self, app: ASGIApp, failpoint: Failpoint) -> None:
        self.app = app
        self.failpoint = failpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and die after the send."""

        async def send_and_die(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self.failpoint.reached()

        await self.app(scope, receive, send_and_die)


async def chat(request: Request) -> Response:
    """Answer with a stream of as many events as the client asks for, or with JSON."""
    body = await request.json()
    model, count = body["model"], body["n"]
    if not body.get("stream"):
        usage = {"prompt_tokens": count, "completion_tokens": count}
        return JSONResponse({"model": model, "choices": [], "usage": usage})
    return StreamingResponse(events(model, count), media_type="text/event-stream")


async def events(model: str, count: int) -> AsyncIterator[str]:
    """Give *count* deltas, the usage and the end."""
    for _ in range(count):
        yield f"data: {json.dumps({'model': model, 'choices': [{'delta': {'content': 'a '}}]})}\n\n"
        await asyncio.sleep(PAUSE)
    usage = {"prompt_tokens": count, "completion_tokens": count}
    yield f"data: {json.dumps({'model': model, 'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


def main() -> None:
    """Serve until killed; print the port."""
    folder, name, passes, sink = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    host = sys.argv[5] if len(sys.argv) > 5 else "127.0.0.1"
    failpoint = set_failpoint(name, passes)
    zr = zeroret.ZeroRetention(
        sinks=[sink],
        journal=folder / "journal",
        identify=lambda credential: credential,
    )
    app: ASGIApp = zr.asgi(
        Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    )
    if name == "sent":
        app = SentFailpoint(app, failpoint)
    listener = socket.create_server((host, 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - the parent reads the port
    config = uvicorn.Config(app, log_level="critical", lifespan="on")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
