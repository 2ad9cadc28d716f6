"""A chat server in Flask that keeps no prompt and meters every call.

Start it:   python examples/flask_server.py
        or  gunicorn --chdir examples flask_server:app
Ask it:     curl http://127.0.0.1:8000/v1/chat/completions -H "Content-Type: application/json" \
                -d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}'
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, request

import zeroret

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger(__name__)

app = Flask(__name__)


@app.post("/v1/chat/completions")
def chat() -> dict[str, Any] | Response:
    """Answer by saying back what was said; a real server would run a model here."""
    body = request.get_json()
    answer = "You said: " + str(body["messages"][-1].get("content"))
    logger.info("answering %s", answer)  # careless: withheld by zeroret, its constant text stays
    if body.get("stream"):
        return Response(_events(body["model"], answer), mimetype="text/event-stream")
    message = {"role": "assistant", "content": answer}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }


def _events(model: str, answer: str) -> Iterator[str]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": model}
    for word in answer.split(" "):
        delta = {"index": 0, "delta": {"content": word + " "}, "finish_reason": None}
        yield f"data: {json.dumps({**head, 'choices': [delta]})}\n\n"
    yield "data: [DONE]\n\n"


zr = zeroret.ZeroRetention(
    policy="usage-only", sinks=[os.environ.get("USAGE_SINK", "sqlite:///usage.db")]
)
zr.install(app)

if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8000")))
