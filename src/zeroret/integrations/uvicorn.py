"""uvicorn's access lines: method, route template, status and time; no address, path or query."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import names, records

if TYPE_CHECKING:
    import logging

    from zeroret.content.flight import Flight

NOTHING: Final = "-"
"""What an access line shows where it shows nothing."""

_LINE: Final = '%s - "%s %s HTTP/%s" %d'
_SOCKET_LINES: Final = frozenset(
    {
        '%s - "WebSocket %s" [accepted]',
        '%s - "WebSocket %s" 403',
        '%s - "WebSocket %s" %d',
    }
)
_VERSIONS: Final = frozenset({"1.0", "1.1", "2", "3"})


def access(record: logging.LogRecord, flight: Flight | None) -> logging.LogRecord | None:
    """Return an access line, or a websocket's line of ``uvicorn.error``, as it may be shown.

    The arguments stay the five (or two, or three) that uvicorn's own formatter takes apart; the
    time since the exchange began stands behind the HTTP version, ``1.1 3.2ms``.

    Args:
        record: The line as the server logged it.
        flight: The exchange that ran, or just ended, in this context.
    """
    args: Any = record.args
    if type(args) is not tuple or type(record.msg) is not str:
        return None
    if record.name == "uvicorn.access" and record.msg == _LINE and len(args) == 5:  # noqa: PLR2004 - uvicorn's five
        _, method, _, version, status = args
        shown_version = version if version in _VERSIONS else NOTHING
        shown: tuple[object, ...] = (
            NOTHING,
            method if method in names.METHODS else NOTHING,
            template(flight),
            shown_version + took(flight),
            number(status),
        )
    elif record.name == "uvicorn.error" and record.msg in _SOCKET_LINES and len(args) in (2, 3):
        shown = (NOTHING, template(flight), *map(number, args[2:]))
    else:
        return None
    attributes = records.standard(record.__dict__, None)
    attributes["name"] = str.__str__(record.name)
    attributes["msg"], attributes["args"] = record.msg, shown
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


def number(value: object) -> int:
    """Return a status or a size; 0 if it is none."""
    return value if type(value) is int and 0 <= value < 2**53 else 0
