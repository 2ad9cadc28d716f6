"""Mistral's own endpoints: OpenAI's form, usage unasked, and never an exact local count."""

from __future__ import annotations

import json
from typing import Any

import pytest

from zeroret.dialects import detect
from zeroret.tokens import TokenCounter
from zeroret.usage.meter import Meter, Metered

USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "num_cached_tokens": 8}
PATHS = ("/v1/fim/completions", "/v1/agents/completions")
NAMES = dict(zip(PATHS, ("mistral.fim", "mistral.agents"), strict=True))


def metered(path: str, kind: str, pieces: list[bytes], *, complete: bool = True) -> Metered:
    """Meter one exchange whose model claims a vocabulary that is known."""
    meter = Meter(detect(path), TokenCounter(), path=path)
    request = {"model": "gpt-4o", "prompt": "def f(", "suffix": "return", "stream": "event" in kind}
    meter.request_chunk(json.dumps(request).encode())
    meter.request_end()
    meter.response_start(200, kind.encode(), b"")
    for piece in pieces:
        meter.response_chunk(piece)
    return meter.finish(complete=complete)


def event(**more: Any) -> bytes:
    """Return one chunk."""
    choice = {"index": 0, "delta": {"content": "a"}}
    chunk = {"model": "codestral-2508", "choices": [choice], **more}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


@pytest.mark.parametrize("path", PATHS)
def test_usage_is_read(path: str) -> None:
    """A body and the last chunk of a stream report it, unasked."""
    answer = {"model": "codestral-2508", "usage": USAGE, "choices": []}
    body = metered(path, "application/json", [json.dumps(answer).encode()])
    stream = metered(path, "text/event-stream", [event(), event(usage=USAGE), b"data: [DONE]\n\n"])
    for got in (body, stream):
        assert got.dialect == NAMES[path]
        assert (got.input_tokens, got.output_tokens) == (9, 4)
        assert got.cache_read_input_tokens == 8
        assert got.usage_source == "reported"
        assert got.response_model == "codestral-2508"


@pytest.mark.parametrize("path", PATHS)
def test_what_nobody_reported_is_an_estimate(path: str) -> None:
    """Delivered text is counted, and never called exact, whatever the model is called."""
    answer = {"model": "gpt-4o", "choices": [{"index": 0, "message": {"content": "hello"}}]}
    for kind, pieces in (
        ("application/json", [json.dumps(answer).encode()]),
        ("text/event-stream", [event(), event()]),
    ):
        got = metered(path, kind, pieces, complete="json" in kind)
        assert got.output_tokens
        assert got.usage_source == "estimated"


def test_chat_is_openais() -> None:
    """Mistral's chat and embeddings have OpenAI's paths, and its form."""
    for path, name in (("chat/completions", "openai.chat"), ("embeddings", "openai.embeddings")):
        dialect = detect(f"/v1/{path}")
        assert dialect is not None
        assert dialect.name == name
