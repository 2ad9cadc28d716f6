"""hypercorn's access lines: method, route template, status, size, time; nothing a client chose."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from zeroret.integrations import access as lines
from zeroret.integrations.access import NOTHING, Atoms
from zeroret.integrations.gunicorn import pid

if TYPE_CHECKING:
    import logging

    from zeroret.content.flight import Flight

_NUMERIC: Final = ("s", "b", "B", "T", "D", "L")
_SCHEMES: Final = frozenset({"http", "https", "ws", "wss"})
_PHRASES: Final = {str(status.value): status.phrase for status in HTTPStatus}
_DEFAULT: Final = '%(h)s %(l)s %(l)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


def access(record: logging.LogRecord, flight: Flight | None) -> logging.LogRecord | None:
    """Return a line of ``hypercorn.access`` as it may be shown, None if it is no such line.

    The configured format stays; its atoms for address, path, query, referer, agent, headers and
    environment show ``-``. The request line shows the route template and the time.

    Args:
        record: The line as the server logged it.
        flight: The exchange that ran, or just ended, in this context.
    """
    atoms: Any = record.args
    if not isinstance(atoms, dict) or not _is_format(record.msg):
        return None
    get = dict[str, Any].get
    shown = Atoms({key: lines.numeral(get(atoms, key)) for key in _NUMERIC})
    scheme = get(atoms, "S")
    shown["m"], shown["H"] = lines.method(get(atoms, "m")), lines.version(get(atoms, "H"))
    shown["S"] = scheme if scheme in _SCHEMES else NOTHING
    shown["st"] = _PHRASES.get(str(shown["s"]), NOTHING)
    shown["U"] = shown["Uq"] = lines.template(flight)
    shown["t"] = time.strftime("[%d/%b/%Y:%H:%M:%S %z]")
    shown["p"] = pid(get(atoms, "p"))
    shown["r"] = f"{shown['m']} {shown['U']} {shown['H']}{_took(get(atoms, 'D'), flight)}"
    shown["R"] = shown["r"]
    return lines.line(record, "hypercorn.access", str(record.msg), shown)


def _took(microseconds: object, flight: Flight | None) -> str:
    if type(microseconds) is int:
        return f" {microseconds / 1000:.1f}ms"
    return lines.took(flight)


def _is_format(message: object) -> bool:
    """Tell whether *message* is the access format that hypercorn was configured with."""
    if type(message) is not str:
        return False
    if message == _DEFAULT:
        return True
    frame = lines.logged_by("hypercorn.logging", "access")
    logger = None if frame is None else frame.f_locals.get("self")
    return getattr(logger, "access_log_format", None) is message
