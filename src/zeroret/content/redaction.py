"""Redaction: a text with the content it shares taken out, and never an exception.

A marker says how much was withheld and quotes nothing. Whatever goes wrong in here costs the text,
never the caller: the result is then `WITHHELD` alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from zeroret.content import matching
from zeroret.content.company import Company
from zeroret.content.flight import CURRENT
from zeroret.content.live import LIVE

if TYPE_CHECKING:
    from zeroret.content.flight import Flight
    from zeroret.content.matching import Others

WITHHELD: Final = "[withheld]"
"""What a text becomes when redaction itself fails."""

MARKER: Final = re.compile(r"\[withheld(?: \d{1,9} chars)?\]")
"""The markers of redaction, passed on as they are: they have no room for a client's text."""

_NOTHING: Final[frozenset[str]] = frozenset()


class _Failures:
    """How often redaction failed in this process; a count, nothing else."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


FAILURES: Final = _Failures()
"""`FAILURES.count` is how many texts were withheld whole because redaction itself failed."""


def redact(
    text: str,
    own: Flight | None,
    others: Others = (),
    *,
    background: bool = False,
    keep: frozenset[str] = _NOTHING,
) -> str:
    """Return *text* with every run it shares with content in flight replaced by a marker.

    Args:
        text: What is about to leave the process.
        own: The exchange this code runs in: matched from 16 bytes (24 past 4 kB of content).
        others: Further exchanges, matched from 64 bytes; *own* among them is skipped.
        background: The text belongs to no exchange that is known, so each of *others* counts as
            its own.
        keep: The program's own constants, left alone where they stand in the text.
    """
    try:
        return _redacted(text, own, others, background=background, keep=keep)
    except Exception:  # noqa: BLE001 - fails closed: whatever broke, the text is not shown
        FAILURES.count += 1
        return WITHHELD


def _redacted(
    text: str,
    own: Flight | None,
    others: Others,
    *,
    background: bool,
    keep: frozenset[str],
) -> str:
    if not isinstance(others, Company):
        others = tuple(others)
    parts: list[str] = []
    at = 0
    for marker in MARKER.finditer(text) if "[withheld" in text else ():
        parts += (_piece(text[at : marker.start()], own, others, background, keep), marker[0])
        at = marker.end()
    parts.append(_piece(text[at:] if at else text, own, others, background, keep))
    return "".join(parts) if at else parts[0]


def _piece(
    text: str,
    own: Flight | None,
    others: Others,
    background: bool,  # noqa: FBT001 - internal, passed on as it came
    keep: frozenset[str],
) -> str:
    spans = matching.shared(text, own, others, background=background, keep=keep)
    if not spans:
        return text
    parts: list[str] = []
    at = 0
    for start, end in spans:
        parts += (text[at:start], f"[withheld {end - start} chars]")
        at = end
    parts.append(text[at:])
    return "".join(parts)


class Redactor:
    """Takes content in flight out of texts, for loggers and exporters wired by hand.

    Inside an exchange that exchange is the text's own; outside of any, every live one is.

    Args:
        keep: The program's own constants, left alone where they stand in a text.
    """

    def __init__(self, *, keep: frozenset[str] = _NOTHING) -> None:
        self._keep = keep

    def redact(self, text: str) -> str:
        """Return *text* without the content it shares with any live exchange; never raises."""
        if not LIVE.busy:
            return text
        own = CURRENT.get()
        return redact(text, own, LIVE.everyone, background=own is None, keep=self._keep)
