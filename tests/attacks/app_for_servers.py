"""A small application for real servers, over ASGI and over WSGI."""

from __future__ import annotations

from collections.abc import Iterable

from zeroret import ZeroRetention
from zeroret.types import Environ, Receive, Scope, Send, StartResponse

zr = ZeroRetention("usage-only", ["memory:"], journal="memory")


def over_wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer."""
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "4")])
    return [b"fine"]


async def over_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer, over HTTP and over a websocket."""
    message = await receive()
    while scope["type"] == "lifespan":
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
        message = await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": message.get("text")})
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


wsgi = zr.wsgi(over_wsgi)
asgi = zr.asgi(over_asgi)
