"""Wiping: what stands in the list alone is overwritten, and nothing that others refer to."""

from __future__ import annotations

import ctypes
import secrets
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.content import wiping
from zeroret.content.flight import Flight
from zeroret.content.wiping import MOST, wipe


def kept(values: list[bytes], let_go: Callable[[list[bytes]], object]) -> list[bytes]:
    """Return what stands at the addresses of *values* while one last reference is dropped.

    Seen through a pointer, since whoever holds a value keeps it from being wiped.
    """
    places = [(id(value) + bytes.__basicsize__ - 1, len(value)) for value in values]
    seen: list[bytes] = []
    clear = wiping._overwrite
    assert clear is not None

    def overwrite(value: bytes, size: int) -> None:
        clear(value, size)
        seen.append(ctypes.string_at(*places[len(seen)]))

    wiping._overwrite = overwrite  # type: ignore[misc] # for this one look
    try:
        let_go(values)
    finally:
        wiping._overwrite = clear  # type: ignore[misc] # what it was
    return seen


def test_what_stands_in_the_list_alone_is_overwritten() -> None:
    """Its memory holds zeros when it is freed."""
    assert wiping._alone is not None
    values = [secrets.token_bytes(40) for _ in range(5)]
    assert kept(values, wipe) == [bytes(40)] * 5
    assert values == []


@given(st.lists(st.binary(min_size=1), min_size=1, max_size=20), st.data())
def test_nothing_that_others_hold_is_touched(values: list[bytes], data: st.DataObject) -> None:
    """Constants, single bytes, and whatever stands in another container stay what they are."""
    copies = [bytes(bytearray(value)) for value in values]
    chosen = data.draw(st.sets(st.integers(0, len(values) - 1)))
    held = {at: copies[at] for at in chosen}
    twice = [*copies, *copies[:1]]
    first = bytes(bytearray(copies[0]))
    del copies
    shared = twice[0]
    wipe(twice)
    assert shared == first
    assert all(value == values[at] for at, value in held.items())


def test_every_kind_of_reference_counts() -> None:
    """Locals, closures, attributes, views, sets, dict keys and other threads protect a value."""
    text = secrets.token_bytes(40)
    pattern = bytes(bytearray(text))

    class Holder:
        held: Any

    ways: list[Callable[[bytes], Any]] = [
        lambda value: lambda: value,
        lambda value: setattr(Holder, "held", value) or Holder,  # type: ignore[func-returns-value] # keeps it
        memoryview,
        lambda value: {value},
        lambda value: {value: 1},
        lambda value: (value,),
        iter,
        lambda value: threading.Thread(target=print, args=(value,)),
    ]
    for hold in ways:
        values = [bytes(bytearray(pattern))]
        value_of = values[0]
        holder = hold(value_of)
        del value_of
        places = id(values[0]) + bytes.__basicsize__ - 1
        wipe(values)
        assert ctypes.string_at(places, 40) == pattern
        del holder


def test_constants_survive() -> None:
    """A literal that an application sends again and again is not ours alone."""

    def reply() -> bytes:
        return b'{"status": "a constant reply"}'

    for _ in range(3):
        wipe([reply(), b"", b"x"])
    assert reply() == b'{"status": "a constant ' + b'reply"}'
    assert bytes([120]) == b"x"


def test_other_types_are_let_go_as_they_are() -> None:
    """Texts, subclasses and anything else are dropped, not touched."""

    class Own(bytes):
        pass

    values: list[Any] = ["text" * 3, bytearray(b"x"), None, 3, Own(b"abc"), memoryview(b"abc")]
    wipe(values)
    assert values == []


def test_of_very_many_the_first_are_overwritten() -> None:
    """The work is bounded: a long stream's later chunks are freed as they are."""
    values = [secrets.token_bytes(20) for _ in range(MOST + 50)]
    assert kept(values, wipe) == [bytes(20)] * MOST


@pytest.mark.parametrize("missing", ["_overwrite", "_alone"])
def test_without_the_means_values_are_only_dropped(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interpreter that cannot tell who holds what overwrites nothing."""
    monkeypatch.setattr(wiping, missing, None)
    values = [secrets.token_bytes(20)]
    wipe(values)
    assert values == []
    monkeypatch.setattr("sys._is_gil_enabled", lambda: False, raising=False)
    assert wiping._references_alone() is None


def test_a_flight_wipes_what_it_drops() -> None:
    """Chunks and header lines that the server has let go of; what it still holds stays."""
    flight = Flight()
    alone = [secrets.token_bytes(60) for _ in range(3)]
    for chunk in alone:
        flight.hold(chunk)
    del chunk

    def let_go(values: list[bytes]) -> None:
        values.clear()
        flight.drop()

    seen = kept(alone, let_go)
    assert seen == [bytes(60)] * 3
    lines = [(b"x-note", secrets.token_bytes(30))]
    sent = bytes(bytearray(lines[0][1]))
    other = Flight()
    other.headers = lines
    other.drop()
    assert lines[0][1] == sent


def test_broken_headers_do_not_break_the_drop() -> None:
    """What a broken server calls headers is let go of; the drop of others goes on."""
    flight = Flight()
    flight.hold(b"content of an exchange")
    flight.headers = (1.0, True)  # type: ignore[assignment] # what a broken server hands over
    flight.drop()
    assert flight.closed
    assert flight.headers == ()
