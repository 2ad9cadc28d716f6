"""Every framework that takes uploads, in one program: ASGI on ``$PORT``, WSGI beside it.

``BARE=1`` leaves zeroret out; ``LATE=1`` starts it before any framework is imported. A request for
``/port`` tells where WSGI is; one for ``/mark/name`` looks for a file of that name, so that a trace
of system calls shows when; one for ``/limit`` forbids this process to write another byte to any
file, memory files included, by ``RLIMIT_FSIZE``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import signal
import socketserver
import threading
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import zeroret

runtime = zeroret.ZeroRetention(sinks=["memory:uploads"], journal="memory")
BARE = bool(os.environ.get("BARE"))
if os.environ.get("LATE"):
    runtime.start()

import django  # noqa: E402 - after the start, where that is asked for
import flask  # noqa: E402 - likewise
import uvicorn  # noqa: E402 - likewise
from django.conf import settings  # noqa: E402 - likewise
from django.http import HttpRequest, JsonResponse  # noqa: E402 - likewise
from django.urls import path  # noqa: E402 - likewise
from fastapi import FastAPI, Request, UploadFile  # noqa: E402 - likewise
from litestar import Litestar, post  # noqa: E402 - likewise
from litestar import Request as LitestarRequest  # noqa: E402 - likewise

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="x",
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    LOGGING_CONFIG=None,
)
django.setup()


def told(*parts: bytes) -> dict[str, Any]:
    """Return what arrived."""
    return {"size": sum(map(len, parts)), "digest": hashlib.sha256(b"".join(parts)).hexdigest()}


fastapi = FastAPI()


@fastapi.post("/upload")
async def upload(file: UploadFile) -> dict[str, Any]:
    """Take a file."""
    return told(await file.read())


@fastapi.post("/upload-sync")
def upload_in_a_thread(file: UploadFile) -> dict[str, Any]:
    """Take a file in a worker thread."""
    return told(file.file.read())


@fastapi.post("/body")
async def body(request: Request) -> dict[str, Any]:
    """Take a body."""
    return told(await request.body())


@post("/upload", status_code=200)
async def litestar_upload(request: LitestarRequest[Any, Any, Any]) -> dict[str, Any]:
    """Take a file."""
    form = await request.form()
    return told(await form["file"].read())


@post("/body", status_code=200)
async def litestar_body(request: LitestarRequest[Any, Any, Any]) -> dict[str, Any]:
    """Take a body."""
    return told(await request.body())


litestar = Litestar([litestar_upload, litestar_body], request_max_body_size=None)


def django_upload(request: HttpRequest) -> JsonResponse:
    """Take a file."""
    return JsonResponse(told(*request.FILES["file"].chunks()))


def django_body(request: HttpRequest) -> JsonResponse:
    """Take a body."""
    return JsonResponse(told(request.body))


urlpatterns = [path("upload", django_upload), path("body", django_body)]

from django.core.asgi import get_asgi_application  # noqa: E402 - needs the settings
from django.core.wsgi import get_wsgi_application  # noqa: E402 - likewise

flask_app = flask.Flask(__name__)


@flask_app.post("/upload")
def flask_upload() -> dict[str, Any]:
    """Take a file."""
    return told(flask.request.files["file"].read())


@flask_app.post("/body")
def flask_body() -> dict[str, Any]:
    """Take a body."""
    return told(flask.request.get_data())


ASGI: dict[str, Any] = {
    "fastapi": fastapi,
    "litestar": litestar,
    "django-asgi": get_asgi_application(),
}
WSGI: dict[str, Any] = {"flask": flask_app, "django-wsgi": get_wsgi_application()}
if not BARE:
    ASGI = {name: runtime.asgi(app) for name, app in ASGI.items()}
    WSGI = {name: runtime.wsgi(app) for name, app in WSGI.items()}


def limit() -> None:
    """Let every write to a file fail from now on, instead of killing the process."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def mark(name: str) -> None:
    """Look for a file of that name, so that a trace shows it."""
    with contextlib.suppress(FileNotFoundError):
        os.close(os.open(f"/no-such-folder/{name}", os.O_RDONLY))


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Hand a request to the framework that the first part of its path names."""
    if scope["type"] != "http":
        await ASGI["fastapi"](scope, receive, send)
        return
    _, name, *rest = scope["path"].split("/")
    if name in ASGI:
        inner = "/" + "/".join(rest)
        await ASGI[name]({**scope, "path": inner, "raw_path": inner.encode()}, receive, send)
        return
    if name == "limit":
        limit()
    elif name == "mark":
        mark(rest[0])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(server.server_port).encode()})


def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
    """Do the same for WSGI."""
    _, name, rest = environ["PATH_INFO"].split("/", 2)
    environ["PATH_INFO"] = f"/{rest}"
    return WSGI[name](environ, start_response)


class Quiet(WSGIRequestHandler):
    """Logs nothing: the output is a file, which may not be written in the end."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Threaded(socketserver.ThreadingMixIn, WSGIServer):
    """One thread a request."""

    daemon_threads = True


server = Threaded(("127.0.0.1", 0), Quiet)
server.set_app(wsgi)

if __name__ == "__main__":
    threading.Thread(target=server.serve_forever, daemon=True).start()
    uvicorn.run(asgi, port=int(os.environ["PORT"]), log_level="critical", access_log=False)
