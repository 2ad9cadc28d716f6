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
    _seals[record] = _told(record)


def is_sealed(record: logging.LogRecord) -> bool:
    """Tell whether *record* says what it said when it was sealed."""
    told = _seals.get(record)
    if told is None:
        return False
    try:
        tells = _told(record)
    except KeyError:
        return False
    if len(told) != len(tells):
        return False
    # What was taken away since shows nothing.
    return all(map(is_, told, tells)) or all(
        one is other or other is None for one, other in zip(told, tells, strict=True)
    )


def _told(record: logging.LogRecord) -> tuple[object, ...]:
    texts = _TEXTS(record.__dict__)
    message = texts[0]
    # structlog's messages are dicts, which can be written on.
    return (*texts, *message.keys(), *message.values()) if type(message) is dict else texts
