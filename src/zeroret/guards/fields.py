"""Fields of log handlers: texts that a handler of the standard library puts around a record's.

`SysLogHandler.ident` goes before every line, `StreamHandler.terminator` behind it. What is set
while content is in flight is held to the rules of a record's values as it is set, and stays so.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import rulings, tally
from zeroret.guards.pieces import is_separator

if TYPE_CHECKING:
    from types import FrameType

_MISSING: Final = object()

FIELDS: Final[tuple[tuple[type, str, Any], ...]] = (
    (logging.StreamHandler, "terminator", "\n"),
    (logging.handlers.SysLogHandler, "ident", ""),
    (logging.handlers.SysLogHandler, "facility", logging.handlers.SysLogHandler.LOG_USER),
    (logging.handlers.SMTPHandler, "subject", ""),
)
"""Classes, their fields, and what stands for a value that may not be shown."""


class Field:
    """Stands in a class for a field of its objects, which keep it where they did.

    Args:
        name: The field's.
        instead: What stands for a value that may not be shown.
        default: What the class itself holds; nothing if it holds none.
    """

    def __init__(self, name: str, instead: Any, default: Any = _MISSING) -> None:
        self._name = name
        self._instead = instead
        self._default = default

    def __get__(self, handler: Any, owner: type | None = None) -> Any:
        held = {} if handler is None else vars(handler)
        value = held.get(self._name, self._default)
        if value is _MISSING:
            raise AttributeError(self._name)
        return value

    def __set__(self, handler: Any, value: Any) -> None:
        frame = sys._getframe().f_back  # noqa: SLF001 - the documented way to the caller's frame
        vars(handler)[self._name] = _judged(value, self._instead, frame)

    def __delete__(self, handler: Any) -> None:
        if vars(handler).pop(self._name, _MISSING) is _MISSING:
            raise AttributeError(self._name)


def field_of(owner: type, name: str, instead: Any) -> Field:
    """Return what is to stand in *owner* for its field *name*."""
    return Field(name, instead, vars(owner).get(name, _MISSING))


def _judged(value: Any, instead: Any, frame: FrameType | None) -> Any:
    """Return *value* if it may be shown, else *instead*; never raises."""
    try:
        ruled = rulings.ruling(frame)
        blank = type(value) is str and (not value or is_separator(value))
        if ruled is None or blank or value == instead or ruled.judge.value(value) == value:
            return value
        tally.count("logs", "withheld")
    except Exception:  # noqa: BLE001 - fails closed
        tally.count("logs", "failed")
        return instead
    return instead if ruled.enforce else value
