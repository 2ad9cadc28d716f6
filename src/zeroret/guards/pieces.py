"""Pieces: what a single text or literal says by itself, whoever writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zeroret.guards import records, source

if TYPE_CHECKING:
    from types import FrameType

SEPARATORS: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
"""Characters that may stand alone: no word is among them."""

_BLANK: Final = frozenset(" \t\r\n\f\v")


def is_separator(text: object) -> bool:
    """Tell whether *text* holds no word: nothing, blanks, or one punctuation mark."""
    return type(text) is str and (text in SEPARATORS or _BLANK.issuperset(text))


def is_known(text: str) -> bool:
    """Tell whether *text* was proved before, by identity, to be a constant of source code.

    Never raises: what cannot be looked up is not known.
    """
    try:
        return records.constant(text, None) is not None
    except Exception:  # noqa: BLE001 - this runs before anything that fails closed
        return False


def lost_end(text: str, shown: str) -> str:
    """Return the line's end that *text* has and *shown* lacks."""
    return "\n" if text.endswith("\n") and not shown.endswith("\n") else ""


def is_literal(data: bytes, frame: FrameType | None) -> bool:
    """Tell whether *data* is, by identity, a bytes literal in the source on the stack."""
    if len(data) < source.SHORTEST:
        return False
    depth = 0
    while frame is not None and depth < source.DEEPEST:
        if any(each is data for each in frame.f_code.co_consts) and source.is_source(
            frame.f_code, frame.f_globals
        ):
            return True
        frame, depth = frame.f_back, depth + 1
    return False
