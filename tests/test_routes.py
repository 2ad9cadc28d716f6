"""Route templates: each framework's own, through mounts, nesting, 404 and 405."""

from __future__ import annotations

import sys
from typing import Any

import django
import flask
import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.http import require_POST
from fastapi import APIRouter, FastAPI, HTTPException
from litestar import Litestar
from litestar import Router as LitestarRouter
from litestar import get as litestar_get
from litestar.params import FromPath
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from zeroret import ZeroRetention, testing


def routes_of(runtime: ZeroRetention) -> list[Any]:
    """Return the routes of the records so far."""
    return [record.route for record in testing.usage_records(runtime)]


async def plain(request: Request) -> PlainTextResponse:
    """Answer anything."""
    return PlainTextResponse("ok")


async def socket(websocket: WebSocket) -> None:
    """Accept and close."""
    await websocket.accept()
    await websocket.close()


def starlette_app() -> Starlette:
    """Return an app with every kind of route."""
    inner = Router([Route("/items/{item}", plain, methods=["GET"])])
    deeper = Starlette(routes=[Mount("/deep/{level:int}", app=inner)])
    return Starlette(
        routes=[
            Route("/plain/{name}", plain, methods=["GET"]),
            Mount("/v1/{tenant}", app=deeper),
            Mount("/v2", routes=[Route("/chat", plain)]),
            WebSocketRoute("/ws/{room}", socket),
        ]
    )


CASES = [
    ("/plain/secret", "/plain/{name}"),
    ("/v1/acme/deep/3/items/secret", "/v1/{tenant}/deep/{level}/items/{item}"),
    ("/v2/chat", "/v2/chat"),
    ("/v2/nothing", "/v2/{path}"),
    ("/nothing/secret", "other"),
]


@pytest.mark.parametrize("form", ["install", "asgi"])
def test_starlette_templates(runtime: ZeroRetention, form: str) -> None:
    """Mounts and nested routers give the whole template, and a 404 without one is ``other``."""
    app: Any = starlette_app()
    client = TestClient(runtime.install(app) if form == "install" else runtime.asgi(app))
    for url, _ in CASES:
        client.get(url)
    assert client.post("/plain/secret").status_code == 405
    assert routes_of(runtime) == [template for _, template in CASES] + ["/plain/{name}"]


def test_starlette_websocket_template(runtime: ZeroRetention) -> None:
    """A websocket's route is its template."""
    with TestClient(runtime.install(starlette_app())).websocket_connect("/ws/secret"):
        pass
    assert routes_of(runtime) == ["/ws/{room}"]


def test_templates_pass_other_middleware(runtime: ZeroRetention) -> None:
    """A middleware that runs the app in another task does not lose the route."""

    class Slow(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Any:
            return await call_next(request)

    app = Starlette(routes=[Route("/a/{b}", plain)], middleware=[Middleware(Slow)])
    TestClient(runtime.install(app)).get("/a/secret")
    assert routes_of(runtime) == ["/a/{b}"]


def fastapi_app() -> FastAPI:
    """Return an app with included, nested and mounted routers."""
    inner = APIRouter(prefix="/inner")

    @inner.get("/{thing}")
    def thing(thing: str) -> str:
        raise HTTPException(404, thing)

    outer = APIRouter(prefix="/outer/{org}")
    outer.include_router(inner)

    @outer.post("/chat/completions")
    def chat() -> dict[str, Any]:
        return {}

    sub = FastAPI()
    sub.include_router(inner)

    @sub.get("/direct/{x}")
    def direct(x: str) -> str:
        return x

    app = FastAPI()
    app.include_router(outer, prefix="/api")
    app.mount("/sub", sub)

    @app.get("/root/{y}")
    def root(y: int) -> int:
        return y

    return app


def test_fastapi_templates(runtime: ZeroRetention) -> None:
    """Included and mounted routers keep their prefixes; errors of the handler keep the route."""
    client = TestClient(runtime.install(fastapi_app()))
    client.get("/api/outer/acme/inner/secret")
    client.post("/api/outer/acme/chat/completions", json={})
    client.get("/api/outer/acme/chat/completions")
    client.get("/sub/inner/secret")
    client.get("/sub/direct/secret")
    client.get("/root/notanumber")
    client.get("/openapi.json")
    client.get("/secret")
    assert routes_of(runtime) == [
        "/api/outer/{org}/inner/{thing}",
        "/api/outer/{org}/chat/completions",
        "/api/outer/{org}/chat/completions",
        "/sub/inner/{thing}",
        "/sub/direct/{x}",
        "/root/{y}",
        "/openapi.json",
        "other",
    ]


def test_install_sees_the_error_reply(runtime: ZeroRetention) -> None:
    """The framework's own handlers see the real exception, and their reply is metered."""
    app = FastAPI()
    seen: list[BaseException] = []

    @app.get("/boom")
    def boom() -> None:
        raise LookupError("the prompt")

    @app.exception_handler(Exception)
    async def handler(request: Request, error: Exception) -> PlainTextResponse:
        seen.append(error)
        return PlainTextResponse("sorry", 500)

    client = TestClient(runtime.install(app), raise_server_exceptions=False)
    assert client.get("/boom").text == "sorry"
    assert str(seen[0]) == "'the prompt'" or str(seen[0]) == "the prompt"
    record = testing.usage_records(runtime)[0]
    assert (record.status, record.outcome, record.error_type) == (500, "error", "LookupError")
    assert record.response_bytes == 5


def test_install_twice_is_once(runtime: ZeroRetention) -> None:
    """Installing again changes nothing."""
    app = runtime.install(runtime.install(starlette_app()))
    TestClient(app).get("/v2/chat")
    assert routes_of(runtime) == ["/v2/chat"]


def test_litestar_templates(runtime: ZeroRetention) -> None:
    """Litestar's routers give the whole template."""

    @litestar_get("/{thing:str}", sync_to_thread=False)
    def thing(thing: FromPath[str]) -> str:
        return thing

    app = Litestar([LitestarRouter("/api", route_handlers=[thing])])
    client = TestClient(runtime.install(runtime.install(app)))  # type: ignore[arg-type] # any ASGI app will do
    assert client.get("/api/secret").status_code == 200
    client.get("/secret")
    assert routes_of(runtime) == ["/api/{thing}", "other"]


def test_flask_templates(runtime: ZeroRetention) -> None:
    """Blueprints keep their prefixes; 405 has the rule, 404 has none."""
    app = flask.Flask("tests", root_path=".")
    blueprint = flask.Blueprint("b", "tests", root_path=".", url_prefix="/bp/<org>")

    @blueprint.get("/items/<int:item>")
    def items(org: str, item: int) -> str:
        return "ok"

    @app.get("/gone/<x>")
    def gone(x: str) -> str:
        flask.abort(404)

    @app.get("/boom/<x>")
    def boom(x: str) -> str:
        raise ValueError(x)

    app.register_blueprint(blueprint)
    client = runtime.install(app).test_client()
    client.get("/bp/acme/items/3")
    client.post("/bp/acme/items/3")
    client.get("/gone/secret")
    client.get("/boom/secret")
    client.get("/secret")
    assert routes_of(runtime) == [
        "/bp/<org>/items/<int:item>",
        "/bp/<org>/items/<int:item>",
        "/gone/<x>",
        "/boom/<x>",
        "other",
    ]
    records = testing.usage_records(runtime)
    assert [record.error_type for record in records] == [None, None, None, "ValueError", None]


def test_flask_behind_a_dispatcher(runtime: ZeroRetention) -> None:
    """An app that another WSGI middleware mounts keeps its rule."""
    app = flask.Flask("tests", root_path=".")

    @app.get("/x/<y>")
    def x(y: str) -> str:
        return y

    root = flask.Flask("root", root_path=".")
    client = Client(runtime.wsgi(DispatcherMiddleware(root, {"/mounted": app})))
    client.get("/mounted/x/secret")
    assert routes_of(runtime) == ["/x/<y>"]


def view(request: HttpRequest, **_: Any) -> HttpResponse:
    """Answer anything."""
    return HttpResponse("ok")


def crash(request: HttpRequest, **_: Any) -> HttpResponse:
    """Fail."""
    raise ValueError(request.path)


urlpatterns = [
    path("plain/<str:name>/", view),
    path("api/", include([path("<int:version>/", include([path("chat", require_POST(view))]))])),
    re_path(r"^re/(?P<code>\d+)$", view),
    path("crash/<str:name>", crash),
]


@pytest.fixture(scope="module")
def django_handler() -> WSGIHandler:
    """Give Django's WSGI handler over this module's URLs."""
    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="tests", LOGGING_CONFIG=None
        )
        sys.modules.setdefault(__name__, sys.modules[__name__])
        django.setup()
    return WSGIHandler()


def test_django_templates(runtime: ZeroRetention, django_handler: WSGIHandler) -> None:
    """Includes join to the whole template; 405 has one, 404 has none."""
    client = Client(runtime.wsgi(django_handler))
    answers = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "ROOT_URLCONF", __name__, raising=False)
        answers.append(client.get("/plain/secret/"))
        answers.append(client.post("/api/2/chat"))
        answers.append(client.get("/api/2/chat"))
        answers.append(client.get("/re/77"))
        answers.append(client.get("/crash/secret"))
        answers.append(client.get("/secret"))
    for answer in answers:
        answer.close()
    assert routes_of(runtime) == [
        "/plain/<str:name>/",
        "/api/<int:version>/chat",
        "/api/<int:version>/chat",
        "^re/(?P<code>\\d+)$",
        "/crash/<str:name>",
        "other",
    ]
    assert testing.usage_records(runtime)[4].error_type == "ValueError"


@pytest.mark.parametrize("form", ["install", "asgi"])
def test_a_handled_timeout_is_a_timeout(runtime: ZeroRetention, form: str) -> None:
    """A 500 that a timeout caused is told apart however the app was wrapped."""
    app = FastAPI()

    @app.get("/slow")
    def slow() -> None:
        raise TimeoutError

    wrapped: Any = runtime.install(app) if form == "install" else runtime.asgi(app)
    TestClient(wrapped, raise_server_exceptions=False).get("/slow")
    record = testing.usage_records(runtime)[0]
    assert (record.outcome, record.error_type) == ("timeout", "TimeoutError")
