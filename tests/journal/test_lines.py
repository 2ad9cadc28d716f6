"""Lines: one record each, checked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zeroret.journal.lines import frame, parse

PAYLOADS = st.lists(
    st.binary(max_size=40)
    .map(lambda data: data.replace(b"\n", b""))
    .map(lambda data: b'{"id":' + data + b"}"),
    min_size=1,
    max_size=8,
    unique=True,
)


@given(PAYLOADS)
def test_round_trip(payloads: list[bytes]) -> None:
    """What was framed is parsed, in order and to the last byte."""
    data = b"".join(map(frame, payloads))
    assert parse(data, 100) == (payloads, len(data), 0)


@given(PAYLOADS, st.data())
def test_cut(payloads: list[bytes], data: st.DataObject) -> None:
    """A cut at any byte loses the line it falls in, and that line stays unconsumed."""
    whole = b"".join(map(frame, payloads))
    cut = data.draw(st.integers(0, len(whole)))
    found, consumed, torn = parse(whole[:cut], 100)
    assert found == payloads[: len(found)]
    assert torn == 0
    assert consumed == sum(len(frame(payload)) for payload in found)
    assert len(found) == len(payloads) or consumed + len(frame(payloads[len(found)])) > cut


@given(PAYLOADS, st.data())
def test_repaired_cut(payloads: list[bytes], data: st.DataObject) -> None:
    """After a torn line, a newline and further lines, only the torn one is lost."""
    last = frame(payloads[-1])
    cut = data.draw(st.integers(0, len(last) - 2))
    text = b"".join(map(frame, payloads[:-1])) + last[:cut] + b"\n" + frame(b'{"id":9}')
    found, consumed, torn = parse(text, 100)
    assert found == [*payloads[:-1], b'{"id":9}']
    assert consumed == len(text)
    assert torn == int(cut > 0)


@given(PAYLOADS, st.data())
def test_corruption(payloads: list[bytes], data: st.DataObject) -> None:
    """A byte changed anywhere, a line's end included, loses one line at most and makes none up."""
    text = bytearray(b"".join(map(frame, payloads)) + frame(b'{"id":last}'))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= data.draw(st.integers(1, 255))
    found = parse(bytes(text) + b"\n", 100).payloads
    rest = iter([*payloads, b'{"id":last}'])
    assert all(payload in rest for payload in found)
    assert len(found) >= len(payloads)


@given(PAYLOADS, st.integers(1, 4))
def test_limit(payloads: list[bytes], limit: int) -> None:
    """Pieces of limited length, one after the other, give every line once."""
    data = b"".join(map(frame, payloads))
    found: list[bytes] = []
    while data:
        lines = parse(data, limit)
        assert len(lines.payloads) <= limit
        found += lines.payloads
        data = data[lines.consumed :]
    assert found == payloads
