"""Uploads: proven by system calls to stay off the disk, and closed whatever happens."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import django
import flask
import httpx
import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test.utils import override_settings
from django.urls import path
from fastapi import FastAPI, UploadFile
from litestar import Litestar, post
from litestar import Request as LitestarRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from zeroret import ZeroRetention, testing
from zeroret.guards import spools
from zeroret.types import ASGIApp, Message, WSGIApp

SERVERS = Path(__file__).parents[1] / "servers"
STRACE = shutil.which("strace")
CALLS = (
    "trace=open,openat,creat,memfd_create,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat"
)
WRITING = re.compile(
    r"O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE| creat\(|memfd_create\(|mkdir|rename|unlink"
)
UNDER_TRACE = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
DATA = os.urandom(64) * (3 * 2**20 // 64)  # more than each framework's threshold

ASGI_UPLOADS = ["fastapi/upload", "fastapi/upload-sync", "litestar/upload", "django-asgi/upload"]
WSGI_UPLOADS = ["flask/upload", "django-wsgi/upload"]
ASGI_BODIES = ["fastapi/body", "litestar/body", "django-asgi/body"]
WSGI_BODIES = ["flask/body", "django-wsgi/body"]
UPLOADS = [*ASGI_UPLOADS, *WSGI_UPLOADS]
PLACES = [*UPLOADS, *ASGI_BODIES, *WSGI_BODIES]


class Traced:
    """A server under a trace of its system calls, or without one where there is no tracer."""

    def __init__(self, server: Any, trace: Path, client: httpx.Client) -> None:
        self._server = server
        self._trace = trace
        self._client = client
        self._wsgi_port = int(self.get("port"))

    def get(self, place: str) -> str:
        """Return what the server answers to its own questions."""
        return self._client.get(f"http://127.0.0.1:{self._server.port}/{place}").text

    def send(self, place: str) -> bool:
        """Send the data to a framework; True if it says that it got them."""
        port = self._wsgi_port if place in (*WSGI_UPLOADS, *WSGI_BODIES) else self._server.port
        url = f"http://127.0.0.1:{port}/{place}"
        if place.endswith("body"):
            reply = self._client.post(url, content=DATA)
        else:
            reply = self._client.post(url, files={"file": ("name.bin", DATA)})
        return reply.status_code == 200 and reply.json() == {
            "size": len(DATA),
            "digest": hashlib.sha256(DATA).hexdigest(),
        }

    def calls(self, *marks: str) -> list[str]:
        """Return the calls that could write, which the trace shows between two marks."""
        for _ in range(200):
            between = re.split("|".join(marks), self._trace.read_text(errors="replace"))
            if len(between) > 2:
                return [line for line in between[1].splitlines() if WRITING.search(line)]
            time.sleep(0.05)
        raise TimeoutError("the trace does not show the marks")


@pytest.fixture
def serve(start_server: Any, tmp_path: Path) -> Iterator[Callable[..., Traced]]:
    """Give a function that starts the frameworks' server, under a tracer where there is one."""
    client = httpx.Client(timeout=60)

    def start(*, traced: bool = True, **environ: str) -> Traced:
        trace = tmp_path / "trace.txt"
        program = str(SERVERS / "uploads.py")
        command = [program]
        if traced and STRACE is not None:
            tracer = [STRACE, "-f", "-qq", "--seccomp-bpf", "-o", str(trace), "-e", CALLS]
            command = ["-c", UNDER_TRACE, *tracer, sys.executable, program]
        folder = tmp_path / "run"
        folder.mkdir()
        return Traced(start_server(*command, folder=folder, **environ), trace, client)

    yield start
    client.close()


def test_no_upload_makes_a_file(serve: Callable[..., Traced]) -> None:
    """Files and bodies of three megabytes arrive, and the process makes no call that could write.

    Where there is no tracer, the second half is the proof: the kernel forbids the process to write
    to any file, and they arrive all the same.
    """
    server = serve()
    assert all(map(server.send, PLACES))  # what is imported or cached on the way is, by now
    server.get("mark/first")
    assert {place: server.send(place) for place in PLACES} == dict.fromkeys(PLACES, True)
    server.get("mark/second")
    if STRACE is not None:
        assert server.calls("first", "second") == []
    server.get("limit")
    assert {place: server.send(place) for place in PLACES} == dict.fromkeys(PLACES, True)


def test_frameworks_may_come_after_the_start(serve: Callable[..., Traced]) -> None:
    """Imported after the runtime has started, they make no file either: none can be written."""
    server = serve(traced=False, LATE="1")
    server.get("limit")
    assert {place: server.send(place) for place in PLACES} == dict.fromkeys(PLACES, True)


def test_the_proof_would_show_it(serve: Callable[..., Traced]) -> None:
    """Bare, each framework makes a file of an upload, and fails where it may write none."""
    server = serve(BARE="1")
    places = [*UPLOADS, "django-asgi/body"]
    for place in places:
        server.get(f"mark/{place.replace('/', '-')}-first")
        assert server.send(place)
        server.get(f"mark/{place.replace('/', '-')}-second")
        if STRACE is not None:
            name = place.replace("/", "-")
            assert server.calls(f"{name}-first", f"{name}-second") != []
    server.get("limit")
    assert {place: server.send(place) for place in places} == dict.fromkeys(places, False)


BOUNDARY = b"zeroretzeroret"
HEAD = (
    b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n"
)
TAIL = b"\r\n--" + BOUNDARY + b"--\r\n"
CHUNKS = [HEAD, *[b"x" * 2**16] * 48, TAIL]
HEADERS = [
    (b"content-type", b"multipart/form-data; boundary=" + BOUNDARY),
    (b"content-length", str(sum(map(len, CHUNKS))).encode()),
]


class Failing(Exception):  # noqa: N818 - what the handlers of these apps raise
    """The handler's own error."""


def fail_if(header: str | None) -> None:
    """Fail where the request asks for it."""
    if header:
        raise Failing


def fastapi_app() -> FastAPI:
    """Return an app that takes a file."""
    app = FastAPI()

    @app.post("/")
    async def take(request: Request, file: UploadFile) -> int:
        fail_if(request.headers.get("x-fail"))
        return len(await file.read())

    return app


def starlette_app() -> Starlette:
    """Return an app that takes a form, and forgets to close it."""

    async def take(request: Request) -> PlainTextResponse:
        form = await request.form()
        fail_if(request.headers.get("x-fail"))
        return PlainTextResponse(str(form["file"].size))  # type: ignore[union-attr] # it is a file

    return Starlette(routes=[Route("/", take, methods=["POST"])])


def litestar_app() -> Litestar:
    """Return an app that takes a form."""

    @post("/", status_code=200)
    async def take(request: LitestarRequest[Any, Any, Any]) -> str:
        form = await request.form()
        fail_if(request.headers.get("x-fail"))
        return str(len(await form["file"].read()))

    return Litestar([take], request_max_body_size=None)


def django_take(request: HttpRequest) -> HttpResponse:
    """Take a file, by Django."""
    file = request.FILES["file"]
    fail_if(request.headers.get("x-fail"))
    return HttpResponse(str(sum(map(len, file.chunks()))))


urlpatterns = [path("", django_take)]


@pytest.fixture
def django_settings() -> Iterator[None]:
    """Point Django at this module."""
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="x", LOGGING_CONFIG=None)
    django.setup()
    with override_settings(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__):
        yield


def flask_app() -> flask.Flask:
    """Return an app that takes a file."""
    app = flask.Flask(__name__)

    @app.post("/")
    def take() -> str:
        file = flask.request.files["file"]
        fail_if(flask.request.headers.get("x-fail"))
        return str(len(file.read()))

    return app


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Give the list of spools that exchanges make, which nothing else may keep alive."""
    found: list[Any] = []
    keep = spools.keep

    def noting(spool: Any, flight: Any) -> None:
        found.append(spool)
        keep(spool, flight)

    monkeypatch.setattr(spools, "keep", noting)
    return found


class Client:
    """A client of an ASGI app, in the same task; it hangs up or is cancelled half-way."""

    def __init__(self, app: ASGIApp, ending: str) -> None:
        self._app = app
        self._ending = ending
        self._chunks = list(CHUNKS)
        self._waiting = asyncio.Event()
        self.status: int | None = None
        self.body = b""

    async def run(self) -> None:
        """Send the upload, as far as it is to go."""
        headers = [*HEADERS, *([(b"x-fail", b"1")] if self._ending == "fail" else [])]
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/",
            "raw_path": b"/",
            "root_path": "",
            "query_string": b"",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        task = asyncio.ensure_future(self._app(scope, self._receive, self._send))
        if self._ending == "cancel":
            await self._waiting.wait()
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _receive(self) -> Message:
        if len(self._chunks) == 10:
            if self._ending == "hang up":
                return {"type": "http.disconnect"}
            if self._ending == "cancel":
                self._waiting.set()
                await asyncio.Event().wait()
        if not self._chunks:
            await asyncio.Event().wait()
        chunk = self._chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(self._chunks)}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message.get("body", b"")


ASGI_APPS: dict[str, Callable[[], Any]] = {
    "fastapi": fastapi_app,
    "starlette": starlette_app,
    "litestar": litestar_app,
    "django": ASGIHandler,
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("ending", ["well", "fail", "hang up", "cancel"])
@pytest.mark.parametrize("name", ASGI_APPS)
def test_every_end_closes_the_uploads_of_asgi(
    name: str, ending: str, runtime: ZeroRetention, made: list[Any], django_settings: None
) -> None:
    """Success, a failing handler, a client that hangs up, a task that is cancelled: all closed."""
    client = Client(runtime.asgi(ASGI_APPS[name]()), ending)
    asyncio.run(client.run())
    if ending == "well":
        assert (client.status, client.body) == (200, str(48 * 2**16).encode())
    assert made
    assert all(spool.closed for spool in made)
    assert spools._open == {}
    assert len(testing.usage_records(runtime)) == 1


class Line:
    """What a WSGI server reads an upload from; it ends or breaks half-way."""

    def __init__(self, ending: str) -> None:
        whole = b"".join(CHUNKS)
        self._stream = io.BytesIO(whole[: len(whole) // 2] if ending != "well" else whole)
        self._ending = ending

    def read(self, size: int = -1) -> bytes:
        """Return what there is; where the client hung up, an error."""
        data = self._stream.read(size)
        if not data and self._ending == "hang up":
            raise ConnectionResetError
        return data

    readline = read


WSGI_APPS: dict[str, Callable[[], WSGIApp]] = {"flask": flask_app, "django": WSGIHandler}


@pytest.mark.parametrize("ending", ["well", "fail", "short", "hang up"])
@pytest.mark.parametrize("name", WSGI_APPS)
def test_every_end_closes_the_uploads_of_wsgi(
    name: str, ending: str, runtime: ZeroRetention, made: list[Any], django_settings: None
) -> None:
    """Success, a failing handler, a body that ends too soon, a broken connection: all closed."""
    statuses: list[str] = []

    def start_response(status: str, *_: object) -> Callable[[bytes], object]:
        statuses.append(status)
        return len

    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": HEADERS[0][1].decode(),
        "CONTENT_LENGTH": HEADERS[1][1].decode(),
        "wsgi.url_scheme": "http",
        "wsgi.input": Line("well" if ending == "fail" else ending),
        "wsgi.errors": io.StringIO(),
        **({"HTTP_X_FAIL": "1"} if ending == "fail" else {}),
    }
    response: Any = runtime.wsgi(WSGI_APPS[name]())(environ, start_response)
    body = b"".join(response)
    response.close()
    if ending == "well":
        assert (statuses, body) == (["200 OK"], str(48 * 2**16).encode())
    assert made
    assert all(spool.closed for spool in made)
    assert spools._open == {}


def test_a_file_that_the_server_sends_itself_stays_open(runtime: ZeroRetention) -> None:
    """What an app hands to ``wsgi.file_wrapper`` is the server's to read and to close."""
    files: list[Any] = []

    def sending(made: dict[str, Any], start_response: Any) -> Any:
        for file in (tempfile.SpooledTemporaryFile(), tempfile.TemporaryFile()):  # noqa: SIM115 - the server closes what it sends
            file.write(b"a file of the reply")
            file.seek(0)
            files.append(file)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return made["wsgi.file_wrapper"](files[len(replies)])

    replies: list[bytes] = []
    for _ in range(2):
        environ: dict[str, Any] = {"wsgi.file_wrapper": FileWrapper}
        setup_testing_defaults(environ)
        response: Any = runtime.wsgi(sending)(environ, lambda *_: len)
        replies.append(b"".join(response))
        response.close()
        files.pop().close()
        files.pop().close()
    assert replies == [b"a file of the reply"] * 2
    assert spools._open == {}


def test_django_has_no_path_for_an_upload_in_memory(
    runtime: ZeroRetention, django_settings: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who asks for the path learns why there is none; storages take the content instead."""
    from django.core.files.storage import FileSystemStorage
    from django.core.files.uploadedfile import TemporaryUploadedFile

    seen: list[Any] = []

    def take(request: HttpRequest) -> HttpResponse:
        file: Any = request.FILES["file"]
        seen.extend([type(file), hasattr(file, "temporary_file_path"), file.size, file.name])
        with pytest.raises(AttributeError, match="is in memory"):
            file.temporary_file_path()
        seen.append(os.fstat(file.fileno()).st_size)
        FileSystemStorage(tmp_path).save("saved", file)
        return HttpResponse("x")

    monkeypatch.setattr(f"{__name__}.django_take", take, raising=False)
    with (
        override_settings(ROOT_URLCONF=(path("", take),)),
        testing.memory_runtime(writable=[tmp_path]) as allowing,
    ):
        client = Client(allowing.asgi(ASGIHandler()), "well")
        asyncio.run(client.run())
    assert client.status == 200
    size = 48 * 2**16
    assert seen == [TemporaryUploadedFile, False, size, "a.bin", size]
    assert (tmp_path / "saved").stat().st_size == size


def test_django_outside_of_exchanges_has_its_files(
    runtime: ZeroRetention, django_settings: None
) -> None:
    """A job that makes an upload of its own gets the file, and its path, as ever."""
    from django.core.files.uploadedfile import TemporaryUploadedFile

    runtime.start()
    file = TemporaryUploadedFile("a.txt", "text/plain", 0, None)
    try:
        assert Path(file.temporary_file_path()).exists()
    finally:
        file.close()
