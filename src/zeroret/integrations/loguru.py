"""loguru: its messages are judged as they take their arguments, its records before any handler.

The seam is `Handler.emit`, which every sink passes, those added later too: filters, formatting
functions, serialisation, the queue and the sink get a judged record, exceptions without values
(``diagnose=True`` finds no variables) and bound extras by the rules of log records.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.live import LIVE
from zeroret.guards import exceptions, formatters, handlers, logs, names, noted, records, tally
from zeroret.guards.records import GUARD_ERROR, GuardedRecord
from zeroret.guards.rulings import Failed, Ruling, ruling
from zeroret.integrations import loguru_records
from zeroret.integrations.loguru_records import JudgedRecord, Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.guards.patches import Patches

_SINKS: Final = ("AsyncSink", "CallableSink", "StreamSink")
_DEPTH, _RECORD, _LAZY, _COLORS = 1, 2, 3, 4
"""Where a logger's options say how deep its caller is, and how arguments are meant."""


class _Call(threading.local):
    """The call of a logger that runs in this thread."""

    ruled: Ruling | None = None
    texts: set[str] | None = None
    judged: tuple[Any, JudgedRecord] | None = None


_call: Final = _Call()


class _Said(str):
    """A judged text that stays the same object when it is asked for its text."""

    __slots__ = ("record", "text")

    record: JudgedRecord
    text: str

    def __str__(self) -> str:
        return self.text


def watch(loguru: Any, patches: Patches) -> None:
    """Guard *loguru*, the package.

    Args:
        loguru: The imported package.
        patches: Who replaces what, and puts it back.
    """
    from loguru import _error_interceptor, _handler, _logger, _simple_sinks

    for module in (_logger, _handler):
        logs.SKIPPED.add(str(module.__file__))
    logs.SKIPPED.add(__file__)
    if not LIVE.busy and not LIVE.drops:
        names.levels.update(loguru.logger._core.levels)  # noqa: SLF001 - where loguru keeps them
    patches.replace(_logger.Logger, "_log", _logging(_logger, patches))
    patches.replace(_handler.Handler, "emit", _emitting(patches))
    interceptor = _error_interceptor.ErrorInterceptor
    patches.replace(interceptor, "print", _telling(patches))
    for name in _SINKS:
        patches.replace(getattr(_simple_sinks, name), "write", _writing)
    patches.replace(_simple_sinks.StandardSink, "write", _handing_on)


def _logging(module: Any, patches: Patches) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have messages judged before their arguments disappear into them."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _log(  # noqa: PLR0913, PLR0917 - loguru's own signature
            self: Any,
            level: Any,
            from_decorator: Any,
            options: Any,
            message: Any,
            args: Any,
            kwargs: Any,
        ) -> Any:
            deeper = (options[0], options[_DEPTH] + 1, *options[_DEPTH + 1 :])
            given = (level, from_decorator, deeper, message, args, kwargs)
            if not patches.active or not _is_heard(self._core, level):
                return original(self, *given)
            ruled = _ruling()
            before = (_call.ruled, _call.texts, _call.judged)
            _call.ruled, _call.texts, _call.judged = ruled, set(), None
            try:
                if ruled is not None and ruled.enforce and ruled.judge.strict:
                    given = (*given[:2], *_admitted(module, ruled.judge, *given[2:]))
                return original(self, *given)
            finally:
                _call.ruled, _call.texts, _call.judged = before

        return _log

    return make


def _ruling() -> Ruling | None:
    """Return how what is logged now is to be shown; never raises, whatever is broken."""
    try:
        return ruling(logs.caller())
    except Exception:  # noqa: BLE001 - fails closed
        tally.failed("logs")
        return Ruling(Failed(), enforce=True)


def _is_heard(core: Any, level: Any) -> bool:
    """Tell whether any handler may want the *level*, so that nobody is judged for nothing."""
    if not core.handlers:
        return False
    try:
        return bool(core.levels_lookup[level][2] >= core.min_level)
    except Exception:  # noqa: BLE001 - whoever is asked for nothing says nothing
        return True


def _admitted(module: Any, judge: Any, options: Any, *said: Any) -> tuple[Any, Any, Any, Any]:
    """Return the call as `_judged_call` does; never raises, whatever is broken."""
    try:
        return _judged_call(module, judge, options, *said)
    except Exception:  # noqa: BLE001 - fails closed
        tally.failed("logs")
        if _call.texts is not None:
            _call.texts.add(GUARD_ERROR)
        return options, Message(GUARD_ERROR), (), {}


def _judged_call(module: Any, judge: Any, options: Any, *said: Any) -> tuple[Any, Any, Any, Any]:
    """Return options, message and arguments with which loguru may go on."""
    message, args, kwargs = said
    texts = _call.texts if _call.texts is not None else set()
    try:
        if _is_emitted(message):
            texts.add(message)
            return options, Message(message), args, kwargs
        own = loguru_records.is_own_literal(message, module)
        takes = bool(args or kwargs or options[_RECORD])
        shown = loguru_records.message_of(message, judge, texts, takes=takes, own=own)
    except Exception:  # noqa: BLE001 - fails closed: whatever broke, the message is not shown
        tally.failed("logs")
        texts.add(GUARD_ERROR)
        return options, Message(GUARD_ERROR), (), {}
    if not options[_COLORS]:
        return options, shown, args, kwargs
    return _coloured(options, shown, args, kwargs)


def _coloured(options: Any, said: Any, args: Any, kwargs: Any) -> tuple[Any, Any, Any, Any]:
    """Return the call with its arguments put in, as loguru does for messages with tags.

    Tags in values are no tags.
    """
    from loguru._colorizer import Colorizer

    if isinstance(said, loguru_records.Constant):
        if options[_LAZY]:
            args = [each() for each in args]
            kwargs = {key: each() for key, each in kwargs.items()}
        text = said.format(*args, **kwargs)
    else:
        text = str(said).replace("<", r"\<") if type(said) is Message else str(said)
    texts = _call.texts
    if texts is not None:
        texts.add(Colorizer.prepare_simple_message(text).stripped)  # type: ignore[no-untyped-call] # loguru's own
    without = (*options[:_LAZY], False, *options[_LAZY + 1 :])
    return without, text, (), {}


def _is_emitted(message: Any) -> bool:
    """Tell whether *message* is what the record says that a `logging` handler hands on just now."""
    record = handlers.emitting()
    if record is None or type(message) is not str:
        return noted.is_noted(message)
    guarded = type(record) is GuardedRecord or records.is_clean(record)
    return noted.is_noted(message) or (guarded and record.getMessage() == message)


def _emitting(patches: Patches) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have handlers emit judged records."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def emit(  # noqa: PLR0913, PLR0917 - loguru's own signature
            self: Any,
            record: Any,
            level_id: Any,
            from_decorator: Any,
            is_raw: Any,
            colored_message: Any,
        ) -> Any:
            rest = (level_id, from_decorator, is_raw)
            if not patches.active or type(record) is JudgedRecord:
                return original(self, record, *rest, colored_message)
            ruled = _call.ruled if _call.texts is not None else _ruling()
            if ruled is None:
                return original(self, record, *rest, colored_message)
            judged = _judged(record, ruled)
            if not ruled.enforce:
                return original(self, record, *rest, colored_message)
            try:
                holding = _holding(self)
            except Exception:  # noqa: BLE001 - nothing is shown that is not held to the rules
                tally.failed("logs")
                return None
            same = colored_message is not None and colored_message.stripped == judged["message"]
            return original(holding, judged, *rest, colored_message if same else None)

        return emit

    return make


def _judged(record: dict[str, Any], ruled: Ruling) -> JudgedRecord:
    """Return *record* judged, once for all handlers of a call."""
    if _call.judged is not None and _call.judged[0] is record:
        return _call.judged[1]
    try:
        judged = loguru_records.judged_record(record, ruled.judge, _call.texts or set())
        if ruled.judge.changed:
            tally.count("logs", "withheld" if ruled.judge.strict else "redacted")
    except Exception:  # noqa: BLE001 - fails closed: whatever broke, the record is not shown
        judged = loguru_records.failed(record)
    _call.judged = (record, judged)
    return judged


def _holding(handler: Any) -> Any:
    """Return *handler*, or one like it whose formatting function is held to the rules."""
    if not handler._is_formatter_dynamic:  # noqa: SLF001 - whether its format is a function
        return handler
    formatter = handler._formatter  # noqa: SLF001 - likewise
    holding = object.__new__(type(handler))
    holding.__dict__.update(handler.__dict__)

    def held(record: JudgedRecord) -> Any:
        made = formatter(record)
        try:
            return _held_format(made, record, formatters.spelt_by(formatter))
        except Exception:  # noqa: BLE001 - fails closed
            tally.failed("logs")
            return GUARD_ERROR + "\n"

    holding._formatter = held
    return holding


def _held_format(text: str, record: JudgedRecord, phrases: frozenset[str]) -> str:
    """Return a format with its literal parts held to the rules; its fields show the record."""
    parts: list[str] = []
    for literal, field, spec, conversion in loguru_records.FORMATTER.parse(text):
        shown = loguru_records.held(literal, record, phrases)
        parts.append(shown.replace("{", "{{").replace("}", "}}"))
        if field is not None:
            converted = f"!{conversion}" if conversion else ""
            parts.append(f"{{{field}{converted}{':' + spec if spec else ''}}}")
    return "".join(parts)


def _writing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Have the guards of what a sink writes to know a judged text."""

    def write(self: Any, message: Any) -> Any:
        try:
            if type(getattr(message, "record", None)) is JudgedRecord:
                noted.note(message)
        except Exception:  # noqa: BLE001 - then what the sink writes to judges it once more
            tally.failed("logs")
        return original(self, message)

    return write


def _handing_on(original: Callable[..., Any]) -> Callable[..., Any]:
    """Have the log guard know a judged text that goes to a handler of `logging`."""

    def write(self: Any, message: Any) -> Any:
        if type(getattr(message, "record", None)) is not JudgedRecord:
            return original(self, message)
        said = _Said(message)
        said.record, said.text = message.record, noted.note(str(message))
        noted.note(said.record["extra"])
        return original(self, said)

    return write


def _telling(patches: Patches) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have loguru tell of a handler's error without the error's text."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def print(self: Any, record: Any = None, *, exception: Any = None) -> Any:  # noqa: A001 - loguru's name
            if not patches.active or _ruling() is None:
                return original(self, record, exception=exception)
            error = exception or sys.exception()
            shown = record if type(record) is JudgedRecord else None
            stand_in = None if error is None else exceptions.substitute(error, None)
            return original(self, shown, exception=stand_in)

        return print

    return make
