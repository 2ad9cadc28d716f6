"""Lines of JSON against a plain splitting of the whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import sse
from zeroret.dialects.ndjson import LineBuffer, as_events


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut *body* at *places*."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


def read(chunks: list[bytes], limit: int = 2**20) -> tuple[list[bytes], LineBuffer]:
    """Return the data of every event of *chunks*, the unfinished one included."""
    buffer = LineBuffer(limit)
    text = b""
    for chunk in chunks:
        text += buffer.feed(chunk)
        assert buffer.held <= limit
    rest = buffer.finish()
    assert buffer.held == 0
    blocks = [*text.split(b"\n\n")[:-1], *([rest] if rest else [])]
    return [sse.event(block)[1] for block in blocks], buffer


LINES = st.sampled_from([b'{"a":1}', "größe".encode(), b"", b"", b"data: x", b": no", b"x" * 50])
BODIES = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n"])), max_size=12).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


@given(BODIES, st.sampled_from([b"", b'{"last":1}']), st.lists(st.integers(0, 900), max_size=9))
def test_any_cut_gives_the_lines(body: bytes, last: bytes, places: list[int]) -> None:
    """Every line that is not empty is one event, the last without its end too."""
    whole = body + last
    expected = [line for line in whole.replace(b"\r", b"").split(b"\n") if line]
    for chunks in ([whole], cut(whole, places), [whole[i : i + 1] for i in range(len(whole))]):
        found, buffer = read(chunks)
        assert found == expected
        assert buffer.dropped == 0


@given(st.binary(max_size=90), st.lists(st.integers(0, 900), max_size=9))
def test_any_bytes_are_borne(body: bytes, places: list[int]) -> None:
    """Arbitrary bytes never raise, and no more is held than the limit allows."""
    whole, first = read([body], limit=20)
    for chunks in (cut(body, places), [body[i : i + 1] for i in range(len(body))]):
        found, buffer = read(chunks, limit=20)
        assert found == whole
        assert buffer.dropped == first.dropped


@pytest.mark.parametrize("size", [1, 7, 5000])
def test_a_line_beyond_the_limit_is_dropped(size: int) -> None:
    """It is counted and not held, and the lines around it are read."""
    body = b"first\n" + b"x" * 200 + b"\nlast\n" + b"y" * 300
    found, buffer = read([body[i : i + size] for i in range(0, len(body), size)], limit=100)
    assert found == [b"first", b"last"]
    assert buffer.dropped == 2


def test_empty_lines_are_no_events() -> None:
    """A megabyte of line ends gives nothing."""
    assert as_events(b"\n" * 2**20) == b""
    assert as_events(b"\r\n\r\n") == b""
    assert LineBuffer().feed(b"\n\n{}\n\n\n") == b"data: {}\n\n"
