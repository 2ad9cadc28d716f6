"""Vouching: texts that are known not to be content, and how that knowledge travels with them.

A tracker takes a text in one place and sends it in another, often from a thread of its own. What
was proved where the text was taken is remembered: of a constant by its identity, of any other text
by a type of its own, which a copy loses. A text that lost its proof is withheld.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import records, seals, source
from zeroret.guards.records import GuardedRecord

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from types import FrameType

_CACHED: Final = 8192
_NEAREST: Final = 16
_STDLIB: Final = os.path.dirname(os.path.abspath(os.__file__)) + os.sep  # noqa: PTH100, PTH120 - a prefix of co_filename, as text
_proved: dict[int, str] = {}
_named: dict[int, str] = {}
_local: Final = threading.local()


class Vouched(str):
    """A text that a guard has judged: nothing of it is content."""

    __slots__ = ()

    def __str__(self) -> str:
        return self


def plain(text: str) -> str:
    """Return *text* as exactly a `str`."""
    return text if type(text) is str else str.__str__(text)


def vouched(tree: Any) -> Any:
    """Return a judged *tree* of dicts and lists with every text in it vouched for."""
    if isinstance(tree, str):
        return Vouched(tree)
    if type(tree) is dict:
        return {vouched(key): vouched(value) for key, value in tree.items()}
    if type(tree) is list or type(tree) is tuple:
        return type(tree)(vouched(each) for each in tree)
    return tree


def is_proved(text: str) -> bool:
    """Tell whether *text* is, by identity, one that `prove` accepted."""
    return _proved.get(id(text)) is text


def is_named(text: str) -> bool:
    """Tell whether *text* is, by identity, one that `prove` accepted at least as a name."""
    return is_proved(text) or _named.get(id(text)) is text


def prove(text: object, frame: FrameType | None, *, name: bool = False) -> bool:
    """Tell whether *text* is the program's own, as its source says, and remember it.

    Args:
        text: What a program hands to a tracker.
        frame: Where it does so.
        name: The text names something (a span, an event, a key): then equality with a literal in
            the sources on the stack is enough, since names are made once and used elsewhere.
    """
    if type(text) is not str:
        return False
    if is_proved(text) or (name and is_named(text)):
        return True
    if frame is None:
        return False
    caller = _caller(frame)
    if source.is_constant(text, frame) or (
        caller is not None and source.is_global_constant(text, caller)
    ):
        _remember(_proved, text)
        return True
    if name and source.in_source(text, frame):
        _remember(_named, text)
        return True
    return False


def _remember(known: dict[int, str], text: str) -> None:
    if len(known) >= _CACHED:
        known.clear()
    known[id(text)] = text


def _caller(frame: FrameType | None) -> FrameType | None:
    """Return the nearest frame that is neither the tracker's nor the standard library's."""
    depth = 0
    while frame is not None and depth < _NEAREST:
        name = frame.f_globals.get("__name__", "")
        root = name.partition(".")[0] if type(name) is str else ""
        if root not in _TRACKERS and not (
            frame.f_code.co_filename.startswith(_STDLIB)
            and "site-packages" not in frame.f_code.co_filename
        ):
            return frame
        frame, depth = frame.f_back, depth + 1
    return None


_TRACKERS: Final = frozenset({"opentelemetry", "sentry_sdk", "rollbar", "zeroret"})


@contextmanager
def rendering(record: logging.LogRecord, *, whole: bool = False) -> Iterator[None]:
    """Vouch, inside, for the texts of a log record that the log guard has passed.

    Args:
        record: What a tracker's log handler is about to turn into an event.
        whole: Everything inside derives from the record alone.
    """
    before = getattr(_local, "texts", None), getattr(_local, "whole", False)
    texts = _texts_of(record)
    _local.texts, _local.whole = texts, whole and texts is not None
    try:
        yield
    finally:
        _local.texts, _local.whole = before


def is_rendered(text: str) -> bool:
    """Tell whether *text* is one of the record that is being rendered in this thread."""
    texts = getattr(_local, "texts", None)
    return texts is not None and text in texts


def renders_whole() -> bool:
    """Tell whether all that this thread hands to a tracker now is a guarded log record."""
    return getattr(_local, "whole", False)


def _texts_of(record: logging.LogRecord) -> frozenset[str] | None:
    guarded = type(record) is GuardedRecord and seals.is_sealed(record)
    if not guarded and not records.is_clean(record):
        return None
    given = record.__dict__
    args = given.get("args")
    values = args.values() if isinstance(args, dict) else args or ()
    found = {value for value in (*given.values(), *values) if type(value) is str}
    found.add(record.getMessage())
    return frozenset(found)
