"""gunicorn's access lines: method, route template, status, size, time; nothing a client chose."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

from zeroret.integrations import access as lines
from zeroret.integrations.access import NOTHING, Atoms

if TYPE_CHECKING:
    import logging

    from zeroret.content.flight import Flight

_PID: Final = re.compile(r"<\d{1,10}>", re.ASCII)
_NUMERIC: Final = ("s", "b", "B", "T", "D", "M", "L")
_DEFAULT: Final = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


def access(record: logging.LogRecord, flight: Flight | None) -> logging.LogRecord | None:
    """Return a line of ``gunicorn.access`` as it may be shown, None if it is no such line.

    The configured format stays; its atoms for address, user, path, query, referer, agent, headers
    and environment show ``-``. The request line shows the route template and the time.

    Args:
        record: The line as the server logged it.
        flight: The exchange that ran, or just ended, in this context.
    """
    atoms: Any = record.args
    if not isinstance(atoms, dict) or not _is_format(record.msg):
        return None
    get = dict[str, Any].get
    shown = Atoms({key: lines.numeral(get(atoms, key)) for key in _NUMERIC})
    shown["m"], shown["H"] = lines.method(get(atoms, "m")), lines.protocol(get(atoms, "H"))
    shown["U"] = lines.template(flight)
    shown["t"] = time.strftime("[%d/%b/%Y:%H:%M:%S %z]")
    shown["p"] = pid(get(atoms, "p"))
    shown["r"] = f"{shown['m']} {shown['U']} {shown['H']}{_took(get(atoms, 'D'), flight)}"
    return lines.line(record, "gunicorn.access", str(record.msg), shown)


def pid(value: object) -> str:
    """Return a process id as ``<4711>``, else ``-``."""
    return value if type(value) is str and _PID.fullmatch(value) else NOTHING


def _took(microseconds: object, flight: Flight | None) -> str:
    if type(microseconds) is int:
        return f" {microseconds / 1000:.1f}ms"
    return lines.took(flight)


def _is_format(message: object) -> bool:
    """Tell whether *message* is the access format that gunicorn was configured with."""
    if type(message) is not str:
        return False
    if message == _DEFAULT:
        return True
    frame = lines.logged_by("gunicorn.glogging", "access")
    config = None if frame is None else getattr(frame.f_locals.get("self"), "cfg", None)
    return getattr(config, "access_log_format", None) is message
