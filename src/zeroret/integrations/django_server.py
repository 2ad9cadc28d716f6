"""Lines of Django's development server: method, route template, status, size and time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from zeroret.integrations import access as lines

if TYPE_CHECKING:
    import logging

    from zeroret.content.flight import Flight

_LINE: Final = '"%s" %s %s'


def access(record: logging.LogRecord, flight: Flight | None) -> logging.LogRecord | None:
    """Return an access line of ``django.server`` as it may be shown, None if it is no such line.

    Args:
        record: The line as the server logged it.
        flight: The exchange that ran, or just ended, in this context.
    """
    args: Any = record.args
    if type(args) is not tuple or len(args) != 3 or record.msg != _LINE:  # noqa: PLR2004 - request, status, size
        return None
    request = args[0].split() if type(args[0]) is str else []
    method, protocol = (request[0], request[-1]) if request else ("", "")
    told = f"{lines.method(method)} {lines.template(flight)} {lines.protocol(protocol)}"
    status, size = lines.numeral(args[1]), lines.numeral(args[2])
    shown = lines.line(record, "django.server", _LINE, (told + lines.took(flight), status, size))
    # What Django's own formatter asks for: the colour follows from the status.
    shown.status_code = int(str(status)) if str(status).isdigit() else 0
    shown.__dict__["server_time"] = time.strftime("%d/%b/%Y %H:%M:%S")
    return shown
