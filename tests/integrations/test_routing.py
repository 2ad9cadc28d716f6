"""Watching routers never changes what they answer, however odd the route or the request."""

from __future__ import annotations

import logging
from itertools import product
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from werkzeug.test import Client

from zeroret import ZeroRetention, testing
from zeroret.types import ASGIApp, Receive, Scope, Send

METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "ODD")
PATHS = ("/a", "/a/", "/a//", "//a", "/b/1", "/b/x", "/b/", "/r/x", "/ws", "/d", "/d/1", "/%00",
         "/b/%ff", "", "/static/x", "/s/a/b")  # fmt: skip


def flask_app(*, strict: bool, hosts: bool) -> flask.Flask:
    """Return an app with every kind of rule werkzeug knows."""
    app = flask.Flask(__name__, host_matching=hosts, static_host="static" if hosts else None)
    app.url_map.strict_slashes = strict
    host: dict[str, Any] = {"host": "<name>"} if hosts else {}
    rules: list[tuple[str, str, dict[str, Any]]] = [
        ("/a/", "a", {"methods": ["POST"]}),
        ("/b/<int:x>", "b", {"methods": ["PUT"]}),
        ("/b/<string:x>", "c", {"methods": ["DELETE"]}),
        ("/r/<path:x>", "r", {"methods": ["POST"], "redirect_to": "/a/"}),
        ("/ws", "ws", {"websocket": True}),
        ("/d", "d", {"methods": ["POST"], "defaults": {"x": 1}}),
        ("/d/<int:x>", "d", {"methods": ["POST"]}),
        ("/s/<path:x>", "s", {"methods": ["POST"]}),
    ]
    for rule, endpoint, options in rules:
        app.add_url_rule(rule, endpoint, say_ok, **options, **host)
    return app


def say_ok(**_: Any) -> str:
    """Answer anything."""
    return "ok"


@pytest.mark.parametrize(("strict", "hosts"), list(product([True, False], repeat=2)))
def test_flask_answers_as_without_us(runtime: ZeroRetention, *, strict: bool, hosts: bool) -> None:
    """Each method on each path has the same status, headers and body, 405s and redirects too."""
    logging.getLogger(__name__).disabled = True  # flask's own logger for this module's apps
    bare = Client(flask_app(strict=strict, hosts=hosts))
    wrapped = Client(runtime.install(flask_app(strict=strict, hosts=hosts)))
    for method, path in product(METHODS, PATHS):
        want, have = bare.open(path, method=method), wrapped.open(path, method=method)
        assert have.status_code == want.status_code, (method, path)
        assert list(have.headers) == list(want.headers), (method, path)
        assert have.data == want.data, (method, path)
    routes = {record.route for record in testing.usage_records(runtime)}
    assert {"/a/", "/b/<int:x>", "/b/<string:x>", "/s/<path:x>", "other"} <= routes
    assert all("%" not in str(route) for route in routes)


def test_a_scope_of_junk_does_not_hurt_starlette(runtime: ZeroRetention) -> None:
    """What other middlewares leave in the scope is theirs: the reply stands, the route is known."""

    async def answer(request: Any) -> PlainTextResponse:
        return PlainTextResponse("ok")

    inner: Any = Starlette(routes=[Mount("/m", routes=[Route("/x/{name}", answer)])])
    app: ASGIApp = runtime.asgi(inner)

    def with_junk(junk: Any) -> ASGIApp:
        async def outer(scope: Scope, receive: Receive, send: Send) -> None:
            scope.update(fastapi=junk, path_template=junk)
            await app(scope, receive, send)

        return outer

    odd: list[Any] = [None, 7, {"effective_route_context": 7}, {}, []]
    for junk in odd:
        assert TestClient(with_junk(junk)).get("/m/x/secret").text == "ok"
    records = testing.usage_records(runtime)
    assert len(records) == 5
    assert {record.outcome for record in records} == {"completed"}
    assert {record.route for record in records} == {"/m/x/{name}"}


DJANGO_PATHS = ("/", "/a", "/a/", "/n/7", "/n/x", "/old/7/", "/deep/n/7", "/%00", "/missing")


def test_django_answers_as_without_us(runtime: ZeroRetention) -> None:
    """Each method on each path has the same status, headers and body."""
    from django.conf import settings

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x")
    import django
    from django.core.handlers.wsgi import WSGIHandler
    from django.test.utils import override_settings

    django.setup()
    logging.getLogger("django").disabled = True
    logging.getLogger("django.request").disabled = True
    with override_settings(ROOT_URLCONF=urls()):
        bare, wrapped = Client(WSGIHandler()), Client(runtime.wsgi(WSGIHandler()))
        for method, path in product(METHODS, DJANGO_PATHS):
            want, have = bare.open(path, method=method), wrapped.open(path, method=method)
            assert (have.status_code, list(have.headers), have.data) == (
                want.status_code, list(want.headers), want.data,
            ), (method, path)  # fmt: skip
    routes = {record.route for record in testing.usage_records(runtime)}
    assert {"/n/<int:number>", r"^old/(\d+)/$", "/deep/n/<int:number>", "other"} <= routes


def test_a_resolver_without_a_route_does_not_hurt(runtime: ZeroRetention) -> None:
    """A match that an app's own resolver makes has no template: the view is called all the same."""
    from django.urls import ResolverMatch

    from zeroret.integrations.django import _resolved

    match = ResolverMatch(say_ok, (), {})

    def app(environ: Any, start_response: Any) -> list[bytes]:
        assert _resolved(lambda: match, None, (), {}) is match
        start_response("200 OK", [])
        return [b"ok"]

    assert Client(runtime.wsgi(app)).get("/").data == b"ok"
    (record,) = testing.usage_records(runtime)
    assert (record.route, record.outcome) == ("other", "completed")


def urls() -> Any:
    """Return a URL configuration with every kind of pattern."""
    from django.http import HttpResponse
    from django.urls import include, path, re_path
    from django.views.decorators.http import require_POST

    def answer(request: Any, *_: Any, **__: Any) -> HttpResponse:
        return HttpResponse("ok")

    nested = [path("n/<int:number>", require_POST(answer))]
    patterns = [path("a/", answer), *nested, re_path(r"^old/(\d+)/$", answer),
                path("deep/", include(nested))]  # fmt: skip
    return type("urls", (), {"urlpatterns": patterns})
