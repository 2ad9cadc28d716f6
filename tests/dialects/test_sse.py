"""The event stream reader against a plain line-by-line reading of the standard."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import sse


def events_of(chunks: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Read *chunks* with the buffer under test; the unfinished rest is discarded."""
    buffer = sse.EventBuffer()
    found = []
    for chunk in chunks:
        for block in buffer.feed(chunk).split(b"\n\n"):
            kind, data = sse.event(block)
            if data:
                found.append((kind, data))
    return found


def events_by_the_standard(body: bytes) -> list[tuple[bytes, bytes]]:
    """Read *body* as WHATWG HTML 9.2.6 puts it, one line after another."""
    lines = re.split(rb"\r\n|\r|\n", body.removeprefix(b"\xef\xbb\xbf"))
    found = []
    kind, data = b"", b""
    for line in lines[:-1]:
        if not line:
            if data.removesuffix(b"\n"):
                found.append((kind, data.removesuffix(b"\n")))
            kind, data = b"", b""
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            kind = value
        elif field == b"data":
            data += value + b"\n"
    return found


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut *body* at *places*."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


LINES = st.sampled_from(
    [
        b"data: {}",
        b"data:x",
        b"data:  y",
        b"data",
        b"data:",
        b": ping",
        b"",
        b"",
        b"event: error",
        b"event:message_stop",
        b"id: 1",
        b"retry",
        "data: größe €".encode(),
        b"\xef\xbb\xbfdata: z",
        b"datax: no",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
BODIES = st.lists(st.tuples(LINES, ENDS), max_size=25).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


@given(
    BODIES,
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(st.integers(0, 1000), max_size=12),
)
def test_any_cut_gives_the_events_of_the_standard(
    body: bytes,
    bom: bytes,
    places: list[int],
) -> None:
    """Whatever the line ends, the BOM and the cuts, the events are those of the standard."""
    body = bom + body
    expected = events_by_the_standard(body)
    assert events_of([body]) == expected
    assert events_of(cut(body, places)) == expected
    assert events_of([body[i : i + 1] for i in range(len(body))]) == expected


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_arbitrary_bytes_read_alike_in_any_cut(chunks: list[bytes]) -> None:
    """Bytes that are no event stream raise nothing and read the same whole or in pieces."""
    assert events_of(chunks) == events_of([b"".join(chunks)])


def test_an_endless_line_is_dropped_and_the_next_event_read() -> None:
    """An event past the limit is dropped and counted; the one behind it arrives."""
    piece = b"x" * 65536
    for step in (65536, 7000, 2**22):
        body = b"data: " + piece * 20 + b"\n\ndata: next\n\n"
        buffer = sse.EventBuffer()
        text = b""
        most = 0
        for i in range(0, len(body), step):
            text += buffer.feed(body[i : i + step])
            most = max(most, buffer.held)
        assert text.strip() == b"data: next"
        assert buffer.dropped == 1
        assert most <= sse.EVENT_LIMIT + 2


def test_an_event_at_the_limit_is_kept() -> None:
    """The limit itself is allowed, in one piece and in many."""
    block = b"data: " + b"x" * (sse.EVENT_LIMIT - 6)
    for step in (2**22, 50_000):
        buffer = sse.EventBuffer()
        body = block + b"\n\n"
        text = b"".join(buffer.feed(body[i : i + step]) for i in range(0, len(body), step))
        assert text == body
        assert buffer.dropped == 0


def test_the_unfinished_event_is_given_back_at_the_end() -> None:
    """What no blank line closed comes out of finish, and nothing stays held."""
    buffer = sse.EventBuffer()
    assert buffer.feed(b"data: a\n\ndata: b\n") == b"data: a\n\n"
    assert buffer.finish() == b"data: b\n"
    assert buffer.held == 0


def test_blocks_are_found_once_each() -> None:
    """A needle that stands twice in an event finds that event once."""
    text = b"data: a a\n\ndata: b\n\ndata: a\n\n"
    assert list(sse.blocks_with(text, b"data")) == [b"data: a a", b"data: b", b"data: a"]
    assert list(sse.blocks_with(text, b" a")) == [b"data: a a", b"data: a"]
    assert list(sse.blocks_with_from_end(text, b" a")) == [b"data: a", b"data: a a"]
    assert list(sse.blocks_with(text, b"c")) == []


@given(
    st.lists(st.sampled_from([b"data: {}", b"event: e", b": c", b"id: data: 1", b""]), max_size=9)
)
def test_usual_events_give_their_data_line_by_line(lines: list[bytes]) -> None:
    """The batch form either says no, or is the data that reading event by event gives."""
    text = b"".join(line + b"\n" for line in lines) + b"\n"
    joined = sse.data_lines(text)
    if joined is not None:
        assert joined.split(b"\n") == [data for _, data in events_by_the_standard(text)]


def test_the_two_usual_shapes_are_taken_as_batches() -> None:
    """Plain data events and events with a type are both read at once."""
    assert sse.data_lines(b"data: 1\n\ndata: 2\n\n") == b"1\n2"
    assert sse.data_lines(b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n") == b"1\n2"
    assert sse.data_lines(b"data: 1\n: ping\n\n") is None


def test_the_last_events_start_at_an_event() -> None:
    """The tail of a text is cut where an event starts."""
    text = b"data: a\n\ndata: b\n\ndata: c\n\n"
    assert sse.last_events(text, 12) == b"data: c\n\n"
    assert sse.last_events(text, 999) == text
