"""Keys that a program adds to its log records: shown only if its source or format names them."""

from __future__ import annotations

import logging
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any, Final

from zeroret.guards import source

_MOST_FILTERS: Final = 32


def may_be_named(
    key: object,
    record: logging.LogRecord,
    frame: FrameType | None,
    handler: logging.Handler | None,
) -> bool:
    """Tell whether *key* is the program's own: in its source, its format or its filters' code.

    Keys come from clients too: ``extra=await request.json()`` is one line of code.
    """
    if type(key) is not str:
        return False
    if source.is_constant(key, frame) or source.is_interned(key, frame):
        return True
    if handler is not None and key.isidentifier() and key in _format_of(handler):
        return True
    return any(
        key in code.co_names or key in code.co_consts for code in _adding_code(record, handler)
    )


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
