"""The reader of AWS event streams against botocore's, and against bytes nobody should send."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from botocore.eventstream import (
    EventStreamBuffer,
    EventStreamMessage,
)
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import sse
from zeroret.dialects.eventstream import (
    LARGEST,
    Message,
    MessageBuffer,
    as_event,
    parse_headers,
)

Encode = Callable[..., bytes]
JSON = b'{"a": 1}'
KINDS = st.sampled_from(["chunk", "metadata", "größe", ""])
PAYLOADS = st.binary(max_size=60) | st.sampled_from([b"", JSON, b'{"a":\n 1,\r\n"b": 2}'])


def read(chunks: list[bytes], limit: int = 2**20) -> tuple[list[Message], MessageBuffer]:
    """Read *chunks*; at no time is more held than one message of *limit* bytes."""
    buffer = MessageBuffer(limit)
    found = []
    for chunk in chunks:
        found += buffer.messages(chunk)
        assert buffer.held <= limit
    return found, buffer


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut *body* at *places*."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


def singles(body: bytes) -> list[bytes]:
    """Cut *body* into single bytes."""
    return [body[at : at + 1] for at in range(len(body))]


def by_botocore(body: bytes) -> list[Message]:
    """Read *body* with the reader of AWS's own library."""
    buffer: Any = EventStreamBuffer()
    buffer.add_data(body)
    found = []
    for message in buffer:
        assert isinstance(message, EventStreamMessage)
        headers = message.headers
        failed = headers.get(":message-type", "event") != "event"
        kind = headers.get(":exception-type") if failed else headers.get(":event-type")
        found.append((str(kind), failed, message.payload))
    return found


@given(st.lists(st.tuples(KINDS, PAYLOADS), max_size=8), st.lists(st.integers(0, 5000), max_size=9))
def test_any_cut_gives_the_messages_that_botocore_reads(
    encode_message: Encode, messages: list[tuple[str, bytes]], places: list[int]
) -> None:
    """Messages depend on the bytes alone, and are those of an independent reader."""
    body = b"".join(encode_message(payload, kind) for kind, payload in messages)
    expected = by_botocore(body)
    assert expected == [(kind, False, payload) for kind, payload in messages]
    for chunks in ([body], cut(body, places), singles(body)):
        found, buffer = read(chunks)
        assert found == expected
        assert (buffer.dropped, buffer.held, buffer.lost) == (0, 0, False)


def test_a_failure_says_so(encode_message: Encode) -> None:
    """An exception or error message is a failure, and an event that says error, not which."""
    thrown = encode_message(
        b'{"message":"slow"}', message_type="exception", exception_type="throttlingException"
    )
    error = encode_message(b"", message_type="error", error_code="InternalFailure")
    odd = encode_message(b"{}", message_type="else")
    found, _ = read([thrown + error + odd])
    assert [(kind, failed) for kind, failed, _ in found] == [
        ("throttlingException", True),
        ("InternalFailure", True),
        ("else", True),
    ]
    for message in found:
        assert as_event(message) == b'data: {"error":true}\n\n'


@given(st.lists(PAYLOADS, max_size=6))
def test_each_message_is_one_event(encode_message: Encode, payloads: list[bytes]) -> None:
    """As events the payloads are what they were, LF turned to blanks."""
    text = MessageBuffer().feed(b"".join(encode_message(payload) for payload in payloads))
    data = [sse.event(block)[1] for block in text.split(b"\n\n")[:-1]]
    kept = [payload for payload in payloads if payload]
    assert data == [payload.replace(b"\n", b" ") for payload in kept]


VALUES = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=9), st.text(max_size=9)
)


@given(st.dictionaries(st.text(min_size=1, max_size=9), VALUES | st.uuids(), max_size=5))
def test_headers_of_every_type_are_read(encode_headers: Encode, headers: dict[str, Any]) -> None:
    """What was written is read, whatever its type."""
    read_back = parse_headers(encode_headers(headers))
    assert read_back == headers
    assert [type(value) for value in read_back.values()] == [
        type(value) for value in headers.values()
    ]


def test_short_numbers_are_read() -> None:
    """Numbers of one, two, four and eight bytes have their signs; a timestamp is a number."""
    block = b"\x01a\x02\xff\x01b\x03\xff\xfe\x01c\x04\xff\xff\xff\xfd\x01d\x08" + b"\xff" * 8
    assert parse_headers(block) == {"a": -1, "b": -2, "c": -3, "d": -1}
    assert parse_headers(b"\x01u\x09" + UUID(int=7).bytes) == {"u": UUID(int=7)}


@given(st.binary(max_size=40))
def test_headers_of_any_bytes_are_read_or_refused(block: bytes) -> None:
    """Arbitrary headers never raise anything but the one error."""
    try:
        headers = parse_headers(block)
    except ValueError:
        return
    assert isinstance(headers, dict)


@pytest.mark.parametrize(
    "block",
    [
        b"\x01",
        b"\x01a",
        b"\x05ab",
        b"\x01a\x0a",
        b"\x01a\xff",
        b"\x01a\x07\x00",
        b"\x01a\x07\x00\x02x",
        b"\x01a\x09\x00",
        b"\x01a\x05\x00",
        b"\x01\xff\x00",
        b"\x01a\x07\x00\x01\xff",
    ],
)
def test_headers_that_run_over_or_have_no_type_are_refused(
    encode_message: Encode, block: bytes
) -> None:
    """A message with such headers is dropped and counted; the next one is read."""
    with pytest.raises(ValueError, match=r"header|utf-8"):
        parse_headers(block)
    prelude = struct.pack(">II", 16 + len(block), len(block))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + block
    body += struct.pack(">I", zlib.crc32(body))
    for chunks in ([body + encode_message(JSON)], singles(body + encode_message(JSON))):
        found, buffer = read(chunks)
        assert found == [("chunk", False, JSON)]
        assert buffer.dropped == 1


def test_a_wrong_checksum_costs_its_message_alone(encode_message: Encode) -> None:
    """One flipped bit in a payload drops that message; the frame still tells where the next is."""
    good, bad = encode_message(JSON), bytearray(encode_message(b'{"usage": 1}'))
    bad[-6] ^= 1
    for chunks in ([good + bad + good], singles(good + bytes(bad) + good)):
        found, buffer = read(chunks)
        assert [payload for _, _, payload in found] == [JSON, JSON]
        assert (buffer.dropped, buffer.lost) == (1, False)


def prelude_of(total: int, heads: int) -> bytes:
    """Return a prelude whose own checksum is right."""
    prelude = struct.pack(">II", total, heads)
    return prelude + struct.pack(">I", zlib.crc32(prelude))


@pytest.mark.parametrize(
    "prelude",
    [
        b"\x00\x00\x00\x20\x00\x00\x00\x00\xde\xad\xbe\xef",
        prelude_of(0, 0),
        prelude_of(15, 0),
        prelude_of(2**32 - 1, 0),
        prelude_of(LARGEST + 1, 8),
        prelude_of(64, 2**32 - 1),
        prelude_of(64, 49),
        b"HTTP/1.1 200",
    ],
)
def test_a_wrong_prelude_ends_the_reading(encode_message: Encode, prelude: bytes) -> None:
    """Nobody knows where the next message begins: nothing more is read, and nothing is held."""
    body = encode_message(JSON) + prelude + encode_message(JSON) * 3
    for chunks in ([body], singles(body)):
        found, buffer = read(chunks)
        assert [payload for _, _, payload in found] == [JSON]
        assert (buffer.dropped, buffer.lost, buffer.held) == (1, True, 0)


def test_a_message_beyond_the_limit_is_passed_over(encode_message: Encode) -> None:
    """It is dropped without being held, and the next one is read."""
    body = encode_message(JSON) + encode_message(b"x" * 5000) + encode_message(JSON)
    for chunks in ([body], singles(body), cut(body, [130, 131, 300, 4000])):
        found, buffer = read(chunks, limit=1000)
        assert [payload for _, _, payload in found] == [JSON, JSON]
        assert (buffer.dropped, buffer.lost) == (1, False)


def test_a_truncated_message_is_no_message(encode_message: Encode) -> None:
    """What is cut off, be it in the prelude, the headers or the payload, says nothing."""
    body = encode_message(JSON)
    for end in range(len(body)):
        found, buffer = read([body[:end]])
        assert not found
        assert buffer.held == end
        assert buffer.finish() == b""
        assert buffer.held == 0


@given(st.binary(max_size=200), st.lists(st.integers(0, 5000), max_size=9), st.integers(0, 3))
def test_any_bytes_in_any_cut_are_borne(
    encode_message: Encode, junk: bytes, places: list[int], before: int
) -> None:
    """Arbitrary bytes never raise, are not held beyond a message, and read alike in any cut."""
    body = encode_message(JSON) * before + junk
    whole, buffer = read([body])
    assert len(whole) >= before
    for chunks in (cut(body, places), singles(body)):
        found, other = read(chunks)
        assert found == whole
        assert (other.dropped, other.lost, other.held) == (
            buffer.dropped,
            buffer.lost,
            buffer.held,
        )
