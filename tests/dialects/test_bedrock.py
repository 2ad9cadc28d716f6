"""Bedrock's Converse: usage without and with the cache, text and the last event, in any cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import detect, named
from zeroret.dialects.bedrock import read_usage
from zeroret.dialects.usage import Usage

if TYPE_CHECKING:
    from zeroret.dialects.answer import Parts
    from zeroret.dialects.streams import StreamReader

Encode = Callable[..., bytes]
STREAM: Final = named("bedrock.converse_stream")


class Text:
    """Collects delivered text by place."""

    def __init__(self) -> None:
        self.places: dict[tuple[int, int], str] = {}

    def __call__(self, parts: Parts) -> None:
        """Take a batch."""
        for place, texts in parts.items():
            self.places[place] = self.places.get(place, "") + "".join(texts)


START: Final = ("messageStart", {"role": "assistant", "p": "abc"})
STOP: Final = ("messageStop", {"stopReason": "end_turn"})


def delta(text: str, index: int = 0) -> tuple[str, Any]:
    """Return one event that delivers *text*."""
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": {"text": text}, "p": "ab"}


def last(**usage: Any) -> tuple[str, Any]:
    """Return the last event."""
    return "metadata", {"metrics": {"latencyMs": 5}, "usage": usage}


def encoded(encode_message: Encode, *events: tuple[str, Any]) -> bytes:
    """Return *events* as the server sends them."""
    return b"".join(encode_message(json.dumps(data).encode(), kind) for kind, data in events)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut *body* at *places*."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


def read(
    pieces: list[bytes], *, hold: bool = True, complete: bool = True
) -> tuple[StreamReader, Text, int | None]:
    """Read a stream; the third value is how many bytes had passed when it was called terminal."""
    text = Text()
    reader = STREAM.stream(text, hold=hold, framing="eventstream")
    terminal = None
    passed = 0
    for piece in pieces:
        passed += len(piece)
        if reader.feed(piece):
            assert terminal is None
            terminal = passed
    reader.finish(complete=complete, count=True)
    assert reader.held == 0
    return reader, text, terminal


def sides(usage: Usage) -> tuple[int | None, int | None]:
    """Return the two sides."""
    return usage.input_tokens, usage.output_tokens


TEXTS = st.sampled_from([" a", "größe", "", "metadata", "exception", '"usage": {"inputTokens": 1}'])
EVENTS = st.one_of(
    st.builds(delta, TEXTS, st.integers(0, 2)),
    st.sampled_from(
        [
            STOP,
            ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"name": "f"}}}),
            ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{}"}}}),
            ("contentBlockStop", {"contentBlockIndex": 1}),
            ("contentBlockDelta", {"contentBlockIndex": 2, "delta": 7}),
            ("odd", []),
        ]
    ),
)
LAST = st.sampled_from(
    [
        last(inputTokens=3, outputTokens=4, totalTokens=7),
        last(inputTokens=3, outputTokens=4, cacheReadInputTokens=9, cacheWriteInputTokens=0),
        last(inputTokens=3),
        last(inputTokens="3", outputTokens=-4),
    ]
)


@given(st.lists(EVENTS, max_size=8), LAST, st.lists(st.integers(0, 5000), max_size=9))
def test_any_cut_reads_alike(
    encode_message: Encode, events: list[tuple[str, Any]], end: tuple[str, Any], places: list[int]
) -> None:
    """Usage, text and the last event depend on the bytes alone, not on how they came."""
    body = encoded(encode_message, START, *events, end)
    expected, text, _ = read([body], hold=False)
    for pieces in ([body], cut(body, places), [body[i : i + 1] for i in range(len(body))]):
        for hold in (False, True):
            reader, got, terminal = read(pieces, hold=hold)
            assert terminal == len(body)
            assert sides(reader.usage) == sides(expected.usage)
            assert not reader.error
            assert reader.model is None
            if not expected.usage.whole:
                assert got.places == text.places


@given(st.lists(EVENTS, max_size=6), st.lists(st.integers(0, 5000), max_size=9))
def test_a_stream_without_its_last_event_is_counted(
    encode_message: Encode, events: list[tuple[str, Any]], places: list[int]
) -> None:
    """Where the client hung up nobody reported the tokens of the text, and nothing was last."""
    body = encoded(encode_message, START, delta("hel", 9), *events, delta("lo", 9))
    for hold in (False, True):
        reader, text, terminal = read(cut(body, places), hold=hold, complete=False)
        assert terminal is None
        assert sides(reader.usage) == (None, None)
        assert text.places[9, 0] == "hello"
        assert reader.recognised
        assert reader.opaque


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            {
                "inputTokens": 3,
                "outputTokens": 61,
                "cacheReadInputTokens": 2074,
                "cacheWriteInputTokens": 297,
            },
            (2374, 61),
        ),
        (
            {
                "inputTokens": 7,
                "outputTokens": 53,
                "cacheReadInputTokenCount": 5,
                "cacheWriteInputTokenCount": 0,
            },
            (12, 53),
        ),
        ({"inputTokens": 7, "cacheReadInputTokens": 5, "cacheReadInputTokenCount": 5}, (12, None)),
        ({"inputTokens": 0, "outputTokens": 0}, (0, 0)),
        ({"outputTokens": 5, "cacheReadInputTokens": 9}, (None, 5)),
        ({"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokens": "9"}, (None, 4)),
        ({"inputTokens": 3.5, "outputTokens": None}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_input_is_all_input(block: dict[str, Any], expected: tuple[int | None, int | None]) -> None:
    """What came from the cache and went to it is added once; where it is unclear nothing is."""
    usage = read_usage(block)
    assert usage is not None
    assert sides(usage) == expected


def test_every_kind_of_block_is_read(encode_message: Encode) -> None:
    """Text, reasoning and tools are output, in a stream as in a body."""
    blocks: list[dict[str, Any]] = [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "x"}}},
        {"text": "hi"},
        {"toolUse": {"name": "find", "input": {"a": 1}, "toolUseId": "t"}},
        {"image": {"format": "png"}},
    ]
    text = Text()
    body = named("bedrock.converse").body(text)
    body.feed(
        json.dumps({"output": {"message": {"role": "assistant", "content": blocks}}}).encode()
    )
    body.finish(complete=True, count=True)
    assert text.places == {(0, 1): "hm", (1, 0): "hi", (2, 2): 'find{"a":1}'}
    assert body.recognised

    stream = encoded(
        encode_message,
        START,
        (
            "contentBlockDelta",
            {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}},
        ),
        delta("hi", 1),
        ("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"name": "find"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"a":1}'}}}),
    )
    _, streamed, _ = read([stream])
    assert streamed.places == text.places


def test_a_router_tells_which_model_it_chose(encode_message: Encode) -> None:
    """A prompt router's answer names the model that was invoked."""
    kind, data = last(inputTokens=1, outputTokens=2)
    data["trace"] = {"promptRouter": {"invokedModelId": "anthropic.claude-3-haiku-20240307-v1:0"}}
    for hold in (True, False):
        reader, _, _ = read([encoded(encode_message, START, (kind, data))], hold=hold)
        assert reader.model == "anthropic.claude-3-haiku-20240307-v1:0"


@given(st.lists(st.integers(0, 5000), max_size=9))
def test_an_exception_ends_the_stream(encode_message: Encode, places: list[int]) -> None:
    """It is terminal and an error; what was delivered before it is counted."""
    thrown = encode_message(
        b'{"message":"slow down"}', message_type="exception", exception_type="throttlingException"
    )
    body = encoded(encode_message, START, delta("hi")) + thrown
    for hold in (False, True):
        reader, text, terminal = read(cut(body, places), hold=hold)
        assert terminal == len(body)
        assert reader.error
        assert sides(reader.usage) == (None, None)
        assert text.places == {(0, 0): "hi"}


@pytest.mark.parametrize("place", [3, 9, 20, -3])
def test_a_broken_message_makes_usage_unknown(encode_message: Encode, place: int) -> None:
    """A flipped bit in the message that holds the usage: unknown, and counted as a fault."""
    end = bytearray(encoded(encode_message, last(inputTokens=1, outputTokens=2)))
    end[place] ^= 64
    for hold in (False, True):
        reader, text, _ = read([encoded(encode_message, START, delta("hi")), bytes(end)], hold=hold)
        assert sides(reader.usage) == (None, None)
        assert reader.malformed == 1
        assert text.places == {(0, 0): "hi"}


@pytest.mark.parametrize(
    ("path", "name", "model"),
    [
        (
            "/model/us.amazon.nova-lite-v1:0/converse",
            "bedrock.converse",
            "us.amazon.nova-lite-v1:0",
        ),
        ("/proxy/model/m/converse-stream", "bedrock.converse_stream", "m"),
        (
            "/model/arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.m/converse",
            "bedrock.converse",
            "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.m",
        ),
        ("/model/m/invoke", "bedrock.invoke", "m"),
        ("/model/m/invoke-with-response-stream", "bedrock.invoke_stream", "m"),
        ("/model/m/count-tokens", "bedrock.count_tokens", "m"),
    ],
)
def test_the_path_names_the_model(path: str, name: str, model: str) -> None:
    """Bedrock's paths are known by their last segment; an ARN may have slashes."""
    dialect = detect(path)
    assert dialect is not None
    assert dialect.name == name
    assert dialect.model_in(path) == model
    assert dialect.named_by_path


@given(st.binary(max_size=200), st.lists(st.integers(0, 900), max_size=6))
def test_any_bytes_are_borne(encode_message: Encode, junk: bytes, places: list[int]) -> None:
    """Arbitrary bytes after a good stream never raise, and never change what it reported."""
    good = encoded(encode_message, START, last(inputTokens=1, outputTokens=2))
    for pieces in ([good + junk], cut(good + junk, places)):
        for hold in (True, False):
            reader, _, terminal = read(pieces, hold=hold)
            assert terminal is not None
            assert sides(reader.usage) == (1, 2)
