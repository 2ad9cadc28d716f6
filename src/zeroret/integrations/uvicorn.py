"""uvicorn's access lines: method, route template, status and time; no address, path or query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zeroret.integrations import access as lines
from zeroret.integrations.access import NOTHING

if TYPE_CHECKING:
    import logging

    from zeroret.content.flight import Flight

_LINE: Final = '%s - "%s %s HTTP/%s" %d'
_SOCKET_LINES: Final = frozenset(
    {
        '%s - "WebSocket %s" [accepted]',
        '%s - "WebSocket %s" 403',
        '%s - "WebSocket %s" %d',
    }
)


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
    template = lines.template(flight)
    if record.name == "uvicorn.access" and record.msg == _LINE and len(args) == 5:  # noqa: PLR2004 - uvicorn's five
        _, method, _, version, status = args
        shown: tuple[object, ...] = (
            NOTHING,
            lines.method(method),
            template,
            lines.version(version) + lines.took(flight),
            lines.number(status),
        )
    elif record.name == "uvicorn.error" and record.msg in _SOCKET_LINES and len(args) in (2, 3):
        shown = (NOTHING, template, *map(lines.number, args[2:]))
    else:
        return None
    return lines.line(record, str.__str__(record.name), record.msg, shown)
