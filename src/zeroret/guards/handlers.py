"""The patches of `logging` itself: where handlers take a record, render it and hand it on.

They sit on the handler classes, not on loggers or handlers: so they cover child loggers, private
handlers, loggers that do not propagate, `logging.lastResort`, queue handlers (in the thread that
logs) and handlers that are called directly or defined later. Rendering is guarded once more: what
calls `emit` by itself is held to the rules there, and so is the text that a formatter of the
program's own puts around a record's.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
import threading
from logging import LogRecord
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from zeroret.content.flight import CURRENT
from zeroret.content.live import LIVE
from zeroret.guards import exceptions, fields, formatters, logs, tally, tracebacks
from zeroret.guards.records import GUARD_ERROR

if TYPE_CHECKING:
    from collections.abc import Callable

_LOGGING: Final = logging.addLevelName.__code__.co_filename


_LEVELS: Final = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}


class _Passed(threading.local):
    record: LogRecord | None = None
    """What `handle` of this thread has guarded and is just emitting."""


_passed: Final = _Passed()


def emitting() -> LogRecord | None:
    """Return the guarded record that a handler of this thread is just emitting, or None."""
    return _passed.record


def go_on_emitting(record: LogRecord | None) -> None:
    """Note that *record* is being emitted again, after a line that was logged in between."""
    _passed.record = record


def _guarded(record: LogRecord, handler: logging.Handler) -> LogRecord:
    """Return what may be shown of *record*; never raises, whatever is broken."""
    try:
        return logs.guard(record, handler)
    except Exception:  # noqa: BLE001 - fails closed
        tally.failed("logs")
        shown = logging.makeLogRecord({"msg": GUARD_ERROR, "levelno": record.levelno})
        shown.levelname = _LEVELS.get(record.levelno, "ERROR")
        return shown


def _held(text: Any, record: LogRecord, formatter: Any) -> Any:
    """Return what may be shown of a rendering; never raises, whatever is broken."""
    try:
        return text if formatters.is_plain(formatter) else logs.held(text, record, formatter)
    except Exception:  # noqa: BLE001 - fails closed
        tally.failed("logs")
        return GUARD_ERROR


def _stand_in(error: BaseException) -> BaseException:
    try:
        return exceptions.substitute(error, None)
    except Exception:  # noqa: BLE001 - fails closed
        tally.failed("logs")
        return exceptions.StandIn()


def _learn(formatter: Any) -> None:
    try:
        formatters.learn(formatter)
    except Exception:  # noqa: BLE001 - then it adds nothing that is known
        tally.failed("logs")


def _handle(self: logging.Handler, record: LogRecord) -> Any:
    """`logging.Handler.handle`, with the guard between the filters and `emit`."""
    passed: Any = self.filter(record)
    if isinstance(passed, LogRecord):
        record = passed
    if passed:
        record = _guarded(record, self)
        self.acquire()
        try:
            _passed.record = record
            self.emit(record)
        finally:
            _passed.record = None
            self.release()
    return passed


def _handle_error(self: logging.Handler, record: LogRecord) -> None:
    """`logging.Handler.handleError`, content-free: the error's context may be the app's own."""
    error = sys.exc_info()[1]
    if error is None or (CURRENT.get() is None and not LIVE.busy):
        _state.handle_error(self, record)
        return
    if not logging.raiseExceptions or sys.stderr is None:
        return
    try:
        shown = logs.guard(record, self)
        lines = (
            "--- Logging error ---",
            exceptions.describe(error),
            tracebacks.stack_text(logs.caller()),
        )
        message = f"Message: {shown.msg!r}\nArguments: {shown.args}\n"
        sys.stderr.write("\n".join((*lines, message)))
    except Exception:  # noqa: BLE001 - as the original: an error about an error stays unsaid
        tally.failed("logs")


def _guarding(original: Callable[..., Any]) -> Callable[..., Any]:
    def handle(self: logging.Handler, record: LogRecord) -> Any:
        return original(self, _guarded(record, self))

    return handle


def _formatting(original: Callable[..., Any]) -> Callable[..., Any]:
    """Have *original* render a guarded record, and hold what a formatter adds to the rules."""

    def format(self: logging.Handler, record: LogRecord) -> Any:  # noqa: A001 - logging's name
        if record is not _passed.record:
            record = _guarded(record, self)
        return _held(original(self, record), record, self.formatter)

    return format


def _format(self: logging.Handler, record: LogRecord) -> Any:
    """`logging.Handler.format`, guarded as by `_formatting`; written out, since all pass it."""
    if record is not _passed.record:
        record = _guarded(record, self)
    formatter = self.formatter
    if formatter is None:
        formatter = logging._defaultFormatter  # type: ignore[attr-defined] # noqa: SLF001 - as the original does
    text = formatter.format(record)
    known = formatters.plain.get(id(formatter))
    if known is not None and known[0] is formatter:
        return text
    return _held(text, record, formatter)


def _handing_on(original: Callable[..., Any]) -> Callable[..., Any]:
    """Have *original*, which sends a record without rendering it, send a guarded one."""

    def send(self: logging.Handler, record: LogRecord) -> Any:
        return original(self, record if record is _passed.record else _guarded(record, self))

    return send


def _unchained(original: Callable[..., Any]) -> Callable[..., Any]:
    """Have *original* called while a content-free stand-in is the exception being handled."""

    def handle_error(self: logging.Handler, record: LogRecord) -> Any:
        error = sys.exc_info()[1]
        shown = _guarded(record, self)
        if error is None or (CURRENT.get() is None and not LIVE.busy):
            return original(self, shown)
        stand_in = _stand_in(error)
        # This frame will stand in the traceback, and some handlers print locals.
        error, record = None, shown
        try:
            raise stand_in
        except type(stand_in):
            stand_in.__context__ = None
            return original(self, shown)

    return handle_error


def _setting_formatter(original: Callable[..., Any]) -> Callable[..., Any]:
    def set_formatter(self: logging.Handler, fmt: Any) -> Any:
        _learn(fmt)
        return original(self, fmt)

    return set_formatter


def _adding(original: Callable[..., Any]) -> Callable[..., Any]:
    """Have loggers take only handlers of guarded classes: one need not be a `logging.Handler`."""

    def add_handler(self: logging.Logger, hdlr: Any) -> Any:
        try:
            _guard_strange(hdlr)
        except Exception:  # noqa: BLE001 - then a handler of a strange class is as it was
            tally.failed("logs")
        return original(self, hdlr)

    return add_handler


_METHODS: Final[dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]]] = {
    "handle": _guarding,
    "handleError": _unchained,
    "format": _formatting,
    "setFormatter": _setting_formatter,
    "makePickle": _handing_on,
    "mapLogRecord": _handing_on,
    "prepare": _handing_on,
}
"""The methods of handlers that are guarded wherever a class brings them, and how."""


class _Replaced(NamedTuple):
    owner: type
    name: str
    original: Any
    """What the class itself held under the name; None if nothing."""
    ours: Any


class _State:
    """What `patch` replaced."""

    def __init__(self) -> None:
        self.handle_error: Any = logging.Handler.handleError
        self.replaced: list[_Replaced] = []


_state: Final = _State()


def patch() -> None:
    """Guard every handler class, those that are defined later included."""
    handler = logging.Handler
    _state.handle_error = handler.handleError
    _replace(handler, "handle", _handle if _is_own("handle") else _guarding(handler.handle))
    _replace(handler, "format", _format if _is_own("format") else _formatting(handler.format))
    _replace(handler, "handleError", _handle_error)
    _replace(handler, "setFormatter", _setting_formatter(handler.setFormatter))
    _replace(handler, "__init_subclass__", classmethod(_init_subclass))  # type: ignore[arg-type] # of handlers alone
    _replace(logging.Logger, "addHandler", _adding(logging.Logger.addHandler))
    for owner, name, instead in fields.FIELDS:
        _replace(owner, name, fields.field_of(owner, name, instead))
    for cls in _subclasses(handler):
        _guard_class(cls)
    for logger in (logging.root, *list(logging.root.manager.loggerDict.values())):
        for each in getattr(logger, "handlers", ()):
            _guard_strange(each)
            formatters.learn(getattr(each, "formatter", None))


def _is_own(name: str) -> bool:
    """Tell whether `logging.Handler` has its own method *name*: somebody else may patch, too."""
    code = getattr(getattr(logging.Handler, name), "__code__", None)
    return code is not None and code.co_filename == _LOGGING


def unpatch() -> None:
    """Leave `logging` as it was before `patch`; what somebody patched over ours stays."""
    for owner, name, original, ours in reversed(_state.replaced):
        if vars(owner).get(name) is ours:
            if original is None:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
    _state.replaced.clear()


def _replace(owner: type, name: str, ours: Any) -> None:
    original = vars(owner).get(name)
    setattr(owner, name, ours)
    _state.replaced.append(_Replaced(owner, name, original, vars(owner)[name]))


def _init_subclass(cls: type[logging.Handler], **options: Any) -> None:
    super(logging.Handler, cls).__init_subclass__(**options)
    _guard_class(cls)


def _subclasses(cls: type) -> list[type]:
    found: dict[type, None] = {}
    waiting: list[type] = type.__subclasses__(cls)
    while waiting:
        each = waiting.pop()
        if each not in found:
            found[each] = None
            waiting += type.__subclasses__(each)
    return list(found)


def _guard_class(cls: type) -> None:
    """Guard a handler class that brings methods of its own, or a mixin's."""
    if cls is logging.NullHandler:
        return
    for name, guarding in _METHODS.items():
        owner = next((base for base in cls.__mro__ if name in base.__dict__), None)
        if owner is None or (owner is not cls and issubclass(owner, logging.Handler)):
            continue  # there is none, or it is guarded there
        original = owner.__dict__[name]
        if callable(original):
            _replace(cls, name, guarding(original))


def _guard_strange(handler: Any) -> None:
    """Guard the class of a handler that is no `logging.Handler`, once."""
    cls = type(handler)
    if isinstance(handler, logging.Handler) or any(each.owner is cls for each in _state.replaced):
        return
    owner = next((base for base in cls.__mro__ if "handle" in base.__dict__), None)
    if owner is not None and callable(owner.__dict__["handle"]):
        try:
            _replace(cls, "handle", _guarding(owner.__dict__["handle"]))
        except TypeError:  # a class that C code made cannot be changed
            tally.failed("logs")


for _file in (__file__, logging.handlers.QueueHandler.emit.__code__.co_filename):
    logs.SKIPPED.add(_file)
