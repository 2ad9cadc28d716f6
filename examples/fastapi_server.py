"""A chat server in FastAPI that keeps no prompt and meters every call.

Start it:   python examples/fastapi_server.py
Ask it:     curl http://127.0.0.1:8000/v1/chat/completions -H "Content-Type: application/json" \
                -d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}'
See usage:  sqlite3 usage.db "SELECT route, request_model, input_tokens, output_tokens FROM usage"
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

import zeroret

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger(__name__)


class ChatRequest(BaseModel):
    """What a client may ask."""

    model: str
    messages: list[dict[str, Any]]
    stream: bool = False


app = FastAPI()


@app.post("/v1/chat/completions", response_model=None)
def chat(request: ChatRequest) -> dict[str, Any] | StreamingResponse:
    """Answer by saying back what was said; a real server would run a model here."""
    answer = "You said: " + str(request.messages[-1].get("content"))
    logger.info("answering %s", answer)  # careless: withheld by zeroret, its constant text stays
    if request.stream:
        return StreamingResponse(_events(request.model, answer), media_type="text/event-stream")
    message = {"role": "assistant", "content": answer}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
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
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
