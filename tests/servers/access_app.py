"""Apps for the access lines of every server: a route with a parameter, over ASGI and WSGI."""

from __future__ import annotations

import os
import sys
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from zeroret import ZeroRetention

zr = ZeroRetention("usage-only", ["memory:"], journal="memory")
wrapped = os.environ.get("BARE") != "1"


async def _room(request: Request) -> PlainTextResponse:
    return PlainTextResponse("fine", 500 if request.path_params["name"].endswith("bad") else 200)


async def _talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()


asgi: Any = Starlette(routes=[Route("/room/{name}", _room), WebSocketRoute("/talk/{name}", _talk)])
if wrapped:
    zr.install(asgi)


def _flask() -> Any:
    from flask import Flask

    app = Flask(__name__)

    @app.get("/room/<name>")
    def room(name: str) -> tuple[str, int]:
        return "fine", 500 if name.endswith("bad") else 200

    return zr.install(app) if wrapped else app


def _django_room(request: Any, name: str) -> Any:
    from django.http import HttpResponse

    return HttpResponse("fine", status=500 if name.endswith("bad") else 200)


urlpatterns: list[Any] = []


def _django() -> None:
    from django.conf import settings
    from django.urls import path

    settings.configure(
        ALLOWED_HOSTS=["*"],
        DEBUG=False,
        ROOT_URLCONF=__name__,
        SECRET_KEY="none",
        WSGI_APPLICATION="access_app.django_wsgi",
    )
    urlpatterns.append(path("room/<str:name>", _django_room))


def __getattr__(name: str) -> Any:
    if name == "wsgi":
        return _flask()
    if name == "django_wsgi":
        from django.core.wsgi import get_wsgi_application

        app = get_wsgi_application()
        return zr.wsgi(app) if wrapped else app
    raise AttributeError(name)


if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    sys.modules["access_app"] = sys.modules["__main__"]
    _django()
    execute_from_command_line(sys.argv)
