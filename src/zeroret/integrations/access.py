"""Access lines of every server: method, route template, version, status, size, time; no more.

Nothing that a client chose stands in one: no path, query, referer, agent or header, and no address,
whatever the policy keeps in its records.
"""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import names, records

if TYPE_CHECKING:
    import logging
    from types import FrameType

    from zeroret.content.flight import Flight

NOTHING: Final = "-"
"""What an access line shows where it shows nothing."""

_PROTOCOLS: Final = frozenset({"HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/2.0", "HTTP/3"})
_VERSIONS: Final = frozenset({"1.0", "1.1", "2", "3", "ws"})
_NUMBER: Final = re.compile(r"\d{1,15}(?:\.\d{1,6})?", re.ASCII)
_DEEPEST: Final = 12


class Atoms(dict[str, Any]):
    """The atoms of one line that may be shown; every other one, headers included, is ``-``."""

    def __missing__(self, key: str) -> str:
        return NOTHING


def line(record: logging.LogRecord, name: str, message: str, args: Any) -> logging.LogRecord:
    """Return the access line that stands for *record*.

    Args:
        record: The line as the server logged it.
        name: The logger's name, as a literal.
        message: The format: the server's own, or the operator's.
        args: What it shows.
    """
    attributes = records.standard(record.__dict__, None)
    attributes["name"], attributes["msg"], attributes["args"] = name, message, args
    return records.guarded(attributes)


def template(flight: Flight | None) -> str:
    """Return the route template of *flight*, never a path."""
    route = flight.route_template() if flight is not None else None
    return route if route is not None else NOTHING


def took(flight: Flight | None) -> str:
    """Return `` 3.2ms`` since the exchange began, or nothing if that is unknown."""
    if flight is None or not flight.started:
        return ""
    return f" {(time.perf_counter() - flight.started) * 1000:.1f}ms"


def method(value: object) -> str:
    """Return a request method that RFC 9110 knows, else ``-``."""
    return value if type(value) is str and value in names.METHODS else NOTHING


def protocol(value: object) -> str:
    """Return an HTTP version with its name, else ``-``."""
    return value if type(value) is str and value in _PROTOCOLS else NOTHING


def version(value: object) -> str:
    """Return an HTTP version without its name, else ``-``."""
    return value if type(value) is str and value in _VERSIONS else NOTHING


def number(value: object) -> int:
    """Return a status or a size; 0 if it is none."""
    return value if type(value) is int and 0 <= value < 2**53 else 0


def numeral(value: object) -> object:
    """Return a number, also one in digits; ``-`` if it is none."""
    if type(value) is int:
        return value if 0 <= value < 2**53 else NOTHING
    return value if type(value) is str and _NUMBER.fullmatch(value) else NOTHING


def logged_by(module: str, function: str) -> FrameType | None:
    """Return the frame of a server's *function* that is logging now, None if it is not.

    A format of the operator's own stands in no source: the server that logs says which it is.
    """
    namespace = vars(sys.modules[module]) if module in sys.modules else None
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller's frame
    for _ in range(_DEEPEST):
        if frame is None or namespace is None:
            return None
        if frame.f_globals is namespace and frame.f_code.co_name == function:
            return frame
        frame = frame.f_back
    return None
