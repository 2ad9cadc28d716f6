"""The fake upstream: it speaks OpenAI and Anthropic, and logs what it sent.

Its log, ``$DEMO_SENT``, is the demo's other truth beside what the SDKs parse: one JSON object a
line, written before the bytes go out: ``{"exchange", "status", "usage", "text", "canary"}``, and
for slow streams, whose end is never reached, one ``{"exchange", "delta"}`` for every piece and the
usage that stands at their beginning.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from zeroret.cli.demo import replies
from zeroret.cli.demo.calls import canary, directive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request
    from starlette.responses import Response

    from zeroret.cli.demo.replies import Piece

PAUSE: Final = 0.02
"""Seconds between the pieces of a slow stream."""


async def chat_completions(request: Request) -> Response:
    """Answer as OpenAI's chat completions do."""
    body = await request.json()
    exchange, kind = directive(body["messages"][-1]["content"])
    secret = canary()
    if kind.endswith(("refused", "model")):
        return _refuse(exchange, kind, body, secret)
    if not body.get("stream"):
        answer = replies.chat(exchange, kind, body, secret)
        _sent(exchange, usage=answer.get("usage"), text=_text(secret), canary=secret)
        return JSONResponse(answer)
    asked = bool((body.get("stream_options") or {}).get("include_usage"))
    usage = replies.openai_usage(exchange, kind) if asked else None
    events = replies.chat_events(exchange, kind, body, secret)
    return _stream(exchange, kind, events, usage=usage, canary=secret)


async def embeddings(request: Request) -> Response:
    """Answer as OpenAI's embeddings do."""
    body = await request.json()
    exchange, _ = directive(body["input"])
    answer = replies.embedding(exchange, body["model"])
    _sent(exchange, usage=answer["usage"], text="", canary=None)
    return JSONResponse(answer)


async def messages(request: Request) -> Response:
    """Answer as Anthropic's messages do."""
    body = await request.json()
    exchange, kind = directive(body["messages"][-1]["content"])
    secret = canary()
    if kind.endswith("refused"):
        return _refuse(exchange, kind, body, secret)
    usage = replies.anthropic_usage(exchange, output=1 if replies.is_slow(kind) else None)
    if not body.get("stream"):
        _sent(exchange, usage=usage, text=_text(secret), canary=secret)
        return JSONResponse(replies.message(exchange, kind, body, secret))
    events = replies.message_events(exchange, kind, body, secret)
    return _stream(exchange, kind, events, usage=usage, canary=secret)


def _refuse(exchange: int, kind: str, body: dict[str, Any], secret: str) -> Response:
    status = 404 if kind == "unknown model" else 400
    _sent(exchange, status=status, usage=None, text="", canary=secret)
    return JSONResponse(replies.refusal(kind, body, secret), status_code=status)


def _stream(
    exchange: int, kind: str, pieces: Iterator[Piece], *, usage: Any, canary: str
) -> Response:
    slow = replies.is_slow(kind)
    _sent(exchange, usage=usage, text="" if slow else _text(canary), canary=canary)
    flow = _slowly(exchange, pieces) if slow else _quickly(pieces)
    return StreamingResponse(flow, media_type="text/event-stream")


async def _quickly(pieces: Iterator[Piece]) -> AsyncIterator[str]:
    for _, wire in pieces:
        yield wire
        await asyncio.sleep(0)  # so that the pieces leave one by one


async def _slowly(exchange: int, pieces: Iterator[Piece]) -> AsyncIterator[str]:
    for text, wire in pieces:
        if text:
            _log({"exchange": exchange, "delta": text})
        yield wire
        await asyncio.sleep(PAUSE)


def _text(canary: str) -> str:
    return "".join(replies.sentences(canary))


def _sent(exchange: int, *, usage: Any, text: str, canary: str | None, status: int = 200) -> None:
    _log({"exchange": exchange, "status": status, "usage": usage, "text": text, "canary": canary})


def _log(entry: dict[str, Any]) -> None:
    with Path(os.environ["DEMO_SENT"]).open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")


app = Starlette(
    routes=[
        Route("/v1/chat/completions", chat_completions, methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        Route("/v1/messages", messages, methods=["POST"]),
    ]
)
