"""Service tiers: told where each provider tells them, whole and streamed, and a closed set."""

from __future__ import annotations

import json
from typing import Any

import pytest

from zeroret.dialects import detect
from zeroret.dialects.tiers import OTHER, STANDARD, TIERS, tier_of
from zeroret.tokens import TokenCounter
from zeroret.usage.meter import Meter

COUNTER = TokenCounter()
CHAT_USAGE = {"prompt_tokens": 7, "completion_tokens": 3}
USAGE = {"input_tokens": 7, "output_tokens": 3}


def event(data: Any) -> bytes:
    """Return one event of a stream, with its type where it says one."""
    kind = b"event: " + data["type"].encode() + b"\n" if "type" in data else b""
    return kind + b"data: " + json.dumps(data).encode() + b"\n\n"


def served(path: str, chunks: list[bytes], kind: bytes) -> str | None:
    """Return the tier of a whole answer."""
    meter = Meter(detect(path), COUNTER)
    meter.request_chunk(json.dumps({"model": "m", "stream": b"json" not in kind}).encode())
    meter.request_end()
    meter.response_start(200, kind, b"")
    for chunk in chunks:
        meter.response_chunk(chunk)
    return meter.finish(complete=True).service_tier


CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
GENERATE = "/v1beta/models/gemini-2.5-pro:generateContent"
CONVERSE = "/model/amazon.nova-pro-v1:0/converse"

BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT, {"choices": [], "usage": CHAT_USAGE, "service_tier": "TIER"}),
    "responses": (RESPONSES, {"output": [], "usage": USAGE, "service_tier": "TIER"}),
    "messages": (MESSAGES, {"content": [], "usage": {**USAGE, "service_tier": "TIER"}}),
    "gemini": (GENERATE, {"usageMetadata": {"promptTokenCount": 7, "trafficType": "TIER"}}),
    "converse": (CONVERSE, {"usage": {"inputTokens": 7}, "serviceTier": {"type": "TIER"}}),
}

STREAMS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "chat": (
        CHAT,
        [
            {"model": "m", "choices": [], "service_tier": "auto"},
            {"model": "m", "choices": [], "usage": CHAT_USAGE, "service_tier": "TIER"},
        ],
    ),
    "responses": (
        RESPONSES,
        [
            {"type": "response.created", "response": {"model": "m", "service_tier": "auto"}},
            {
                "type": "response.completed",
                "response": {"model": "m", "usage": USAGE, "service_tier": "TIER"},
            },
        ],
    ),
    "messages": (
        MESSAGES,
        [
            {
                "type": "message_start",
                "message": {"model": "m", "usage": {**USAGE, "service_tier": "TIER"}},
            },
            {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}},
            {"type": "message_stop"},
        ],
    ),
}


def with_tier(data: Any, tier: Any) -> Any:
    """Return *data* with *tier* in its place."""
    return json.loads(json.dumps(data).replace('"TIER"', json.dumps(tier)))


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("tier", ["flex", "priority", "batch"])
def test_a_body_tells_its_tier(name: str, tier: str) -> None:
    """Where its provider puts it."""
    path, body = BODIES[name]
    assert served(path, [json.dumps(with_tier(body, tier)).encode()], b"application/json") == tier


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_tells_the_tier_it_was_served_in(name: str) -> None:
    """The last word counts: the first events may repeat what was asked for."""
    path, events = STREAMS[name]
    chunks = [event(each) for each in with_tier(events, "flex")]
    assert served(path, chunks, b"text/event-stream") == "flex"


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(
    ("sent", "kept"),
    [("a prompt", OTHER), ("FLEX", "flex"), ("x" * 70_000, OTHER), ("", None), (None, None),
     (7, None), (["flex"], None), ({"type": "flex"}, None)],
)  # fmt: skip
def test_no_other_text_is_kept(name: str, sent: Any, kept: str | None) -> None:
    """An upstream's text is not believed, however long, and what is no text names no tier."""
    path, body = BODIES[name]
    found = served(path, [json.dumps(with_tier(body, sent)).encode()], b"application/json")
    assert found == kept or (isinstance(sent, str) and len(sent) > 64 and found is None)


def test_the_set_is_closed() -> None:
    """What may be recorded is listed."""
    assert {tier_of(each) for each in TIERS} == TIERS
    assert STANDARD < TIERS
    assert OTHER not in TIERS
