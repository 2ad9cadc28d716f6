"""Pieces: what a text or a literal says by itself."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.guards import records
from zeroret.guards.pieces import is_known, is_literal, is_separator, lost_end


@given(st.text())
def test_a_separator_holds_no_word(text: str) -> None:
    """Blanks of any number, or one mark of punctuation; no letter and no digit."""
    if is_separator(text):
        assert not any(char.isalnum() for char in text)
        assert text.isspace() or len(text) <= 1


def test_separators() -> None:
    """What programs put between values, and what is none."""
    assert all(map(is_separator, ("", " ", "\n\t ", ",", "|", "_")))
    assert not any(map(is_separator, ("a", "1", "--", "…", "\x00", None, b",")))


def test_a_literal_is_known_by_identity() -> None:
    """An equal one that was made at run time is none, nor is a single byte."""
    frame = sys._getframe()
    assert is_literal(b"a bytes literal", frame)
    assert not is_literal(bytes(bytearray(b"a bytes literal")), frame)
    assert not is_literal(b"a", frame)
    assert not is_literal(b"a bytes literal", None)


def test_a_constant_is_known_once_it_was_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    """By identity; and an error in here only says that it is not."""
    text = "a constant of the test of pieces"
    assert records.constant(text, sys._getframe()) is not None
    assert is_known(text)
    assert not is_known("".join(list(text)))
    monkeypatch.setattr(records, "constant", lambda *_: 1 / 0)
    assert not is_known(text)


def test_an_end_is_lost_only_once() -> None:
    """A line's end is kept if the text had one and what is shown has none."""
    assert lost_end("a\n", "b") == "\n"
    assert lost_end("a\n", "b\n") == ""
    assert lost_end("a", "b") == ""
