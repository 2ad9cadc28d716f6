"""A careless app in Flask."""

from __future__ import annotations

from typing import Any

import careless  # type: ignore[import-not-found] # stands beside this file, where servers look
import wiring  # type: ignore[import-not-found] # likewise
from flask import Flask, Response, request

wiring.configure()
careless_app = Flask(__name__)


def head() -> dict[str, Any]:
    """Return what the head of a request says."""
    return {
        "url": request.url,
        "room": (request.view_args or {}).get("room"),
        "query": request.args.to_dict(),
        "headers": dict(request.headers),
        "cookies": dict(request.cookies),
    }


@careless_app.post("/upload/<room>")
def upload(room: str) -> dict[str, Any]:
    """Take a file."""
    file = request.files["file"]
    reply: dict[str, Any] = careless.uploaded(file.filename, file.read(), head())
    return reply


@careless_app.get("/flush")
def flush() -> str:
    """Have trackers send."""
    wiring.flush()
    return "flushed"


@careless_app.post("/<act>/<room>/v1/chat/completions")
def chat(act: str, room: str) -> Any:
    """Answer a chat in the way that the path names."""
    seen = {**head(), "body": request.get_json()}
    careless_app.logger.warning("the app's own logger: %s", seen)
    if act in ("stream", "endless", "break"):
        return Response(careless.events(act, seen), mimetype="text/event-stream")
    if act == "timeout":
        careless.wait_here(careless.prompt_of(seen))
    if act == "hold":
        careless.hold_here(careless.prompt_of(seen))
    status, reply = careless.answer(act, seen)
    return reply, status


app = wiring.wrap(careless_app, "install")
