"""A careless app in Django, over WSGI and over ASGI; it mails its admins what fails."""

from __future__ import annotations

import json
from typing import Any

import careless  # type: ignore[import-not-found] # stands beside this file, where servers look
import django
import wiring  # type: ignore[import-not-found] # likewise
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

wiring.configure()
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="none",
    ADMINS=[("Ada", "ada@example.org")],
    EMAIL_BACKEND="django.core.mail.backends.filebased.EmailBackend",
    EMAIL_FILE_PATH="mail",
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
)
django.setup()


def head(request: Any, room: str) -> dict[str, Any]:
    """Return what the head of a request says."""
    return {
        "url": request.build_absolute_uri(),
        "room": room,
        "query": request.GET.dict(),
        "headers": dict(request.headers),
        "cookies": request.COOKIES,
    }


def upload(request: Any, room: str) -> JsonResponse:
    """Take a file."""
    file = request.FILES["file"]
    return JsonResponse(careless.uploaded(file.name, file.read(), head(request, room)))


def flush(request: Any) -> HttpResponse:
    """Have trackers send."""
    wiring.flush()
    return HttpResponse("flushed")


def chat(request: Any, act: str, room: str) -> HttpResponse | StreamingHttpResponse:
    """Answer a chat in the way that the path names."""
    seen = {**head(request, room), "body": json.loads(request.body)}
    if act in ("stream", "endless", "break"):
        is_asgi = isinstance(request, ASGIRequest)
        flow = careless.events_asynchronously if is_asgi else careless.events
        return StreamingHttpResponse(flow(act, seen), content_type="text/event-stream")
    if act == "timeout":
        careless.wait_here(careless.prompt_of(seen))
    if act == "hold":
        careless.hold_here(careless.prompt_of(seen))
    status, reply = careless.answer(act, seen)
    return JsonResponse(reply, status=status)


urlpatterns = [
    path("upload/<str:room>", upload),
    path("flush", flush),
    path("<str:act>/<str:room>/v1/chat/completions", chat),
]
