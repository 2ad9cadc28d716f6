"""A careless app in Litestar."""

from __future__ import annotations

from typing import Any

import careless  # type: ignore[import-not-found] # stands beside this file, where servers look
import wiring  # type: ignore[import-not-found] # likewise
from litestar import Litestar, Request, Response, WebSocket, get, post, websocket
from litestar.connection import ASGIConnection
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromPath
from litestar.response import Stream

wiring.configure()


def head(request: ASGIConnection[Any, Any, Any, Any]) -> dict[str, Any]:
    """Return what the head of a request says."""
    return {
        "url": str(request.url),
        "room": request.path_params.get("room"),
        "query": request.query_params.dict(),
        "headers": request.headers.dict(),
        "cookies": request.cookies,
    }


@post("/upload/{room:str}", status_code=200)
async def upload(room: FromPath[str], request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Take a file."""
    file: Any = (await request.form())["file"]
    reply: dict[str, Any] = careless.uploaded(file.filename, await file.read(), head(request))
    return reply


@get("/flush", sync_to_thread=True)
def flush() -> str:
    """Have trackers send."""
    wiring.flush()
    return "flushed"


@post("/{act:str}/{room:str}/v1/chat/completions", status_code=200)
async def chat(
    act: FromPath[str], room: FromPath[str], request: Request[Any, Any, Any]
) -> Response[Any] | Stream:
    """Answer a chat in the way that the path names."""
    seen = {**head(request), "body": await request.json()}
    if act in ("stream", "endless", "break"):
        return Stream(careless.events(act, seen), media_type="text/event-stream")
    if act == "timeout":
        await careless.wait(careless.prompt_of(seen))
    if act == "hold":
        await careless.hold(careless.prompt_of(seen))
    status, reply = careless.answer(act, seen)
    return Response(reply, status_code=status)


@websocket("/talk/{room:str}")
async def talk(socket: WebSocket[Any, Any, Any], room: FromPath[str]) -> None:
    """Say back what is said."""
    await socket.accept()
    try:
        while True:
            await socket.send_text(careless.message(await socket.receive_text(), head(socket)))
    except WebSocketDisconnect:
        careless.tell("left", head(socket))


app: Any = Litestar([upload, flush, chat, talk])
app = wiring.instrumented(wiring.wrap(app, "install"))
