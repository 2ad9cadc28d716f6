"""An app that answers SDKs as ``$REPLIES`` says, wrapped, and bare under ``/bare``.

A websocket gets the frames of its path, after each frame that asks for an answer.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from pathlib import Path
from typing import Any

import zeroret

REPLIES: dict[str, Any] = json.loads(Path(os.environ["REPLIES"]).read_text())


async def converse(scope: Any, receive: Any, send: Any) -> None:
    """Greet, and answer every frame that asks for it, until the client leaves."""
    frames = REPLIES[scope["path"]]
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": frames["greeting"]})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if json.loads(message["text"])["type"] == "response.create":
            for frame in frames["answer"]:
                await send({"type": "websocket.send", "text": frame})


async def replay(scope: Any, receive: Any, send: Any) -> None:
    """Send the reply of this path; one of its own where a stream is asked for."""
    if scope["type"] == "websocket":
        await converse(scope, receive, send)
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    path = scope["path"]
    streamed = f"{path} stream"
    asked = streamed in REPLIES and (b'"stream":true' in body or b'name="stream"' in body)
    reply = REPLIES[streamed if asked else path]
    headers = [(name.encode(), value.encode()) for name, value in reply["headers"]]
    await send({"type": "http.response.start", "status": reply["status"], "headers": headers})
    for chunk in reply["chunks"]:
        part = b64decode(chunk)
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


wrapped = zeroret.ZeroRetention(sinks=[os.environ["USAGE_SINK"]]).asgi(replay)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve the same app twice."""
    path = scope.get("path", "")
    if scope["type"] == "http" and path.startswith("/bare/"):
        await replay({**scope, "path": path.removeprefix("/bare")}, receive, send)
    else:
        await wrapped(scope, receive, send)
