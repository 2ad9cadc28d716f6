"""Values that strict logging may show: numbers, and members of closed sets. Nothing else.

No code of a foreign object runs here: neither its ``__str__`` nor its ``__repr__``, ``__len__``,
``__eq__`` or ``__hash__``.
"""

from __future__ import annotations

import sys
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

from zeroret.content import matching
from zeroret.content.live import LIVE
from zeroret.guards import names, noted, source
from zeroret.guards.classes import held_name, is_spelt, shown_name
from zeroret.guards.source import STANDARD_LIBRARY

if TYPE_CHECKING:
    from types import FrameType, ModuleType

    from zeroret.content.flight import Flight

NUMBER_LIMIT: Final = 2**53
"""Integers from here on are withheld: one number must not hold a text."""

MOST_VALUES: Final = 8
"""How many values one record may show."""

NUMBERS: Final = frozenset({int, float, bool, type(None)})
"""The exact types whose values pass as they are."""

_CACHED: Final = 512
_enum_value: Any = object.__getattribute__
_members: dict[int, tuple[type, set[str]]] = {}


class ServerMade(str):
    """A text that the server vouches for as its own; see `server_made`."""

    __slots__ = ()


Vouched: TypeAlias = str | int | float | UUID | date | time | timedelta | Decimal | PurePath
"""What `server_made` takes; a `datetime` is a `date`."""


def server_made(value: Vouched) -> ServerMade:
    """Vouch that *value* is the server's own, and return its text, which strict logging shows.

    It is still compared with the content of the exchange, and withheld if it quotes any.

    Raises:
        TypeError: *value* is no text, number, id, time or path.
    """
    if not isinstance(value, Vouched):
        raise TypeError(
            f"server_made() takes a str, number, UUID, date, time, timedelta or path, "
            f"not {shown_name(value)}"
        )
    return ServerMade(value)


class Values:
    """Decides about the values of one record, one by one, within the record's allowance.

    Args:
        flight: The exchange whose closed sets may be shown.
        frame: The frame that logs, for constants on its stack; None if there is none.
        place: What a marker says of it, such as `` app.py:42``.
    """

    __slots__ = ("_flight", "_frame", "_left", "_place", "withheld")

    def __init__(self, flight: Flight | None, frame: FrameType | None, place: str) -> None:
        self._flight = flight
        self._frame = frame
        self._place = place
        self._left = MOST_VALUES
        self.withheld = 0
        """How many values were not shown."""

    def show(self, value: object) -> object:
        """Return *value* if it is provably not content, else a marker; a marker is a str."""
        if noted.is_noted(value):
            return value
        shown = self._closed(value)
        if shown is not _NOT_SHOWN and self._left > 0:
            self._left -= 1
            return shown
        return self.mark(value)

    def mark(self, value: object) -> str:
        """Return the marker that says what was withheld: length or class, and where."""
        self.withheld += 1
        if issubclass(type(value), str):
            return f"[withheld {str.__len__(value)} chars{self._place}]"  # type: ignore[arg-type] # a str, by its type
        return f"[withheld {shown_name(value)}{self._place}]"

    def text(self, value: str) -> object:
        """Return a message if it belongs to a closed set, else None; off no allowance."""
        shown = self._closed_text(value)
        return None if shown is _NOT_SHOWN else shown

    def _closed(self, value: object) -> object:
        kind = type(value)
        if kind is int:
            return value if -NUMBER_LIMIT < value < NUMBER_LIMIT else _NOT_SHOWN  # type: ignore[operator] # exactly int
        if kind in NUMBERS:
            return value
        if kind is str or kind is ServerMade:
            return self._closed_text(value)  # type: ignore[arg-type] # exactly str or our own
        if issubclass(kind, Enum):
            return _member(kind, value)
        if issubclass(kind, type):
            return held_name(value) or _NOT_SHOWN  # type: ignore[arg-type] # a class, by its type
        return _NOT_SHOWN

    def _closed_text(self, value: str) -> object:
        flight = self._flight
        if type(value) is ServerMade:
            plain = str.__str__(value)
            others = LIVE.everyone if flight is None else ()
            shares = matching.shares(plain, flight, others, background=True)
            return _NOT_SHOWN if shares else plain
        if value in names.METHODS or value in names.REASONS or value in names.loggers:
            return value
        if flight is not None and (value in flight.names or value == flight.route_template()):
            return value
        if _is_current_error(value) or source.is_constant(value, self._frame):
            return value
        return _NOT_SHOWN


class _NotShown:
    __slots__ = ()


_NOT_SHOWN: Final = _NotShown()


def number_of(value: object) -> int | None:
    """Return the number an `enum.IntEnum` member stands for, if it may be shown."""
    if not issubclass(type(value), int) or _member(type(value), value) is _NOT_SHOWN:
        return None
    number = int.__add__(value, 0)  # type: ignore[operator] # an int, by its type
    return number if -NUMBER_LIMIT < number < NUMBER_LIMIT else None


def _member(kind: type, value: object) -> object:
    """Return a member's name if the class that a module holds lists it, and its source spells it.

    An enum can be made of content at run time and put into a module.
    """
    if not issubclass(kind, Enum) or held_name(kind) is None:
        return _NOT_SHOWN
    try:
        name = _enum_value(value, "_name_")
    except AttributeError:
        return _NOT_SHOWN
    members = type.__getattribute__(kind, "_member_map_")
    if type(name) is not str or members.get(name) is not value:
        return _NOT_SHOWN
    return name if _is_programs(kind, name) else _NOT_SHOWN


def _is_programs(kind: type[Enum], name: str) -> bool:
    """Tell whether the enum's module spells the member's *name*; remembered by class."""
    known = _members.get(id(kind))
    if known is None or known[0] is not kind:
        if len(_members) >= _CACHED:
            _members.clear()
        known = _members[id(kind)] = (kind, set())
    if name in known[1]:
        return True
    module = sys.modules[type.__getattribute__(kind, "__module__")]
    if is_spelt(name, vars(module)) or _is_converted(name, module):
        known[1].add(name)
        return True
    return False


def _is_converted(name: str, module: ModuleType) -> bool:
    """Tell whether *name* is a constant of C code, as `signal` and `socket` make enums of."""
    path = vars(module).get("__file__")
    standard = type(path) is str and path.startswith(STANDARD_LIBRARY)
    return standard and name in vars(module)


def _is_current_error(value: str) -> bool:
    """Tell whether *value* is the class name of the exception that is being handled."""
    error = sys.exc_info()[0]
    if error is None:
        return False
    name = held_name(error)
    return name is not None and value in {name, name.rpartition(".")[2]}
