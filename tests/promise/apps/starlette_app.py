"""A careless app in Starlette."""

from __future__ import annotations

import json
from typing import Any

import careless  # type: ignore[import-not-found] # stands beside this file, where servers look
import wiring  # type: ignore[import-not-found] # likewise
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

wiring.configure()


def head(request: HTTPConnection) -> dict[str, Any]:
    """Return what the head of a request says."""
    return {
        "url": str(request.url),
        "room": request.path_params.get("room"),
        "query": dict(request.query_params),
        "headers": dict(request.headers),
        "cookies": request.cookies,
    }


async def chat(request: Request) -> Response:
    """Answer a chat in the way that the path names."""
    act = request.path_params["act"]
    seen = {**head(request), "body": json.loads(await request.body())}
    if act in ("stream", "endless", "break"):
        return StreamingResponse(careless.events(act, seen), media_type="text/event-stream")
    if act == "timeout":
        await careless.wait(careless.prompt_of(seen))
    if act == "hold":
        await careless.hold(careless.prompt_of(seen))
    status, reply = careless.answer(act, seen)
    return JSONResponse(reply, status)


async def upload(request: Request) -> Response:
    """Take a file."""
    async with request.form() as form:
        file: Any = form["file"]
        content = await file.read()
        return JSONResponse(careless.uploaded(file.filename, content, head(request)))


async def flush(request: Request) -> Response:
    """Have trackers send."""
    wiring.flush()
    return PlainTextResponse("flushed")


async def talk(socket: WebSocket) -> None:
    """Say back what is said."""
    await socket.accept()
    try:
        while True:
            await socket.send_text(careless.message(await socket.receive_text(), head(socket)))
    except WebSocketDisconnect:
        careless.tell("left", head(socket))


app: Any = Starlette(
    routes=[
        Route("/upload/{room}", upload, methods=["POST"]),
        Route("/flush", flush),
        Route("/{act}/{room}/v1/chat/completions", chat, methods=["POST"]),
        WebSocketRoute("/talk/{room}", talk),
    ]
)
app = wiring.instrumented(wiring.wrap(app, "install"))
