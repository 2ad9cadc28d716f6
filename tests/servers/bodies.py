"""Two apps that echo how much they got, over ASGI and WSGI, under a limit of a thousand bytes."""

from __future__ import annotations

from fastapi import FastAPI, Request
from flask import Flask, request

import zeroret

runtime = zeroret.ZeroRetention(
    sinks=["sqlite:///usage.db"], journal="memory", max_body=1000, mode="enforce"
)

fastapi = FastAPI()
flask = Flask(__name__)


@fastapi.post("/size")
async def size(incoming: Request) -> int:
    """Return the size of the body."""
    return len(await incoming.body())


@flask.post("/size")
def flask_size() -> str:
    """Return the size of the body."""
    return str(len(request.get_data()))


asgi = runtime.asgi(fastapi)
wsgi = runtime.wsgi(flask)
