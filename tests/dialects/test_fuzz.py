"""Every dialect of the registry against anything: no exception, no false count, bounded memory.

New dialects are covered as soon as they are registered.
"""

from __future__ import annotations

import json
import os
import tracemalloc
import zlib
from itertools import pairwise
from struct import pack
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zeroret.dialects import Dialect, every
from zeroret.dialects.answer import Reader
from zeroret.dialects.streams import HOLD_LIMIT
from zeroret.journal.once import Once
from zeroret.tokens import TokenCounter, vocabulary
from zeroret.usage.meter import Meter, Metered
from zeroret.usage.record import TOKEN_COLUMNS

COUNTER: Final = TokenCounter()
DIALECTS: Final = list(every())
EXAMPLES: Final = 400 if os.environ.get("ZERORET_LONG") == "1" else 10
"""Drawn for each dialect and test; the long suite draws many."""

LARGEST: Final = 2**56
"""More than the sum of any counts that are believed here."""


def message(payload: bytes, kind: str = "chunk") -> bytes:
    """Return one message of an AWS event stream."""
    heads = b"".join(
        bytes([len(name)]) + name + b"\x07" + pack(">H", len(value)) + value
        for name, value in ((b":event-type", kind.encode()), (b":message-type", b"event"))
    )
    prelude = pack(">II", 16 + len(heads) + len(payload), len(heads))
    body = prelude + pack(">I", zlib.crc32(prelude)) + heads + payload
    return body + pack(">I", zlib.crc32(body))


USAGES: Final[list[Any]] = [
    {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 5},
    {"promptTokenCount": 7, "candidatesTokenCount": 3, "thoughtsTokenCount": 2},
    {"inputTokens": 7, "outputTokens": 3, "cacheReadInputTokens": 5},
    {"tokens": {"input_tokens": 7, "output_tokens": 3}, "billed_units": {"input_tokens": 2}},
    {"prompt_tokens": -1, "completion_tokens": 1.5, "total_tokens": "7"},
    {"input_tokens": 2**80, "output_tokens": True, "cache_read_input_tokens": [1]},
    {"promptTokenCount": None, "candidatesTokenCount": {}},
    {},
    [],
    "usage",
    7,
    None,
]
OBJECTS: Final[list[dict[str, Any]]] = [
    {"model": "m", "choices": [{"index": 0, "delta": {"content": "größe"}}]},
    {"model": "m", "choices": [{"index": 0, "message": {"content": [{"text": "x"}]}}]},
    {"choices": [{"text": "hi", "delta": {"tool_calls": [{"function": {"arguments": "{}"}}]}}]},
    {"choices": 7, "model": [], "error": {"message": "no"}},
    {"type": "message_start", "message": {"model": "m", "usage": USAGES[1]}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
    {"type": "content_block_delta", "index": [], "delta": {"text": {}}},
    {"type": "message_delta", "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
    {"type": "response.output_text.delta", "output_index": 0, "delta": "a"},
    {"type": "response.completed", "response": {"id": "r", "model": "m", "usage": USAGES[1]}},
    {"type": "response.done", "response": {"id": "r", "usage": USAGES[1]}},
    {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]},
    {"candidates": [7], "modelVersion": 7, "promptFeedback": []},
    {"message": {"role": "assistant", "content": "a"}, "done": True, "prompt_eval_count": 4},
    {"response": "a", "done": False, "eval_count": -1},
    {"event_type": "text-generation", "text": "a", "is_finished": False},
    {"contentBlockDelta": {"delta": {"text": "a"}}, "metadata": {"usage": USAGES[3]}},
    {"metadata": {"usage": USAGES[3]}, "metrics": {"latencyMs": 1}},
    {"bytes": "eyJ0eXBlIjoibWVzc2FnZV9zdG9wIn0="},
    {"custom_id": "1", "response": {"body": {"usage": USAGES[0]}}},
    {"custom_id": "1", "result": {"message": {"usage": USAGES[1]}}},
    {"object": "batch", "status": "completed", "id": "b", "usage": USAGES[1]},
    {"embedding": [0.5], "embeddings": [[0.5]], "data": []},
    {"output": [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}]},
    {"text": "a", "generations": [{"text": "b"}], "meta": USAGES[4]},
]
NAMES: Final = ("usage", "usageMetadata", "meta", "x_groq", "delta", "metadata", "response")
SEEDS: Final = st.builds(
    lambda shape, name, usage: json.dumps(
        {**shape, **({name: usage} if name else {})}, ensure_ascii=False
    ).encode(),
    st.sampled_from(OBJECTS),
    st.sampled_from(["", *NAMES]),
    st.sampled_from(USAGES),
)
ODD: Final = st.sampled_from(
    [
        b"[DONE]",
        b'{"usage":{"prompt_tokens":1,"prompt_tokens":2,"completion_tokens":3}}',
        b'{"usage":{"prompt_tokens":NaN,"completion_tokens":1e999}}',
        b'{"usage":' + b'{"a":' * 600 + b"1" + b"}" * 601,
        b'{"choices":' + b"[" * 3000,
        b'{"model":"' + b"x" * 5000 + b'"}',
        b'{"choices":[{"delta":{"content":"\\ud83d"}}]}',
        b'{"choices":[{"delta":{"content":"\xff"}}]}',
        b"\x00\x00\x00\x00",
        b"",
    ]
)


def framed(payload: bytes, form: str) -> bytes:
    """Return *payload* as one event of a stream in *form*."""
    if form == "sse":
        return b"data: " + payload + b"\n\n"
    if form == "typed":
        return b"event: message\nid: 1\ndata: " + payload + b"\n\n: ping\n\n"
    if form == "crlf":
        return b"data: " + payload + b"\r\n\r\n"
    if form == "ndjson":
        return payload + b"\n"
    return message(payload) if form == "eventstream" else b"," + payload


BODIES: Final = st.builds(
    lambda payloads, form: b"".join([framed(payload, form) for payload in payloads]),
    st.lists(st.one_of(SEEDS, ODD, st.binary(max_size=40)), max_size=12),
    st.sampled_from(["sse", "typed", "crlf", "ndjson", "array", "eventstream"]),
)


def mutated(body: bytes, places: list[tuple[int, int, bytes]]) -> bytes:
    """Return *body* with bytes put in the place of others."""
    for place, size, put in places:
        at = place % (len(body) + 1)
        body = body[:at] + put + body[at + size :]
    return body


MUTATED: Final = st.one_of(
    BODIES,
    SEEDS,
    st.binary(max_size=300),
    st.builds(
        mutated,
        BODIES,
        st.lists(
            st.tuples(st.integers(0, 5000), st.integers(0, 20), st.binary(max_size=6)), max_size=6
        ),
    ),
)
KINDS: Final = st.sampled_from(
    [
        b"application/json",
        b"text/event-stream",
        b"application/x-ndjson",
        b"application/vnd.amazon.eventstream",
        b"text/html",
        b"audio/mpeg",
        b"",
        b"\xff\x00",
    ]
)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut *body* at *places*."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


def path_of(dialect: Dialect) -> str:
    """Return a path on which *dialect* is spoken."""
    pattern = dialect.routes[0].pattern
    return "/" + pattern.replace("{model:path}", "m").replace("{model}", "m").replace("{id}", "1")


def opened(dialect: Dialect, kind: bytes, coding: bytes = b"", status: int = 0) -> Meter:
    """Return a meter of *dialect* whose response has started."""
    method = dialect.methods[0] if dialect.methods else "GET"
    status = status or (200 if dialect.methods else 101)
    marks = Once("memory", b"s")
    meter = Meter(dialect, COUNTER, path=path_of(dialect), method=method, marks=marks)
    meter.request_chunk(b'{"model": "gpt-4o", "stream": true, "prompt": "hi"}')
    meter.request_end()
    meter.response_start(status, kind, coding)
    return meter


def reader_of(meter: Meter) -> Reader | None:
    """Return the reader that a meter chose."""
    return None if meter._answered is None else meter._answered.reader


def assert_sound(metered: Metered) -> None:
    """Assert that every count is a count, or unknown."""
    for name in TOKEN_COLUMNS:
        value = getattr(metered, name)
        assert value is None or (type(value) is int and 0 <= value < LARGEST), name


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=EXAMPLES)
@given(
    body=MUTATED,
    places=st.lists(st.integers(0, 5000), max_size=12),
    kind=KINDS,
    complete=st.booleans(),
)
def test_nothing_that_is_answered_raises(
    dialect: Dialect, body: bytes, places: list[int], kind: bytes, *, complete: bool
) -> None:
    """Any bytes in any cut under any type: no fault of a reader, sound counts, nothing held."""
    metereds = []
    for chunks in ([body], cut(body, places)):
        meter = opened(dialect, kind)
        reader = reader_of(meter)
        passed = 0
        for chunk in chunks:
            meter.response_chunk(chunk)
            passed += len(chunk)
            assert meter.held <= 60 * passed + 4096
        metered = meter.finish(complete=complete)
        assert not getattr(reader, "broken", False), "a fault of ours was caught"
        assert meter.held == 0
        assert_sound(metered)
        metereds.append(metered)
    if dialect.methods:  # the frames of a websocket are not cut
        assert metereds[0] == metereds[1], "the cut told"


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=EXAMPLES)
@given(
    body=MUTATED,
    kind=KINDS,
    coding=st.sampled_from([b"gzip", b"deflate", b"br", b"gzip, gzip"]),
    packed=st.booleans(),
    size=st.integers(1, 200),
)
def test_nothing_that_is_packed_raises(  # noqa: PLR0913 - each is drawn
    dialect: Dialect, body: bytes, kind: bytes, coding: bytes, size: int, *, packed: bool
) -> None:
    """Packed, and what only says it is packed, is read or unknown."""
    if packed:
        packer = zlib.compressobj(wbits=31 if coding == b"gzip" else 15)
        body = packer.compress(body) + packer.flush()
    meter = opened(dialect, kind, coding)
    for start in range(0, len(body), size):
        meter.response_chunk(body[start : start + size])
    assert_sound(meter.finish(complete=True))
    assert meter.held == 0


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=EXAMPLES)
@given(body=st.one_of(SEEDS, ODD, st.binary(max_size=200)), size=st.integers(1, 99))
def test_nothing_that_is_asked_raises(dialect: Dialect, body: bytes, size: int) -> None:
    """Any request is borne, and its prompt counted or unknown."""
    method = dialect.methods[0] if dialect.methods else "GET"
    meter = Meter(dialect, COUNTER, path=path_of(dialect), method=method)
    meter.request_query(body)
    for start in range(0, len(body), size):
        meter.request_chunk(body[start : start + size])
    meter.request_end()
    meter.response_start(200, b"text/event-stream", b"")
    meter.response_chunk(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
    assert_sound(meter.finish(complete=False))
    assert meter.held == 0


BOMB: Final = 2**20


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_bomb_builds_nothing_large(dialect: Dialect) -> None:
    """A megabyte of empty lists where a small part belongs is passed over, not built."""
    vocabulary.encoding("o200k_base")  # which takes more than any bomb, once
    many = b"[" + b"[]," * (BOMB // 3 - 100) + b"[]]"
    deep = b"[" * (BOMB - 100)
    for name in ("usage", "usageMetadata", "model", "error", "meta", "id", "status", "type"):
        for bomb in (many, b'{"input_tokens":' + many + b"}", deep):
            payload = b'{"' + name.encode() + b'":' + bomb + b"}"
            for body, kind in (
                (payload, b"application/json"),
                (b"data: " + payload + b"\n\n", b"text/event-stream"),
            ):
                meter = opened(dialect, kind)
                tracemalloc.start()
                meter.response_chunk(body)
                metered = meter.finish(complete=True)
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                assert peak < 8 * BOMB, (name, peak)
                assert_sound(metered)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_stream_without_end_is_not_held(dialect: Dialect) -> None:
    """What never ends, or never becomes an event, is held up to a bound, whatever the framing."""
    limit = max(2 * HOLD_LIMIT, 2 * (dialect.event_limit or 0)) + 2**20
    piece = b'data: {"a":"' + b"x" * 60_000
    for kind in (b"text/event-stream", b"application/x-ndjson", b"application/json"):
        meter = opened(dialect, kind)
        if reader_of(meter) is not None and dialect.framing(kind, asked=True) is None:
            limit = max(limit, 70 * 2**20)  # one answer is held up to its own limit
        most = 0
        for _ in range(3 * HOLD_LIMIT // len(piece)):
            meter.response_chunk(piece)
            most = max(most, meter.held)
        assert most < limit
        meter.finish(complete=True)
        assert meter.held == 0
