"""granian's access lines: method, route template, status and time; nothing a client chose."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from zeroret.integrations import access as lines
from zeroret.integrations.access import NOTHING, Atoms

if TYPE_CHECKING:
    import logging

    from zeroret.content.flight import Flight

_DEFAULT: Final = '[%(time)s] %(addr)s - "%(method)s %(path)s %(protocol)s" %(status)d %(dt_ms).3f'
_SCHEMES: Final = frozenset({"http", "https", "ws", "wss"})


def access(record: logging.LogRecord, flight: Flight | None) -> logging.LogRecord | None:
    """Return a line of ``granian.access`` as it may be shown, None if it is no such line.

    The configured format stays; its values for address, query and headers show ``-``, and the path
    is the route template. granian logs a websocket before the application runs: its route is
    unknown then.

    Args:
        record: The line as the server logged it.
        flight: The exchange that ran, or just ended, in this context.
    """
    values: Any = record.args
    if not isinstance(values, dict) or not _is_format(record.msg):
        return None
    get = dict[str, Any].get
    elapsed, scheme = get(values, "dt_ms"), get(values, "scheme")
    shown = Atoms(
        time=time.strftime("%Y-%m-%d %H:%M:%S %z"),
        dt_ms=elapsed if type(elapsed) is float else 0.0,
        status=lines.number(get(values, "status")),
        path=lines.template(flight),
        method=lines.method(get(values, "method")),
        protocol=lines.protocol(get(values, "protocol")),
        scheme=scheme if scheme in _SCHEMES else NOTHING,
    )
    return lines.line(record, "granian.access", str(record.msg), shown)


def _is_format(message: object) -> bool:
    """Tell whether *message* is the access format that granian was configured with."""
    if type(message) is not str:
        return False
    if message == _DEFAULT:
        return True
    frame = lines.logged_by("granian.log", "log_request")
    return frame is not None and frame.f_locals.get("fmt") is message
