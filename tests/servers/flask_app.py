"""A careless Flask app for the tests of real servers; ``BARE=1`` leaves zeroret out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import careless  # type: ignore[import-not-found] # stands beside this file, where servers look
from flask import Flask, Response, request

import zeroret

app = Flask(__name__)


@app.post("/chat/<user>")
def chat(user: str) -> dict[str, str | int]:
    """Log everything, now and in a thread; then echo."""
    text = request.get_data().decode()
    careless.log_all(text, user, request.headers["user-agent"])
    app.logger.warning("the app's own logger: %s", text)
    return {"echo": text, "pid": os.getpid()}


@app.post("/crash/<user>")
def crash(user: str) -> str:
    """Fail with the prompt in the exception."""
    careless.fail(request.get_data().decode())
    return "never"


@app.post("/stream/<user>")
def stream(user: str) -> Response:
    """Stream until the client has enough."""
    text = request.get_data().decode()

    def flow() -> Iterator[str]:
        while True:
            yield from careless.events(text)
            time.sleep(0.02)

    return Response(flow(), mimetype="text/event-stream")


@app.post("/break/<user>")
def broken(user: str) -> Response:
    """Fail in the middle of the reply, where Flask hands the exception to the server."""
    text = request.get_data().decode()

    def flow() -> Iterator[str]:
        yield "data: first\n\n"
        careless.fail(text)

    return Response(flow(), mimetype="text/event-stream")


if os.environ.get("BARE") != "1":
    zr = zeroret.ZeroRetention(
        sinks=[os.environ["USAGE_SINK"]], identify=lambda key: key.removeprefix("cnry-")
    )
    zr.install(app)
