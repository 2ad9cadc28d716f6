"""Noted texts: what a guard has just made or passed, known again by identity in the same thread.

Logging libraries hand one record to another: structlog to `logging`, `logging` to loguru. What the
first of them made of a guarded record would be withheld by the second as a text of no source. Only
texts without content are noted, so that holding on to a few of them holds on to nothing.
"""

from __future__ import annotations

import threading
from typing import Final, TypeVar

MOST: Final = 64
"""Texts that one thread remembers: more than the guards of one record make."""

Text = TypeVar("Text")
"""A text, or a mapping of texts."""


class _Local(threading.local):
    def __init__(self) -> None:
        self.texts: dict[int, object] = {}


_local: Final = _Local()


def note(text: Text) -> Text:
    """Remember that *text* may be shown, and return it."""
    texts = _local.texts
    if len(texts) >= MOST:
        del texts[next(iter(texts))]
    texts[id(text)] = text
    return text


def is_noted(text: object) -> bool:
    """Tell whether *text* is, by identity, one that this thread noted lately."""
    return _local.texts.get(id(text)) is text and text is not None
