"""The same app of four frameworks, for what remains of requests once their grace is over.

Asked by a signal, a thread writes down which objects still refer to content: by types, never by
values. `MARK` begins every piece of content; 24 hex digits follow it.
"""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from zeroret import ZeroRetention

ASK = signal.SIGRTMIN + 1
PATH = "/v1/rooms/{}/chat/completions"
DEEPEST = 6
BARE = os.environ.get("BARE") == "1"
_zr = ZeroRetention("usage-only", ["memory:"], journal="memory", grace=0.5)
_content = re.compile(os.environ["MARK"] + "[0-9a-f]{24}")


def reply(body: Any) -> dict[str, Any]:
    """Return what a model would answer: the prompt again."""
    return {
        "object": "chat.completion",
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": {"content": body["messages"][0]["content"]}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
    }


def _fastapi() -> Any:
    from fastapi import FastAPI, Request
    from pydantic import TypeAdapter

    app = FastAPI()
    adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])

    async def chat(room: str, request: Request) -> dict[str, Any]:
        assert room
        assert str(request.url)
        assert dict(request.query_params)
        assert dict(request.headers)
        return reply(adapter.validate_json(await request.body()))

    chat.__annotations__ = {"room": str, "request": Request, "return": dict[str, Any]}
    app.post(PATH.format("{room}"))(chat)
    return app if BARE else _zr.install(app)


def _litestar() -> Any:
    from litestar import Litestar, Request, post
    from litestar.params import FromPath

    async def chat(room: FromPath[str], request: Request[Any, Any, Any]) -> dict[str, Any]:
        assert room
        assert str(request.url)
        assert request.query_params.dict()
        assert request.headers.dict()
        return reply(await request.json())

    chat.__annotations__ = {"room": FromPath[str], "request": Request, "return": dict[str, Any]}
    app = Litestar([post(PATH.format("{room:str}"), status_code=200)(chat)])
    return app if BARE else _zr.install(app)


def _flask() -> Any:
    from flask import Flask, request

    app = Flask(__name__)

    @app.post(PATH.format("<room>"))
    def chat(room: str) -> dict[str, Any]:
        assert room
        assert request.url
        assert request.args.to_dict()
        assert dict(request.headers)
        return reply(request.get_json())

    return app if BARE else _zr.install(app)


def _django() -> Any:
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import JsonResponse
    from django.urls import path

    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="none",
        USE_I18N=True,
        MIDDLEWARE=["django.middleware.locale.LocaleMiddleware"],
    )
    django.setup()

    def chat(request: Any, room: str) -> Any:
        assert room
        assert request.build_absolute_uri()
        assert dict(request.GET)
        assert dict(request.headers)
        return JsonResponse(reply(json.loads(request.body)))

    global urlpatterns  # noqa: PLW0603 - where Django looks for them
    urlpatterns = [path(PATH[1:].format("<str:room>"), chat)]
    return WSGIHandler() if BARE else _zr.wsgi(WSGIHandler())


urlpatterns: list[Any] = []
_MADE = {
    "fastapi_app": _fastapi,
    "litestar_app": _litestar,
    "flask_app": _flask,
    "django_app": _django,
}


def __getattr__(name: str) -> Any:
    if name not in _MADE:
        raise AttributeError(name)
    globals()[name] = app = _MADE[name]()
    # Last, since servers set handlers for their own signals before they load the app.
    signal.signal(ASK, _asked)
    return app


def _asked(number: int, frame: FrameType | None) -> None:
    threading.Thread(target=_write, name="zeroret-remains").start()


def _write() -> None:
    gc.collect()
    found = [_chain(each) for each in gc.get_objects() if _holds_content(each)]
    target = Path(os.environ["REMAINS"])
    unfinished = target.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(found))
    unfinished.rename(target)


def _holds_content(holder: object) -> bool:
    for held in gc.get_referents(holder):
        parts = gc.get_referents(held) if type(held) is tuple else [held]
        for part in parts:
            if isinstance(part, bytes | bytearray):
                part = bytes(part).decode("latin-1")  # noqa: PLW2901 - looked at as text
            if isinstance(part, str) and _content.search(part):
                return True
    return False


def _chain(held: object) -> list[str]:
    """Return the types from a holder upwards, for the message of a failure."""
    chain: list[str] = []
    for _ in range(DEEPEST):
        chain.append(
            f"{type(held).__module__}.{getattr(held, '__qualname__', type(held).__name__)}"
        )
        above = [
            each
            for each in gc.get_referrers(held)
            if not isinstance(each, FrameType | list) and each is not chain
        ]
        if not above:
            break
        held = above[0]
    return chain
