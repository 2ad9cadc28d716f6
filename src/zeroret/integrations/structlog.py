"""structlog: its events are judged before the first processor and after each one.

The seam is the processor chain itself, which every bound logger of structlog's runs: so what
processors send away by themselves is guarded, what they add from contexts is, and any logger at the
end of the chain is given a text that is known to be good. structlog's own output loggers are
guarded once more, for texts that came by no chain; and `ProcessorFormatter`, whose chain runs in
`logging`.
"""

from __future__ import annotations

import copy
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import extras, formatted, formatters, logs, noted, tally
from zeroret.guards.records import GUARD_ERROR
from zeroret.guards.rulings import Failed, Ruling, ruling
from zeroret.integrations.structlog_events import Event

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from zeroret.guards.patches import Patches

_OUTPUTS: Final = ("PrintLogger", "WriteLogger", "BytesLogger")
_DEEPEST: Final = 3


def watch(structlog: Any, patches: Patches) -> None:
    """Guard *structlog*, the package.

    Args:
        structlog: The imported package.
        patches: Who replaces what, and puts it back.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith("structlog."):
            logs.SKIPPED.add(str(getattr(module, "__file__", "")))
    logs.SKIPPED.add(__file__)
    extras.keys.update(("_logger", "_name"))
    base = structlog._base.BoundLoggerBase  # noqa: SLF001 - all bound loggers derive from it
    patches.replace(base, "_process_event", _processing(patches))
    for name in ("bind", "new"):
        patches.replace(base, name, _binding)
    for name in _OUTPUTS:
        _watch_output(getattr(structlog, name), patches)
    native = structlog._native  # noqa: SLF001 - what fills in arguments has no other name
    patches.replace(native, "_maybe_interpolate", _interpolating(patches))
    formatter = structlog.stdlib.ProcessorFormatter
    patches.replace(formatter, "format", _formatting(patches))
    patches.replace(structlog, "configure", _configuring)
    for processor in structlog.get_config()["processors"]:
        formatters.learn(processor)


def _watch_output(cls: Any, patches: Patches) -> None:
    output = vars(cls)["msg"]
    for name, method in list(vars(cls).items()):
        if method is output:
            patches.replace(cls, name, _writing(patches))


def _configuring(original: Callable[..., Any]) -> Callable[..., Any]:
    def configure(*args: Any, **options: Any) -> Any:
        for processor in (args[0] if args else options.get("processors")) or ():
            formatters.learn(processor)
        return original(*args, **options)

    return configure


def _binding(original: Callable[..., Any]) -> Callable[..., Any]:
    def bind(self: Any, **values: Any) -> Any:
        try:
            extras.learn(values)
        except Exception:  # noqa: BLE001 - then nothing vouches for what was bound
            tally.failed("logs")
        return original(self, **values)

    return bind


def _processing(patches: Patches) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have an event judged on its way through the processors of a bound logger."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _process_event(self: Any, method_name: str, event: Any, event_kw: Any) -> Any:
            ruled = _ruling() if patches.active else None
            if ruled is None or _only_counts(ruled):
                return original(self, method_name, event, event_kw)
            judged = Event(ruled.judge)
            # structlog's own processors look for the place that logs from here.
            place = sys.modules["structlog.contextvars"]._ASYNC_CALLING_STACK  # noqa: SLF001 - where structlog notes it
            token = place.set(ruled.judge.frame) if ruled.judge.frame is not None else None
            guarded = object.__new__(type(self))
            guarded.__dict__.update(self.__dict__)
            guarded._processors = [
                partial(_admit, judged),
                *(partial(_step, judged, each) for each in self._processors),
            ]
            try:
                return _noted(original(guarded, method_name, event, event_kw))
            finally:
                if token is not None:
                    place.reset(token)
                if ruled.judge.changed:
                    tally.count("logs", "withheld" if ruled.judge.strict else "redacted")

        return _process_event

    return make


def _only_counts(ruled: Ruling) -> bool:
    """Tell whether the runtime only reports: then an event is counted as withheld, and passes."""
    if not ruled.enforce:
        with suppress(Exception):
            tally.count("logs", "withheld")
    return not ruled.enforce


def _admit(judged: Event, _logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    try:
        return judged.admit(event)
    except Exception:  # noqa: BLE001 - fails closed: whatever broke, the event is not shown
        tally.failed("logs")
        failed: dict[str, Any] = _failed(event)
        return failed


def _step(judged: Event, processor: Any, logger: Any, name: str, event: Any) -> Any:
    """Run one processor, and judge what it made of the event."""
    made = processor(logger, name, event)
    try:
        if isinstance(made, dict):
            return judged.review(made, processor)
        if isinstance(made, tuple):
            return _last(judged, processor, made)
        return judged.finish(made, processor)
    except Exception:  # noqa: BLE001 - likewise
        tally.failed("logs")
        return _failed(made)


def _failed(made: Any) -> Any:
    """Return what stands for something that could not be judged, in the same shape."""
    if isinstance(made, bytes | bytearray):
        return GUARD_ERROR.encode()
    if isinstance(made, tuple):
        return (GUARD_ERROR,), {}
    if not isinstance(made, dict):
        return GUARD_ERROR
    kept = {key: made[key] for key in ("_record", "_from_structlog") if key in made}
    return {**kept, "event" if "event" in made or "msg" not in made else "msg": GUARD_ERROR}


def _last(judged: Event, processor: Any, made: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return the arguments for the logger at the end, each judged."""
    args, options = made
    shown = tuple(
        judged.review(each, processor)
        if isinstance(each, dict)
        else judged.finish(each, processor)
        if isinstance(each, str | bytes)
        else judged.judge.value(each)
        for each in args
    )
    options = dict(options)
    extra = options.get("extra")
    if isinstance(extra, dict):
        extra = dict(extra)
        if "_logger" in extra:
            extra["_logger"] = None  # a logger is no value, and nobody asks it
        options["extra"] = judged.review(extra, processor)
    return shown, options


def _noted(made: Any) -> Any:
    """Have what the chain made known to the guard of the logger at its end."""
    try:
        _note(made, _DEEPEST)
    except Exception:  # noqa: BLE001 - then the logger at the end judges it once more
        tally.failed("logs")
    return made


def _note(value: Any, depth: int) -> None:
    if isinstance(value, str | bytes):
        noted.note(value)
    elif isinstance(value, dict):
        noted.note(value)
        for each in value.values():
            _note(each, depth - 1) if depth else None
    elif isinstance(value, tuple) and depth:
        for each in value:
            _note(each, depth - 1)


def _writing(patches: Patches) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have an output logger write what may be shown, whoever calls it."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def msg(self: Any, message: Any) -> Any:
            return original(self, _shown(message) if patches.active else message)

        return msg

    return make


def _shown(message: Any) -> Any:
    try:
        if noted.is_noted(message):
            return message
        ruled = _ruling()
        if ruled is None or _only_counts(ruled):
            return message
        if isinstance(message, bytes | bytearray):
            text = bytes(message).decode("utf-8", "replace")
            return str(ruled.judge.message(text)[0]).encode()
        return str(ruled.judge.message(message)[0])
    except Exception:  # noqa: BLE001 - fails closed
        tally.failed("logs")
        return GUARD_ERROR.encode() if isinstance(message, bytes | bytearray) else GUARD_ERROR


def _interpolating(patches: Patches) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have the arguments of an event judged before they disappear into its text."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _maybe_interpolate(event: Any, args: tuple[Any, ...]) -> Any:
            ruled = _ruling() if args and patches.active else None
            if ruled is None or not ruled.enforce:
                return original(event, args)
            try:
                given = args[0] if len(args) == 1 and isinstance(args[0], dict) else args
                text, shown = ruled.judge.message(event, given)
                return noted.note(text % shown)
            except Exception:  # noqa: BLE001 - the values do not fit, or the guard broke
                return noted.note(GUARD_ERROR)

        return _maybe_interpolate

    return make


def _formatting(patches: Patches) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have the processors of `ProcessorFormatter` judged like those of a bound logger."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def format(self: Any, record: Any) -> Any:  # noqa: A001 - logging's name
            ruled = _ruling() if patches.active else None
            if ruled is None or not ruled.enforce:
                return original(self, record)
            record = logs.guard(record)
            judged = Event(ruled.judge, formatted.texts_of(record))
            guarded = copy.copy(self)
            guarded.processors = _chain(judged, self.processors)
            guarded.foreign_pre_chain = _chain(judged, self.foreign_pre_chain or ())
            text = original(guarded, record)
            return noted.note(text) if formatters.shows_message(self) else text

        return format

    return make


def _chain(judged: Event, processors: Any) -> list[Any]:
    return [partial(_foreign_step, judged, each) for each in processors]


def _foreign_step(judged: Event, processor: Any, logger: Any, name: str, event: Any) -> Any:
    judged.begin(event)
    return _step(judged, processor, logger, name, event)


def _ruling() -> Ruling | None:
    """Return how what is logged now is to be shown; never raises, whatever is broken."""
    try:
        return ruling(_caller())
    except Exception:  # noqa: BLE001 - fails closed
        tally.failed("logs")
        return Ruling(Failed(), enforce=True)


def _caller() -> FrameType | None:
    """Return the frame that logs; a coroutine's own, if it has another thread log for it."""
    contextvars = sys.modules["structlog.contextvars"]
    awaiting: FrameType | None = contextvars._ASYNC_CALLING_STACK.get(None)  # noqa: SLF001 - where structlog notes it
    return logs.caller() if awaiting is None else awaiting
