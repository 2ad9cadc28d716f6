"""Cursors: small, checked, rewritten in place."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from zeroret.journal.cursor import START, Position, decode, encode, load, store
from zeroret.journal.folder import Folder


@given(st.integers(0, 10**10 - 1), st.integers(0, 10**20 - 1))
def test_round_trip(segment: int, offset: int) -> None:
    """A position is read as it was written, and every line has the same width."""
    line = encode(Position(segment, offset))
    assert decode(line) == (segment, offset)
    assert len(line) == len(encode(START))


@given(st.integers(0, 46), st.integers(1, 255))
def test_damage(place: int, change: int) -> None:
    """A damaged cursor says the start, never another place."""
    line = bytearray(encode(Position(3, 4711)))
    line[place] ^= change
    assert decode(bytes(line)) in (START, Position(3, 4711))
    assert decode(bytes(line[:place])) == START


def test_file(tmp_path: Path) -> None:
    """A missing file says the start; a stored position is loaded again."""
    folder = Folder(tmp_path / "journal")
    assert load(folder, "x.cursor") == START
    store(folder, "x.cursor", Position(7, 123456))
    store(folder, "x.cursor", Position(8, 9))
    assert load(folder, "x.cursor") == (8, 9)
    folder.close()
