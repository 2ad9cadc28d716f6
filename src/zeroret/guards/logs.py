"""The log guard: what of a record may be shown, decided just before a handler emits it.

It does not matter which logger, handler, level or thread a record takes: `handlers` patches the
handler classes, and every one of them asks here.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.content.live import LIVE
from zeroret.content.redaction import redact
from zeroret.guards import formatted, formatters, names, noted, records, seals, tally
from zeroret.guards.matched import matched
from zeroret.guards.records import GuardedRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

ACCESS: Final = {
    "django.server": "zeroret.integrations.django_server",
    "granian.access": "zeroret.integrations.granian",
    "gunicorn.access": "zeroret.integrations.gunicorn",
    "hypercorn.access": "zeroret.integrations.hypercorn",
    "uvicorn.access": "zeroret.integrations.uvicorn",
    "uvicorn.error": "zeroret.integrations.uvicorn",
    "werkzeug": "zeroret.integrations.werkzeug",
}
"""Loggers of servers that log paths and queries, and who says what their lines may show."""

OUTSIDE: Final = {
    "asyncio": sys.maxsize,
    "django.server": sys.maxsize,
    "gunicorn.error": sys.maxsize,
    "hypercorn.error": logging.INFO,
    "uvicorn.asgi": sys.maxsize,
    "uvicorn.error": logging.INFO,
    "werkzeug": sys.maxsize,
}
"""Loggers of servers and event loops that write about requests and tasks of no exchange: heads that
could not be parsed, errors found by a finaliser. They are strict there below the level given, and
wherever they log an exception; from INFO on uvicorn says where it listens."""

AFTERMATH: Final = 5.0
"""Seconds after an exchange for which its context counts as its own: the server's access line."""

SKIPPED: Final = {logging.addLevelName.__code__.co_filename, __file__}
"""Files whose frames stand between a handler and the code that logs."""

_NOBODY: Final = Flight("strict")
"""Stands in for the exchange of records that have none; its closed sets are empty."""

_QUEUE: Final = logging.handlers.QueueHandler
_local: Final = threading.local()
_access: dict[str, Callable[[logging.LogRecord, Flight | None], logging.LogRecord | None]] = {}


def guard(record: logging.LogRecord, handler: logging.Handler | None = None) -> logging.LogRecord:
    """Return what may be shown of *record*: itself, or a `GuardedRecord`. Never raises.

    Args:
        record: What was logged; it is never changed.
        handler: Who is going to emit it, if that is known.
    """
    try:
        if type(record) is GuardedRecord:
            if seals.is_sealed(record):
                return record
            record = logging.makeLogRecord(record.__dict__)
        flight = CURRENT.get() or here()
        if record.name in ACCESS:
            line = _access_line(record, flight)
            if line is not None:
                return line
        if flight is None:
            if _installed.outside and _is_outside(record):
                flight = _NOBODY
            elif not LIVE.busy:
                return record
        if records.is_clean(record):
            return record if _adds_nothing(handler) else records.copied(record)
        return _guard_background(record) if flight is None else _guard_own(record, flight, handler)
    except Exception:  # noqa: BLE001 - fails closed: whatever broke, the text is not shown
        return _failed(record)


def held(text: Any, record: logging.LogRecord, formatter: object) -> Any:
    """Return what may be shown of *text*, a formatter's rendering of *record*. Never raises."""
    try:
        flight = here()
        if flight is None and not LIVE.busy:
            formatters.learn(formatter)
            return text
        if type(text) is not str or noted.is_noted(text):
            return text
        if flight is not None and flight.log_guard == "none":
            return text
        if flight is not None and (flight.log_guard == "strict" or not flight.matchable):
            record = guard(record)  # a formatter may have written on it
            texts, phrases = formatted.texts_of(record), formatters.phrases(formatter)
            shown = formatted.Known(texts, phrases, record.created).hold(text)
            enforce = flight.enforce
        else:
            shown, enforce = _matched_text(text, flight)
    except Exception:  # noqa: BLE001 - as in guard()
        tally.count("logs", "failed")
        return records.GUARD_ERROR
    if shown != text:
        tally.count("logs", "withheld")
    return shown if enforce else text


def _matched_text(text: str, flight: Flight | None) -> tuple[str, bool]:
    """Return *text* without what it shares, and whether that is to be enforced."""
    if flight is not None:
        return redact(text, flight, LIVE.everyone), flight.enforce
    shown = redact(text, None, LIVE.logged, background=True)
    return shown, shown == text or LIVE.logged.enforce


def here() -> Flight | None:
    """Return the exchange this code belongs to: the running one, or one that has just ended.

    A server may still be logging about the latter in this very context.
    """
    flight = CURRENT.get()
    if flight is not None:
        return flight
    flight = LAST.get()
    if flight is None or flight.ended is None:
        return flight
    return flight if time.perf_counter() - flight.ended < AFTERMATH else None


def _adds_nothing(handler: logging.Handler | None) -> bool:
    """Tell whether *handler* emits a clean record as it is, in this process.

    Formatters of one's own set attributes on it, which a guarded record holds to the rules.
    """
    formatter: Any = getattr(handler, "formatter", None)
    known = formatters.plain.get(id(formatter))
    same = (
        known is not None and known[0] is formatter and known[1] is formatter._style._fmt  # noqa: SLF001 - a plain one has both
    )
    return (same or formatters.is_plain(formatter)) and not isinstance(handler, _QUEUE)


def _is_outside(record: logging.LogRecord) -> bool:
    below = OUTSIDE.get(record.name)
    return below is not None and (record.levelno < below or bool(record.exc_info))


def _guard_own(
    record: logging.LogRecord, flight: Flight, handler: logging.Handler | None
) -> logging.LogRecord:
    if flight.log_guard == "none":
        return record
    if getattr(_local, "inside", False):
        return _failed(record)
    _local.inside = True
    try:
        frame = caller()
        if flight.log_guard == "strict" or not flight.matchable:
            shown, changed = records.strict(record, flight, frame, handler)
            kind: tally.Kind = "withheld"
        else:
            shown, changed = matched(record, flight, LIVE.everyone, frame)
            kind = "redacted"
    except Exception:  # noqa: BLE001 - as in guard(), but here the mode is known
        if flight.enforce:
            return _failed(record)
        tally.count("logs", "failed")
        return record
    finally:
        _local.inside = False
    if changed:
        tally.count("logs", kind)
    return shown if flight.enforce else record


def _guard_background(record: logging.LogRecord) -> logging.LogRecord:
    """Guard a record of no exchange: what it shares with any that is live is taken out."""
    if getattr(_local, "inside", False):
        return _failed(record)
    _local.inside = True
    try:
        shown, changed = matched(record, None, LIVE.logged, caller())
    finally:
        _local.inside = False
    if not changed:
        return record
    tally.count("logs", "redacted")
    return shown if LIVE.logged.enforce else record


def _access_line(record: logging.LogRecord, flight: Flight | None) -> logging.LogRecord | None:
    """Return a server's access line as it may be shown; None if it is no such line."""
    flight = flight or LAST.get()
    if flight is not None and (flight.log_guard == "none" or not flight.enforce):
        return None
    rewrite = _access.get(record.name)
    if rewrite is None:
        rewrite = _access[record.name] = import_module(ACCESS[record.name]).access
    return rewrite(record, flight)


def _failed(record: logging.LogRecord) -> logging.LogRecord:
    tally.count("logs", "failed")
    return records.failed(record)


def caller() -> FrameType | None:
    """Return the frame that logged: the innermost one outside logging and these guards."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller's frame
    while frame is not None:
        if frame.f_code.co_filename not in SKIPPED:
            return frame
        frame = frame.f_back
    return None


class _Installed:
    """How often `install` was called."""

    def __init__(self) -> None:
        self.count = 0
        self.outside = 0
        self.lock = threading.Lock()


_installed: Final = _Installed()


def install(*, outside: bool = False) -> None:
    """Guard every log handler of this process; each call needs its `uninstall`.

    *outside* makes the loggers of `OUTSIDE` strict where no exchange runs, too.
    """
    from zeroret.guards import handlers

    with _installed.lock:
        _installed.count += 1
        _installed.outside += outside
        if _installed.count == 1:
            names.learn()
            handlers.patch()


def uninstall(*, outside: bool = False) -> None:
    """Undo one `install`; the last one leaves logging as it was before the first."""
    from zeroret.guards import handlers

    with _installed.lock:
        if _installed.count == 0:
            return
        _installed.count -= 1
        _installed.outside -= outside
        if not _installed.count:
            handlers.unpatch()
