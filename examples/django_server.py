"""A chat server in Django, in one file, that keeps no prompt and meters every call.

Start it:   gunicorn --chdir examples django_server:application
        or  python examples/django_server.py
Ask it:     curl http://127.0.0.1:8000/v1/chat/completions -H "Content-Type: application/json" \
                -d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}'
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from wsgiref.simple_server import make_server

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import include, path

import zeroret

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger(__name__)

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    ZERORET={
        "policy": "usage-only",
        "sinks": [os.environ.get("USAGE_SINK", "sqlite:///usage.db")],
    },
)


def chat(request: HttpRequest) -> JsonResponse | StreamingHttpResponse:
    """Answer by saying back what was said; a real server would run a model here."""
    body = json.loads(request.body)
    answer = "You said: " + str(body["messages"][-1].get("content"))
    logger.info("answering %s", answer)  # careless: withheld by zeroret, its constant text stays
    if body.get("stream"):
        return StreamingHttpResponse(
            _events(body["model"], answer), content_type="text/event-stream"
        )
    message = {"role": "assistant", "content": answer}
    return JsonResponse(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }
    )


def _events(model: str, answer: str) -> Iterator[str]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": model}
    for word in answer.split(" "):
        delta = {"index": 0, "delta": {"content": word + " "}, "finish_reason": None}
        yield f"data: {json.dumps({**head, 'choices': [delta]})}\n\n"
    yield "data: [DONE]\n\n"


urlpatterns = [path("v1/", include([path("chat/completions", chat)]))]

application = zeroret.ZeroRetention.from_env().wsgi(get_wsgi_application())

if __name__ == "__main__":
    with make_server("127.0.0.1", int(os.environ.get("PORT", "8000")), application) as server:
        server.serve_forever()
