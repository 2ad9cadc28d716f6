"""Keys that a program adds to its log records: shown only if its source or format names them.

Keys and values are bound to loggers in one place and logged in another: what was proved, or bound
before any content was in flight, is remembered.
"""

from __future__ import annotations

import logging
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any, Final

from zeroret.content.flight import CURRENT
from zeroret.content.live import LIVE
from zeroret.guards import source

_MOST_FILTERS: Final = 32
_MOST: Final = 1024
_LONGEST: Final = 64

keys: set[str] = set()
"""Keys that were proved to stand in the program's source; bounded."""

bound: set[str] = set()
"""Values that were bound to loggers while no content was in flight; bounded."""


def may_be_named(
    key: object,
    record: logging.LogRecord,
    frame: FrameType | None,
    handler: logging.Handler | None,
) -> bool:
    """Tell whether *key* is the program's own: in its source, its format or its filters' code.

    Keys come from clients too: ``extra=await request.json()`` is one line of code.
    """
    if is_programs(key, frame):
        return True
    if type(key) is not str:
        return False
    if handler is not None and key.isidentifier() and key in _format_of(handler):
        return True
    return any(
        key in code.co_names or key in code.co_consts for code in _adding_code(record, handler)
    )


def is_programs(key: object, frame: FrameType | None) -> bool:
    """Tell whether *key* stands in the sources on the stack, or was proved to before."""
    if type(key) is not str:
        return False
    if key in keys or (len(key) == 1 and key.isascii() and key.isalpha()):
        return True
    if not source.is_constant(key, frame) and not source.is_interned(key, frame):
        return False
    remember(key)
    return True


def is_spelt(key: object) -> bool:
    """Tell whether any of the program's own modules spells *key*, as a keyword or a literal."""
    if type(key) is not str or len(key) > _LONGEST or not source.is_programs_literal(key):
        return False
    remember(key)
    return True


def remember(key: str) -> None:
    """Take *key* as the program's own from now on."""
    if len(keys) < _MOST:
        keys.add(key)


def learn(given: dict[str, Any]) -> None:
    """Take the values that a program binds to its loggers as its own, if none is in flight."""
    if CURRENT.get() is not None or LIVE.busy:
        return
    for value in given.values():
        if type(value) is str and len(value) <= _LONGEST and len(bound) < _MOST:
            bound.add(value)


def _format_of(handler: logging.Handler) -> str:
    formatter = handler.__dict__.get("formatter")
    text = getattr(formatter, "_fmt", None) if isinstance(formatter, logging.Formatter) else None
    return text if type(text) is str else ""


def _adding_code(record: logging.LogRecord, handler: logging.Handler | None) -> list[CodeType]:
    """Return the code of what may have added attributes: filters and the record factory."""
    adding: list[Any] = [logging.getLogRecordFactory()]
    if handler is not None:
        adding += handler.filters[:_MOST_FILTERS]
    named = logging.root.manager.loggerDict.get(record.name)
    if isinstance(named, logging.Logger):
        adding += named.filters[:_MOST_FILTERS]
    return [code for each in adding if (code := _code_of(each)) is not None]


def _code_of(adding: object) -> CodeType | None:
    function = adding
    if not isinstance(adding, (FunctionType, MethodType)):
        function = getattr(type(adding), "filter", None)
    if isinstance(function, MethodType):
        function = function.__func__
    if not isinstance(function, FunctionType):
        return None
    inside = source.is_source(function.__code__, function.__globals__)
    return function.__code__ if inside else None
