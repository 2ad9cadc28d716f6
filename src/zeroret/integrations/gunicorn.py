"""gunicorn's access lines: method, route template, status, size, time; nothing a client chose."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import names, records
from zeroret.integrations.uvicorn import NOTHING, template

if TYPE_CHECKING:
    import logging
    from types import FrameType

    from zeroret.content.flight import Flight

_PROTOCOLS: Final = frozenset({"HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/2.0", "HTTP/3"})
_NUMBER: Final = re.compile(r"\d{1,15}(?:\.\d{1,6})?", re.ASCII)
_PID: Final = re.compile(r"<\d{1,10}>", re.ASCII)
_NUMERIC: Final = ("s", "b", "B", "T", "D", "M", "L")
_DEFAULT: Final = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
_DEEPEST: Final = 12


class Atoms(dict[str, Any]):
    """The atoms of one line that may be shown; every other one, headers included, is ``-``."""

    def __missing__(self, key: str) -> str:
        return NOTHING


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
    shown = Atoms({key: _number(get(atoms, key)) for key in _NUMERIC})
    method, protocol, pid = get(atoms, "m"), get(atoms, "H"), get(atoms, "p")
    shown["m"] = method if method in names.METHODS else NOTHING
    shown["H"] = protocol if protocol in _PROTOCOLS else NOTHING
    shown["U"] = template(flight)
    shown["t"] = time.strftime("[%d/%b/%Y:%H:%M:%S %z]")
    shown["p"] = pid if type(pid) is str and _PID.fullmatch(pid) else NOTHING
    shown["r"] = " ".join((shown["m"], shown["U"], shown["H"], *_took(get(atoms, "D"), flight)))
    attributes = records.standard(record.__dict__, None)
    attributes["name"] = "gunicorn.access"
    attributes["msg"], attributes["args"] = str(record.msg), shown
    return records.guarded(attributes)


def _took(microseconds: object, flight: Flight | None) -> tuple[str, ...]:
    if type(microseconds) is int:
        return (f"{microseconds / 1000:.1f}ms",)
    if flight is not None and flight.started:
        return (f"{(time.perf_counter() - flight.started) * 1000:.1f}ms",)
    return ()


def _number(value: object) -> object:
    if type(value) is int:
        return value if 0 <= value < 2**53 else NOTHING
    return value if type(value) is str and _NUMBER.fullmatch(value) else NOTHING


def _is_format(message: object) -> bool:
    """Tell whether *message* is the access format that gunicorn was configured with."""
    if type(message) is not str:
        return False
    if message == _DEFAULT:
        return True
    # A format of the operator's own is in no source: the server that logs says which it is.
    glogging = sys.modules.get("gunicorn.glogging")
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller's frame
    for _ in range(_DEEPEST):
        if frame is None or glogging is None:
            return False
        if frame.f_globals is vars(glogging) and frame.f_code.co_name == "access":
            logger = frame.f_locals.get("self")
            return getattr(getattr(logger, "cfg", None), "access_log_format", None) is message
        frame = frame.f_back
    return False
