"""A careless app in FastAPI."""

from __future__ import annotations

from typing import Any

import careless  # type: ignore[import-not-found] # stands beside this file, where servers look
import wiring  # type: ignore[import-not-found] # likewise
from fastapi import FastAPI, Request, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel

wiring.configure()
careless_app = FastAPI()


class Chat(BaseModel):
    """A chat, checked."""

    model: str
    messages: list[dict[str, Any]]
    temperature: float = 1.0
    model_config = {"extra": "allow"}


def head(request: HTTPConnection) -> dict[str, Any]:
    """Return what the head of a request says."""
    return {
        "url": str(request.url),
        "room": request.path_params.get("room"),
        "query": dict(request.query_params),
        "headers": dict(request.headers),
        "cookies": request.cookies,
    }


@careless_app.post("/upload/{room}")
async def upload(room: str, file: UploadFile, request: Request) -> dict[str, Any]:
    """Take a file."""
    content = await file.read()
    reply: dict[str, Any] = careless.uploaded(file.filename, content, head(request))
    return reply


@careless_app.get("/flush")
def flush() -> str:
    """Have trackers send."""
    wiring.flush()
    return "flushed"


@careless_app.post("/{act}/{room}/v1/chat/completions", response_model=None)
async def chat(act: str, room: str, chat: Chat, request: Request) -> Response:
    """Answer a chat in the way that the path names."""
    seen = {**head(request), "body": chat.model_dump()}
    if act in ("stream", "endless", "break"):
        return StreamingResponse(careless.events(act, seen), media_type="text/event-stream")
    if act == "timeout":
        await careless.wait(careless.prompt_of(seen))
    if act == "hold":
        await careless.hold(careless.prompt_of(seen))
    status, reply = careless.answer(act, seen)
    return JSONResponse(reply, status)


@careless_app.websocket("/talk/{room}")
async def talk(socket: WebSocket, room: str) -> None:
    """Say back what is said."""
    await socket.accept()
    try:
        while True:
            await socket.send_text(careless.message(await socket.receive_text(), head(socket)))
    except WebSocketDisconnect:
        careless.tell("left", head(socket))


app = wiring.instrumented(wiring.wrap(careless_app, "install"))
