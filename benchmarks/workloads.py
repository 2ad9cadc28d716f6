"""The workloads: requests, prebuilt replies, and the bare applications that answer with them.

Every handler parses its request's JSON and answers with bytes that were built beforehand, so that
the bare application is as quick as a real one could be: the harshest thing to compare with.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from flask import Flask
from flask import Response as FlaskResponse
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

CHAT: Final = "/v1/chat/completions"
MESSAGES: Final = "/v1/messages"
SENTENCE: Final = "The harbour lay quiet while seventeen grey boats waited for the morning tide. "
EVENTS: Final = 500
ANTHROPIC_EVENTS: Final = 300
_PIECE: Final = 64 * 1024  # what servers read from a socket at once
_MODEL: Final = "gpt-4o-2024-08-06"
_CLAUDE: Final = "claude-sonnet-4-5-20250929"


@dataclass(frozen=True)
class Workload:
    """One kind of exchange: the request as it is sent, and the reply that must come back."""

    name: str
    what: str
    path: str
    body: bytes
    reply: bytes
    content_type: str = "application/json"
    events: int = 0
    method: str = "POST"
    log_records: int = 0

    def pieces(self) -> list[bytes]:
        """Return the request's body in the pieces in which a server would pass it on."""
        return [self.body[at : at + _PIECE] for at in range(0, len(self.body), _PIECE)] or [b""]

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the request's headers, as a client of the OpenAI SDK sends them."""
        return [
            (b"host", b"api.example.com"),
            (b"accept-encoding", b"gzip, deflate"),
            (b"connection", b"keep-alive"),
            (b"accept", b"application/json"),
            (b"content-type", b"application/json"),
            (b"user-agent", b"OpenAI/Python 2.8.1"),
            (b"authorization", b"Bearer sk-benchmark-0123456789abcdef0123456789abcdef"),
            (b"content-length", b"%d" % len(self.body)),
        ]

    def scope(self) -> dict[str, Any]:
        """Return a fresh ASGI scope, as uvicorn makes it."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 52431),
            "scheme": "http",
            "method": self.method,
            "root_path": "",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "headers": self.headers(),
            "state": {},
        }

    def environ(self) -> dict[str, Any]:
        """Return a fresh WSGI environment, as a server makes it."""
        return {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path,
            "QUERY_STRING": "",
            "SERVER_NAME": "api.example.com",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(self.body)),
            "HTTP_HOST": "api.example.com",
            "HTTP_USER_AGENT": "OpenAI/Python 2.8.1",
            "HTTP_AUTHORIZATION": "Bearer sk-benchmark-0123456789abcdef0123456789abcdef",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(self.body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }


class Receive:
    """An ASGI ``receive`` that gives the request's pieces, then waits as a quiet client does."""

    __slots__ = ("_at", "_pieces")

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._at = 0

    async def __call__(self) -> dict[str, Any]:
        """Return the next event of the request."""
        at = self._at
        if at >= len(self._pieces):
            await asyncio.get_running_loop().create_future()
        self._at = at + 1
        body = self._pieces[at]
        return {"type": "http.request", "body": body, "more_body": self._at < len(self._pieces)}


def _prompt(size: int) -> str:
    """Return ordinary text of *size* characters whose sentences differ."""
    lines = (f"{number}: {SENTENCE}" for number in range(size // len(SENTENCE) + 1))
    return "".join(lines)[:size]


def _request(size: int, model: str, **more: Any) -> bytes:
    """Return a chat request of *size* bytes."""

    def body(prompt: str) -> bytes:
        messages = [{"role": "user", "content": prompt}]
        return json.dumps({"model": model, **more, "messages": messages}).encode()

    return body(_prompt(size - len(body(""))))


def _completion(size: int) -> bytes:
    """Return a chat completion of *size* bytes that carries its usage."""

    def body(answer: str) -> bytes:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answer, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": 57, "completion_tokens": 41, "total_tokens": 98}
        head = {"id": "chatcmpl-BENCHMARK00", "object": "chat.completion", "created": 1754000000}
        return json.dumps({**head, "model": _MODEL, "choices": [choice], "usage": usage}).encode()

    return body(_prompt(size - len(body(""))))


def _words() -> list[str]:
    return [f" {word}" for word in SENTENCE.split()]


def openai_events(*, usage: bool) -> list[bytes]:
    """Return a chat completion stream of `EVENTS` events of about 270 bytes."""
    words = _words()

    def event(choices: list[dict[str, Any]], counts: dict[str, int] | None = None) -> bytes:
        chunk: dict[str, Any] = {
            "id": "chatcmpl-BENCHMARK00",
            "object": "chat.completion.chunk",
            "created": 1754000000,
            "model": _MODEL,
            "service_tier": "default",
            "system_fingerprint": "fp_benchmark",
            "choices": choices,
        }
        if usage:
            chunk["usage"] = counts
        return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"

    def choice(delta: dict[str, str], reason: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]

    tail = [event(choice({}, "stop"))]
    if usage:
        tail.append(event([], {"prompt_tokens": 57, "completion_tokens": 496, "total_tokens": 553}))
    tail.append(b"data: [DONE]\n\n")
    middle = EVENTS - 1 - len(tail)
    deltas = [event(choice({"content": words[n % len(words)]})) for n in range(middle)]
    return [event(choice({"role": "assistant", "content": ""})), *deltas, *tail]


def anthropic_events() -> list[bytes]:
    """Return a messages stream of `ANTHROPIC_EVENTS` events."""
    words = _words()

    def event(kind: str, **more: Any) -> bytes:
        data = json.dumps({"type": kind, **more}, separators=(",", ":"))
        return f"event: {kind}\ndata: {data}\n\n".encode()

    message: dict[str, Any] = {
        "id": "msg_benchmark",
        "type": "message",
        "role": "assistant",
        "model": _CLAUDE,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 57, "output_tokens": 1},
    }
    head = [
        event("message_start", message=message),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
    ]
    tail = [
        event("content_block_stop", index=0),
        event(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": 294},
        ),
        event("message_stop"),
    ]
    middle = ANTHROPIC_EVENTS - len(head) - len(tail)
    deltas = [
        event(
            "content_block_delta",
            index=0,
            delta={"type": "text_delta", "text": words[n % len(words)]},
        )
        for n in range(middle)
    ]
    return [*head, *deltas, *tail]


_STREAMS: Final = {
    "sse": openai_events(usage=True),
    "sse_counted": openai_events(usage=False),
    "anthropic": anthropic_events(),
}
_SSE: Final = "text/event-stream; charset=utf-8"


def _workloads() -> tuple[Workload, ...]:
    reported = {"stream": True, "stream_options": {"include_usage": True}}
    return (
        Workload(
            "json", "300 B JSON chat, 600 B reply", CHAT, _request(300, _MODEL), _completion(600)
        ),
        Workload(
            "prompt_100kB",
            "100 kB prompt, 4 kB reply",
            CHAT,
            _request(10**5, _MODEL),
            _completion(4000),
        ),
        Workload(
            "sse",
            "SSE, 500 events, usage reported",
            CHAT,
            _request(300, _MODEL, **reported),
            b"".join(_STREAMS["sse"]),
            _SSE,
            EVENTS,
        ),
        Workload(
            "sse_counted",
            "SSE, 500 events, tokens counted locally",
            CHAT,
            _request(300, _MODEL, stream=True),
            b"".join(_STREAMS["sse_counted"]),
            _SSE,
            EVENTS,
        ),
        Workload(
            "prompt_4MB",
            "4 MB prompt, 4 kB reply",
            CHAT,
            _request(4 * 10**6, _MODEL),
            _completion(4000),
        ),
        Workload(
            "anthropic",
            "Anthropic SSE, 300 events",
            MESSAGES,
            _request(300, _CLAUDE, stream=True, max_tokens=1024),
            b"".join(_STREAMS["anthropic"]),
            _SSE,
            ANTHROPIC_EVENTS,
        ),
        Workload(
            "json_logs",
            "300 B JSON chat and two log records",
            CHAT,
            _request(300, _MODEL),
            _completion(600),
            log_records=2,
        ),
        Workload("healthz", "`/healthz`", "/healthz", b"", b"ok", "text/plain", method="GET"),
        Workload(
            "flask", "Flask (WSGI), 300 B JSON chat", CHAT, _request(300, _MODEL), _completion(600)
        ),
    )


WORKLOADS: Final = {workload.name: workload for workload in _workloads()}
"""Every workload, by name."""


def quiet_logger() -> logging.Logger:
    """Return the handlers' logger, which formats every record and writes it to the null device."""
    logger = logging.getLogger("shop.api")
    if not logger.handlers:
        handler = logging.StreamHandler(open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - a stream for the life of the process
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger


async def _events(events: list[bytes]) -> AsyncIterator[bytes]:
    for event in events:
        yield event


def asgi_app(name: str) -> Starlette:
    """Return the bare Starlette application of the workload *name*."""
    workload = WORKLOADS[name]
    reply, events, kind = workload.reply, _STREAMS.get(name), workload.content_type
    log = quiet_logger()

    async def answer(request: Request) -> Response:
        await request.json()
        return Response(reply, media_type=kind)

    async def logged(request: Request) -> Response:
        data = await request.json()
        log.info("chat request accepted and sent upstream")
        count = len(data["messages"])
        log.info(f"chat request with {count} messages answered in {reply.__len__()} bytes")  # noqa: G004 - the very thing that is measured
        return Response(reply, media_type=kind)

    async def stream(request: Request) -> Response:
        await request.json()
        assert events is not None
        return StreamingResponse(_events(events), media_type="text/event-stream")

    async def healthz(_: Request) -> Response:
        return Response(reply, media_type=kind)

    endpoint: Any = answer
    if events is not None:
        endpoint = stream
    elif workload.log_records:
        endpoint = logged
    elif name == "healthz":
        endpoint = healthz
    return Starlette(routes=[Route(workload.path, endpoint, methods=[workload.method])])


def wsgi_app() -> Flask:
    """Return the bare Flask application."""
    workload = WORKLOADS["flask"]
    app = Flask("benchmark")

    @app.post(CHAT)
    def chat() -> FlaskResponse:
        flask_request.get_json()
        return FlaskResponse(workload.reply, mimetype=workload.content_type)

    return app
