"""Surroundings: the environment that children inherit, and the system's log.

A variable that quotes content is refused, others pass: libraries set their own as they are
imported. A line for the system's log passes only if it is a constant of the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zeroret.content import matching
from zeroret.guards import source
from zeroret.guards.crossings import judged
from zeroret.guards.violations import culprit

if TYPE_CHECKING:
    from zeroret.content.flight import Flight


def _variable_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    return not any(matching.shares(each, flight) for each in args)


def _line_allowed(args: tuple[Any, ...], _flight: Flight) -> bool:
    line = args[-1]
    return type(line) is str and source.in_source(line, culprit())


def _ident_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    ident = args[0]
    return ident is None or not matching.shares(str(ident), flight)


EVENTS: Final = {
    "os.putenv": judged("system", _variable_allowed, everywhere=False),
    "syslog.syslog": judged("system", _line_allowed, everywhere=False),
    "syslog.openlog": judged("system", _ident_allowed, everywhere=False),
}
"""The audit events that are judged."""
