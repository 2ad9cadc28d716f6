"""A JSON array in pieces against the same array read whole."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import sse
from zeroret.dialects.jsonarray import ObjectBuffer


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut *body* at *places*."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


def read(chunks: list[bytes], limit: int = 2**20) -> tuple[list[bytes], ObjectBuffer]:
    """Return the objects of *chunks* as they were given on."""
    buffer = ObjectBuffer(limit)
    text = b""
    for chunk in chunks:
        text += buffer.feed(chunk)
        assert buffer.held <= limit
    return [sse.event(block)[1] for block in text.split(b"\n\n")[:-1]], buffer


def finest(body: bytes) -> list[bytes]:
    """Cut *body* into single bytes."""
    return [body[at : at + 1] for at in range(len(body))]


VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='a"\\{}[],:\n\u00fc', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=4)
STYLES = st.sampled_from([{"indent": 2}, {"indent": 0}, {"separators": (",", ":")}])


@given(
    OBJECTS,
    STYLES,
    st.sampled_from([{}, {"ensure_ascii": False}]),
    st.lists(st.integers(0, 900), max_size=9),
)
def test_any_cut_gives_the_objects(
    objects: list[Any],
    style: dict[str, Any],
    text: dict[str, Any],
    places: list[int],
) -> None:
    """Every object is one event, whatever the chunks, the layout and the braces in strings."""
    body = json.dumps(objects, **style, **text).encode()
    for chunks in ([body], cut(body, places), finest(body)):
        found, buffer = read(chunks)
        assert [json.loads(each) for each in found] == objects
        assert (buffer.dropped, buffer.ended, buffer.held) == (0, True, 0)


def test_an_object_alone_is_read() -> None:
    """Errors come as one object, and some servers leave the array out."""
    for body in (b'{"error": {"code": 404}}\n', b'{"a": 1}\r\n{"b": "}"}'):
        for chunks in ([body], finest(body)):
            found, buffer = read(chunks)
            assert len(found) == body.count(b'{"') - body.count(b"code")
            assert not buffer.ended
            assert buffer.held == 0


@pytest.mark.parametrize("rest", [b"", b"]", b'{"a":2}', b"null,{}"])
def test_what_follows_the_array_is_not_read(rest: bytes) -> None:
    """After its end nothing is given on, held or counted as a fault."""
    body = b'[{"a":1}]' + rest
    for chunks in ([body], finest(body)):
        found, buffer = read(chunks)
        assert found == [b'{"a":1}']
        assert (buffer.dropped, buffer.ended, buffer.held) == (0, True, 0)


@pytest.mark.parametrize("junk", [b"1,", b'"x",', b"}", b"nonsense", b"\x00", b"\xff\xfe"])
def test_what_is_no_object_ends_the_reading(junk: bytes) -> None:
    """It is counted once; the objects before it were read."""
    body = b'[{"a":1},' + junk + b'{"a":2}]'
    for chunks in ([body], finest(body)):
        found, buffer = read(chunks)
        assert found == [b'{"a":1}']
        assert (buffer.dropped, buffer.ended, buffer.held) == (1, True, 0)


@pytest.mark.parametrize(
    "long",
    [
        b'{"a":"' + b"{" * 500 + b'"}',
        b'{"a":"' + b'\\"' * 250 + b'"}',
        b'{"a":' * 99 + b"1" + b"}" * 99,
    ],
)
def test_an_object_beyond_the_limit_is_passed_over(long: bytes) -> None:
    """It is dropped without being held, its end is found, and the next one is read."""
    body = b'[{"a":1},' + long + b',{"a":2}]'
    for chunks in ([body], finest(body), cut(body, [150, 151, 320, 321, 400])):
        found, buffer = read(chunks, limit=100)
        assert found == [b'{"a":1}', b'{"a":2}']
        assert (buffer.dropped, buffer.ended, buffer.held) == (1, True, 0)


def test_what_is_unfinished_says_nothing() -> None:
    """An object without its end is no object; the end forgets it."""
    body = b'[{"a":1},{"b":"\\'
    for end in range(len(body)):
        found, buffer = read([body[:end]])
        assert len(found) == (end >= 8)
        assert buffer.finish() == b""
        assert buffer.held == 0


@given(
    st.binary(max_size=90) | st.text(alphabet='[]{}",\\a ', max_size=90).map(str.encode),
    st.lists(st.integers(0, 900), max_size=9),
)
def test_any_bytes_are_borne(body: bytes, places: list[int]) -> None:
    """Arbitrary bytes never raise, hold no more than the limit, and read alike in any cut."""
    whole, first = read([body], limit=30)
    for chunks in (cut(body, places), finest(body)):
        found, buffer = read(chunks, limit=30)
        assert found == whole
        assert (buffer.dropped, buffer.ended) == (first.dropped, first.ended)
