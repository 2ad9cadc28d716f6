"""Lines of werkzeug's development server: its access lines, and where it listens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from zeroret.integrations import access as lines
from zeroret.integrations.access import NOTHING

if TYPE_CHECKING:
    import logging

    from zeroret.content.flight import Flight

_SERVING: Final = "werkzeug.serving"
_STARTING: Final = ("log_startup", "run_simple")
_LINE: Final = '%s - - [%s] "%s %s %s%s" %s %s'


def access(record: logging.LogRecord, flight: Flight | None) -> logging.LogRecord | None:
    """Return an access line, or one about the server's start, as it may be shown; else None.

    Args:
        record: The line as the server logged it.
        flight: The exchange that ran, or just ended, in this context.
    """
    frame = lines.logged_by(_SERVING, "log_request")
    if frame is None:
        own = flight is None and _is_starting()
        return lines.line(record, "werkzeug", str(record.msg), ()) if own else None
    request = frame.f_locals.get("self")
    shown = (
        NOTHING,
        time.strftime("%d/%b/%Y %H:%M:%S"),
        lines.method(getattr(request, "command", None)),
        lines.template(flight),
        lines.protocol(getattr(request, "request_version", None)),
        lines.took(flight),
        lines.numeral(_plain(frame.f_locals.get("code"))),
        lines.numeral(_plain(frame.f_locals.get("size"))),
    )
    return lines.line(record, "werkzeug", _LINE, shown)


def _is_starting() -> bool:
    """Tell whether the server itself is logging where it listens, and not about a request."""
    frame = lines.logged_by("werkzeug._internal", "_log")
    by = None if frame is None else frame.f_back
    return (
        by is not None
        and by is lines.logged_by(_SERVING, by.f_code.co_name)
        and (by.f_code.co_name in _STARTING)
    )


def _plain(value: object) -> object:
    """Return a number of any int's class, such as a member of `http.HTTPStatus`, as an int."""
    return int.__add__(value, 0) if isinstance(value, int) else value
