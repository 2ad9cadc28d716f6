"""Anthropic's messages: cumulative usage, text and the terminal event, in any cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import named

if TYPE_CHECKING:
    from zeroret.dialects.answer import Parts
    from zeroret.dialects.streams import StreamReader


class Text:
    """Collects delivered text by place."""

    def __init__(self) -> None:
        self.places: dict[tuple[int, int], str] = {}

    def __call__(self, parts: Parts) -> None:
        """Take a batch."""
        for place, texts in parts.items():
            self.places[place] = self.places.get(place, "") + "".join(texts)


def event(kind: str, **fields: Any) -> bytes:
    """Return one event."""
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def start(**usage: int | None) -> bytes:
    """Return the first event, whose output is a placeholder."""
    usage = {"input_tokens": 10, "output_tokens": 1, **usage}
    return event("message_start", message={"model": "m-1", "usage": usage})


def text_delta(text: str, index: int = 0) -> bytes:
    """Return one event that delivers *text*."""
    return event("content_block_delta", index=index, delta={"type": "text_delta", "text": text})


def final(**usage: Any) -> bytes:
    """Return an event with cumulative usage."""
    return event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)


STOP = event("message_stop")


def read(
    chunks: list[bytes], *, hold: bool, complete: bool = True
) -> tuple[StreamReader, Text, int | None]:
    """Read a stream; the third value is how many bytes had passed when it was called terminal."""
    text = Text()
    reader = named("anthropic.messages").stream(text, hold=hold)
    terminal = None
    passed = 0
    for piece in chunks:
        passed += len(piece)
        if reader.feed(piece):
            assert terminal is None
            terminal = passed
    reader.finish(complete=complete, count=True)
    assert reader.held == 0
    return reader, text, terminal


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut *body* at *places*."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


TEXTS = st.sampled_from(
    [" a", "größe", "", "message_stop", "error", '"type":"message_stop"', "\n\n"]
)
EVENTS = st.one_of(
    st.tuples(TEXTS, st.integers(0, 2)).map(lambda pair: text_delta(*pair)),
    st.sampled_from(
        [
            start(),
            start(cache_read_input_tokens=4),
            event("ping"),
            b": note\n\n",
            event("content_block_start", index=1, content_block={"type": "tool_use", "name": "f"}),
            event("content_block_stop", index=0),
            final(output_tokens=5),
            final(output_tokens=0, input_tokens=3),
            final(input_tokens=6),
            final(output_tokens="7"),
            b"event: content_block_delta\ndata: {broken\n\n",
        ]
    ),
)


@given(
    st.lists(EVENTS, max_size=12),
    st.lists(st.integers(0, 5000), max_size=10),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.sampled_from([STOP, b"", event("error", error={"type": "overloaded_error"})]),
)
def test_any_cut_and_line_end_reads_alike(
    events: list[bytes], places: list[int], end: bytes, last: bytes
) -> None:
    """Usage, model, error and text depend on the bytes alone, not on how they came."""
    first = events[:1] if events and b"message_start" in events[0] else [start()]
    events = first + [piece for piece in events if b"message_start" not in piece]
    plain = b"".join(events) + last
    expected, text, _ = read([plain], hold=False)
    body = plain.replace(b"\n", end)
    for chunks in ([body], cut(body, places), [body[i : i + 1] for i in range(len(body))]):
        for hold in (False, True):
            reader, got, terminal = read(chunks, hold=hold)
            assert reader.usage == expected.usage
            assert reader.model == expected.model == "m-1"
            assert (terminal is not None) == bool(last)
            assert reader.error == (b"overloaded" in last)
            if not expected.usage.whole:
                assert got.places == text.places


@given(st.lists(TEXTS.map(text_delta), max_size=6), st.lists(st.integers(0, 5000), max_size=9))
def test_the_terminal_chunk_is_the_one_that_completes_it(
    events: list[bytes], places: list[int]
) -> None:
    """True comes with the very chunk that holds the last byte of the terminal event."""
    body = start() + b"".join(events) + STOP
    for hold in (False, True):
        _, _, terminal = read(cut(body, places), hold=hold)
        assert terminal == len(body)
        _, _, terminal = read([body[:-1]], hold=hold)
        assert terminal is None


def test_a_padded_stop_is_the_stop() -> None:
    """The provider pads its last event with spaces."""
    padded = STOP.replace(b'"}', b'"              }')
    for chunks in ([start(), text_delta("a"), padded], [start() + text_delta("a") + padded]):
        reader, _, terminal = read(chunks, hold=True)
        assert terminal == sum(map(len, chunks))
        assert not reader.error


def test_input_is_all_input() -> None:
    """Cache reads and writes are part of the input."""
    first = start(cache_read_input_tokens=4, cache_creation_input_tokens=2)
    reader, _, _ = read([first, final(output_tokens=5), STOP], hold=True)
    usage = reader.usage
    assert (usage.input_tokens, usage.output_tokens) == (16, 5)
    assert (usage.cache_read_input_tokens, usage.cache_write_input_tokens) == (4, 2)


def test_a_cumulative_report_overwrites_key_by_key() -> None:
    """Deltas name running totals; null changes nothing; zero is kept."""
    events = [
        start(cache_read_input_tokens=4),
        final(output_tokens=3),
        final(output_tokens=9, input_tokens=0, cache_read_input_tokens=None),
        STOP,
    ]
    reader, _, _ = read(events, hold=True)
    assert (reader.usage.input_tokens, reader.usage.output_tokens) == (4, 9)


def test_the_placeholder_output_of_the_start_is_no_report() -> None:
    """A stream cut before its usage has a known input, an unknown output and its text counted."""
    for hold in (False, True):
        reader, text, terminal = read(
            [start(), text_delta("hel"), text_delta("lo")], hold=hold, complete=False
        )
        assert terminal is None
        assert (reader.usage.input_tokens, reader.usage.output_tokens) == (10, None)
        assert text.places == {(0, 0): "hello"}


def test_every_kind_of_block_is_read() -> None:
    """Text, thinking and tool input are output; signatures and tool results are not."""
    events = [
        start(),
        event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
        event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"}),
        event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "x"}),
        event(
            "content_block_start",
            index=1,
            content_block={"type": "tool_use", "name": "find", "input": {}},
        ),
        event(
            "content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": "{}"}
        ),
        event("content_block_start", index=2, content_block={"type": "web_search_tool_result"}),
    ]
    reader, text, _ = read(events, hold=False)
    assert {place: said for place, said in text.places.items() if said} == {
        (0, 0): "hm",
        (1, 0): "find{}",
    }
    assert not reader.opaque


@pytest.mark.parametrize("kind", ["redacted_thinking", "image"])
def test_what_is_no_text_is_opaque(kind: str) -> None:
    """Delivered content that cannot be counted is said to be there."""
    block = event("content_block_start", index=0, content_block={"type": kind, "data": "AAAA"})
    reader, _, _ = read([start(), block], hold=True)
    assert reader.opaque


def test_a_message_is_read_at_its_end() -> None:
    """A JSON message gives usage, model, and its text when usage is missing."""
    content = [
        {"type": "text", "text": "hi"},
        {"type": "tool_use", "name": "f", "input": {"a": 1}},
    ]
    usage = {"input_tokens": 3, "output_tokens": 4, "output_tokens_details": {"thinking_tokens": 1}}
    for block in (usage, None):
        text = Text()
        reader = named("anthropic.messages").body(text)
        body = {"type": "message", "model": "m-1", "content": content, "usage": block}
        reader.feed(json.dumps(body).encode())
        reader.finish(complete=True, count=True)
        assert reader.model == "m-1"
        if block is None:
            assert text.places == {(0, 0): "hi", (1, 0): 'f{"a":1}'}
        else:
            assert (reader.usage.input_tokens, reader.usage.output_tokens) == (3, 4)
            assert reader.usage.reasoning_output_tokens == 1
            assert text.places == {}


def test_an_error_body_is_an_error() -> None:
    """An error answer is flagged and has no usage."""
    reader = named("anthropic.messages").body(None)
    reader.feed(b'{"type":"error","error":{"type":"overloaded_error","message":"no"}}')
    reader.finish(complete=True, count=False)
    assert reader.error
    assert not reader.recognised
