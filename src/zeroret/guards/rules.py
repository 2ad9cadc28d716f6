"""Rules: what single values of telemetry may show, by what they are said to be.

Inside an exchange a value that breaks its rule becomes a marker. In an event of no exchange it is a
text like any other, except for what a client chose: that is never shown, whoever set it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from zeroret.content import matching
from zeroret.content.destinations import known_upstreams
from zeroret.guards import idents, names, program, vouching
from zeroret.guards.judging import DROPPED, MOST_TEXTS
from zeroret.guards.values import NUMBER_LIMIT
from zeroret.guards.vouching import Vouched

if TYPE_CHECKING:
    from zeroret.content.flight import Flight
    from zeroret.guards.judging import Judge

Rule: TypeAlias = Callable[["Judge", Any], Any]
"""Returns what is shown of a value: itself, a marker, or `DROPPED`."""

OTHER_METHODS: Final = frozenset({"_OTHER", "HTTP", "WEBSOCKET"})
"""What instrumentations call a method outside of the nine."""

_DIGITS: Final = re.compile(r"\d{1,20}", re.ASCII)
_STATUS: Final = re.compile(r"[1-5]\d\d", re.ASCII)
_PORT_LIMIT: Final = 2**16
_SINK_KEY: Final = re.compile(r"[0-9a-f]{12}")
_TLS_PORT: Final = 443


def closed(*members: str) -> Rule:
    """Return the rule of a closed set."""
    known = frozenset(members)

    def rule(judge: Judge, value: Any) -> Any:
        if type(value) is str and value in known:
            return value
        return passed(judge, value)

    return rule


def each(rule: Rule) -> Rule:
    """Return the rule of a short list whose members have *rule*."""

    def rule_of_list(judge: Judge, value: Any) -> Any:
        if type(value) in (list, tuple) and len(value) <= MOST_TEXTS:
            return [rule(judge, member) for member in value]
        return judge.mark(value)

    return rule_of_list


def passed(judge: Judge, value: Any) -> Any:
    """Show what breaks its rule only if a guard has vouched for it before."""
    if type(value) is Vouched:
        return vouching.plain(value)
    if type(value) is str and vouching.is_rendered(value):
        return value
    return judge.mark(value) if judge.strict or judge.series else judge.value(value)


def withheld(judge: Judge, value: Any) -> Any:
    """Show nothing: a client chose it, as its key says."""
    return vouching.plain(value) if type(value) is Vouched else judge.mark(value)


def text(judge: Judge, value: Any) -> Any:
    """Show a text that is provably not content."""
    return judge.text(value) if isinstance(value, str) else judge.drop()


def member(judge: Judge, value: Any) -> Any:
    """Show any value under a key of the program's own, such as a member of a list."""
    return judge.value(value)


def ident(length: int) -> Rule:
    """Return the rule of ids written as *length* hexadecimal digits."""

    def rule(judge: Judge, value: Any) -> Any:
        shown = idents.hex_id(value, length)
        return judge.drop() if shown is None and value is not None else shown or DROPPED

    return rule


def same(compute: Callable[[], object]) -> Rule:
    """Return the rule of a value that this process can tell for itself."""

    def rule(judge: Judge, value: Any) -> Any:
        return value if value == compute() else judge.drop()

    return rule


def number(judge: Judge, value: Any) -> Any:
    """Show a number that cannot hold a text, or that there is none."""
    kind = type(value)
    if (
        value is None
        or kind is bool
        or kind is float
        or (kind is int and -NUMBER_LIMIT < value < NUMBER_LIMIT)
    ):
        return value
    return passed(judge, value)


def digits(judge: Judge, value: Any) -> Any:
    """Show a number of at most twenty digits that is written as text, such as a thread's id."""
    if type(value) is str and _DIGITS.fullmatch(value):
        return value
    return number(judge, value)


def sink(judge: Judge, value: Any) -> Any:
    """Show the key of one of our own sinks, twelve hexadecimal digits."""
    if type(value) is str and _SINK_KEY.fullmatch(value):
        return value
    return passed(judge, value)


def flag(judge: Judge, value: Any) -> Any:
    """Show a truth value."""
    return value if type(value) is bool else judge.drop()


def port(judge: Judge, value: Any) -> Any:
    """Show a TCP or UDP port."""
    return value if type(value) is int and 0 <= value < _PORT_LIMIT else passed(judge, value)


def status(judge: Judge, value: Any) -> Any:
    """Show an HTTP status, as a number or in three digits."""
    if type(value) is int and -1 <= value <= 999:  # noqa: PLR2004 - the statuses there are, and -1 for none
        return value
    return value if type(value) is str and _STATUS.fullmatch(value) else passed(judge, value)


def method(judge: Judge, value: Any) -> Any:
    """Show one of the nine methods."""
    if type(value) is str and (value in names.METHODS or value in OTHER_METHODS):
        return value
    return passed(judge, value)


def route(judge: Judge, value: Any) -> Any:
    """Show the template the router took; another text is replaced by it."""
    template = None if judge.flight is None else judge.flight.route_template()
    if template is None:
        return passed(judge, value)
    if value != template and type(value) is not Vouched:
        judge.withheld += 1
    return template


def template(judge: Judge, value: Any) -> Any:
    """Show a path only where it is the route's template."""
    known = None if judge.flight is None else judge.flight.route_template()
    return known if known is not None and value == known else withheld(judge, value)


def model(judge: Judge, value: Any) -> Any:
    """Show the name of a known model."""
    known = () if judge.flight is None else judge.flight.names
    return value if type(value) is str and value in known else passed(judge, value)


def host(judge: Judge, value: Any) -> Any:
    """Show this machine, and hosts that the operator lets requests go to."""
    if type(value) is not str:
        return passed(judge, value)
    name, _, number_ = value.rpartition(":") if value.count(":") == 1 else (value, "", "")
    if number_ and not (number_.isascii() and number_.isdecimal() and int(number_) < _PORT_LIMIT):
        return passed(judge, value)
    if _is_here(name) or _is_upstream(judge.flight, name, int(number_ or _TLS_PORT)):
        return value
    return passed(judge, value)


def error(judge: Judge, value: Any) -> Any:
    """Show the name of an exception class that a module holds, or a status."""
    if type(value) is str and value in ("_OTHER", "timeout"):
        return value
    if type(value) is int or (type(value) is str and _STATUS.fullmatch(value)):
        return status(judge, value)
    return value if program.is_error(value) else passed(judge, value)


def function(judge: Judge, value: Any) -> Any:
    """Show a function's dotted name, or one that stands in a record's place."""
    if type(value) is str and (
        program.is_function(value) or any(value == each[3] for each in names.places)
    ):
        return value
    return passed(judge, value)


def file(judge: Judge, value: Any) -> Any:
    """Show the file of a loaded module."""
    return value if program.module_at(value) is not None else passed(judge, value)


def module(judge: Judge, value: Any) -> Any:
    """Show the name of a loaded module, or of a logger."""
    if type(value) is str and (program.namespace_of(value) is not None or value in names.loggers):
        return value
    return passed(judge, value)


def thread(judge: Judge, value: Any) -> Any:
    """Show an ordinary thread's name."""
    shown = names.thread(value) if type(value) is str else names.WITHHELD
    return passed(judge, value) if shown == names.WITHHELD else shown


def _is_upstream(flight: Flight | None, name: str, port: int) -> bool:
    """Tell whether the operator lets requests go to *name*, and it does not quote what they hold.

    A wildcard allows names of which a label is anybody's.
    """
    upstreams = (None if flight is None else flight.boundary.upstreams) or known_upstreams()
    return upstreams.grant(name, port) is not None and not matching.shares(name, flight)


@cache
def _here() -> frozenset[str]:
    return frozenset({"localhost", "0.0.0.0", "::", "unix", socket.gethostname()})  # noqa: S104 - names to compare with


def _is_here(name: str) -> bool:
    if name in _here():
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
