"""The log guard: every record passes here at the last point before a handler emits it.

It sits on the handler classes, not on loggers or handlers: so it covers child loggers, private
handlers, loggers that do not propagate, `logging.lastResort`, queue handlers (in the thread that
logs) and handlers that are called directly or defined later.
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
from zeroret.guards import exceptions, names, records, seals, tally, tracebacks
from zeroret.guards.matched import matched
from zeroret.guards.records import GuardedRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

ACCESS: Final = {
    "gunicorn.access": "zeroret.integrations.gunicorn",
    "uvicorn.access": "zeroret.integrations.uvicorn",
    "uvicorn.error": "zeroret.integrations.uvicorn",
}
"""Loggers of servers that log paths and queries, and who says what their lines may show."""

OUTSIDE: Final = {
    "asyncio": sys.maxsize,
    "django.server": sys.maxsize,
    "gunicorn.error": sys.maxsize,
    "uvicorn.asgi": sys.maxsize,
    "uvicorn.error": logging.INFO,
    "werkzeug": sys.maxsize,
}
"""Loggers of servers and event loops that write about requests and tasks of no exchange: heads that
could not be parsed, errors found by a finaliser. They are strict there below the level given, and
wherever they log an exception; from INFO on uvicorn says where it listens."""

AFTERMATH: Final = 5.0
"""Seconds after an exchange for which its context counts as its own: the server's access line."""

_LOGGING: Final = logging.addLevelName.__code__.co_filename
SKIPPED: Final = {_LOGGING, logging.handlers.QueueHandler.emit.__code__.co_filename}
"""Files whose frames stand between a handler and the code that logs."""

_NOBODY: Final = Flight("strict")
"""Stands in for the exchange of records that have none; its closed sets are empty."""

_QUEUE: Final = logging.handlers.QueueHandler
_PLAIN: Final = frozenset({logging.Formatter, type(None)})
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
        flight = CURRENT.get() or _just_ended()
        line = _access_line(record, flight) if record.name in ACCESS else None
        if line is not None:
            return line
        if flight is None and _originals.outside and _is_outside(record):
            flight = _NOBODY
        if flight is None and not LIVE.busy:
            return record
        if records.is_clean(record):
            return record if _adds_nothing(handler) else records.copied(record)
        return _guard_background(record) if flight is None else _guard_own(record, flight, handler)
    except Exception:  # noqa: BLE001 - fails closed: whatever broke, the text is not shown
        return _failed(record)


def _adds_nothing(handler: logging.Handler | None) -> bool:
    """Tell whether *handler* emits a clean record as it is, in this process.

    Formatters of one's own set attributes on it, which a guarded record holds to the rules.
    """
    formatter = None if handler is None else handler.formatter
    return type(formatter) in _PLAIN and not isinstance(handler, _QUEUE)


def _is_outside(record: logging.LogRecord) -> bool:
    below = OUTSIDE.get(record.name)
    return below is not None and (record.levelno < below or bool(record.exc_info))


def _just_ended() -> Flight | None:
    """Return the exchange whose server may still be logging about it in this very context."""
    flight = LAST.get()
    if flight is None or flight.ended is None:
        return flight
    return flight if time.perf_counter() - flight.ended < AFTERMATH else None


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
            shown, changed = matched(record, flight, LIVE.flights(), frame)
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
    flights = [flight for flight in LIVE.flights() if flight.log_guard != "none"]
    if not flights:
        return record
    if getattr(_local, "inside", False):
        return _failed(record)
    _local.inside = True
    try:
        shown, changed = matched(record, None, flights, caller())
    finally:
        _local.inside = False
    if not changed:
        return record
    tally.count("logs", "redacted")
    return shown if any(flight.enforce for flight in flights) else record


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


def _handle(self: logging.Handler, record: logging.LogRecord) -> Any:
    """`logging.Handler.handle`, with the guard between the filters and `emit`."""
    passed: Any = self.filter(record)
    if isinstance(passed, logging.LogRecord):
        record = passed
    if passed:
        record = guard(record, self)
        self.acquire()
        try:
            self.emit(record)
        finally:
            self.release()
    return passed


def _handle_error(self: logging.Handler, record: logging.LogRecord) -> None:
    """`logging.Handler.handleError`, content-free: the error's context may be the app's own."""
    error = sys.exc_info()[1]
    if error is None or (CURRENT.get() is None and not LIVE.busy):
        _originals.handle_error(self, record)
        return
    if not logging.raiseExceptions or sys.stderr is None:
        return
    try:
        shown = guard(record, self)
        lines = (
            "--- Logging error ---",
            exceptions.describe(error),
            tracebacks.stack_text(caller()),
        )
        message = f"Message: {shown.msg!r}\nArguments: {shown.args}\n"
        sys.stderr.write("\n".join((*lines, message)))
    except Exception:  # noqa: BLE001 - as the original: an error about an error stays unsaid
        tally.count("logs", "failed")


class _Originals:
    """What `install` replaced, and how often it was asked to."""

    def __init__(self) -> None:
        self.count = 0
        self.outside = 0
        self.lock = threading.Lock()
        self.handle: Any = logging.Handler.handle
        self.handle_error: Any = logging.Handler.handleError
        self.overrides: list[tuple[type, str, Any, Any]] = []


_originals: Final = _Originals()


def install(*, outside: bool = False) -> None:
    """Guard every log handler of this process; each call needs its `uninstall`.

    *outside* makes the loggers of `OUTSIDE` strict where no exchange runs, too.
    """
    with _originals.lock:
        _originals.count += 1
        _originals.outside += outside
        if _originals.count > 1:
            return
        names.learn()
        handler = logging.Handler
        _originals.handle = handler.handle
        _originals.handle_error = handler.handleError
        code = getattr(handler.handle, "__code__", None)
        standard = code is not None and code.co_filename == _LOGGING
        handler.handle = _handle if standard else _guarding(handler.handle)  # type: ignore[method-assign] # the guard is this patch
        handler.handleError = _handle_error  # type: ignore[method-assign] # likewise
        handler.__init_subclass__ = classmethod(_init_subclass)  # type: ignore[assignment,arg-type] # likewise
        waiting = list(handler.__subclasses__())
        while waiting:
            cls = waiting.pop()
            waiting += cls.__subclasses__()
            _guard_class(cls)


def uninstall(*, outside: bool = False) -> None:
    """Undo one `install`; the last one leaves logging as it was before the first."""
    with _originals.lock:
        if _originals.count == 0:
            return
        _originals.count -= 1
        _originals.outside -= outside
        if _originals.count:
            return
        handler = logging.Handler
        handler.handle = _originals.handle  # type: ignore[method-assign] # what it was
        handler.handleError = _originals.handle_error  # type: ignore[method-assign] # likewise
        del handler.__init_subclass__
        for cls, name, original, ours in _originals.overrides:
            if cls.__dict__.get(name) is ours:
                if original is None:
                    delattr(cls, name)
                else:
                    setattr(cls, name, original)
        _originals.overrides.clear()


def _init_subclass(cls: type[logging.Handler], **options: Any) -> None:
    super(logging.Handler, cls).__init_subclass__(**options)
    _guard_class(cls)


def _guard_class(cls: type) -> None:
    """Guard a handler class that brings its own `handle` or `handleError`, or a mixin's."""
    if cls is logging.NullHandler:
        return
    for name, guarding in (("handle", _guarding), ("handleError", _unchained)):
        owner = next(base for base in cls.__mro__ if name in base.__dict__)
        if owner is not cls and issubclass(owner, logging.Handler):
            continue  # guarded there
        original = owner.__dict__[name]
        if callable(original):
            ours = guarding(original)
            setattr(cls, name, ours)
            _originals.overrides.append((cls, name, original if owner is cls else None, ours))


def _guarding(original: Callable[..., Any]) -> Callable[..., Any]:
    def handle(self: logging.Handler, record: logging.LogRecord) -> Any:
        return original(self, guard(record, self))

    return handle


def _unchained(original: Callable[..., Any]) -> Callable[..., Any]:
    """Have *original* called while a content-free stand-in is the exception being handled."""

    def handle_error(self: logging.Handler, record: logging.LogRecord) -> Any:
        error = sys.exc_info()[1]
        shown = guard(record, self)
        if error is None or (CURRENT.get() is None and not LIVE.busy):
            return original(self, shown)
        stand_in = exceptions.substitute(error, None)
        # This frame will stand in the traceback, and some handlers print locals.
        error, record = None, shown
        try:
            raise stand_in
        except type(stand_in):
            stand_in.__context__ = None
            return original(self, shown)

    return handle_error


SKIPPED.add(caller.__code__.co_filename)
