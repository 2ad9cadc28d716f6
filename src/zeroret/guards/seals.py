"""Seals: what guarded records said when they were guarded, so that a later change is seen."""

from __future__ import annotations

import logging
import logging.handlers
from operator import is_, itemgetter
from typing import Final
from weakref import WeakKeyDictionary

PREPARE: Final = logging.handlers.QueueHandler.prepare.__code__
"""The code that renders the message on a queue handler's copy, and adds nothing to it."""

_TEXTS: Final = itemgetter(
    *("msg", "args", "exc_info", "exc_text", "stack_info"),
    *("pathname", "filename", "module", "funcName"),
    *("name", "levelname", "threadName", "processName"),
    *(("taskName",) if hasattr(logging.makeLogRecord({}), "taskName") else ()),
)

_seals: Final[WeakKeyDictionary[logging.LogRecord, tuple[object, ...]]] = WeakKeyDictionary()


def seal(record: logging.LogRecord) -> None:
    """Note that what *record* says now may be shown."""
    _seals[record] = _TEXTS(record.__dict__)


def is_sealed(record: logging.LogRecord) -> bool:
    """Tell whether *record* says what it said when it was sealed."""
    told = _seals.get(record)
    try:
        return told is not None and all(map(is_, told, _TEXTS(record.__dict__)))
    except KeyError:
        return False
