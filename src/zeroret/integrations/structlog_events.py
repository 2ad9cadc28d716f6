"""structlog's events: what they show on their way from one processor to the next.

An event is judged before the first processor, so that none of them sees content or sends it
anywhere; what a processor of the program's own adds is judged before the next one; and so is what
the last one makes of it. structlog's own processors derive all they add from the event, the clock
and the place that logs.
"""

from __future__ import annotations

import logging
import os
import sys
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import (
    extras,
    formatted,
    formatters,
    names,
    noted,
    rulings,
    source,
    tracebacks,
)

if TYPE_CHECKING:
    from types import FrameType

    from zeroret.guards.rulings import Failed, Matching, Strict

MOST: Final = 64
"""Entries of the largest event that is shown."""

_AS_THEY_ARE: Final[dict[str, type]] = {
    "_record": logging.LogRecord,
    "_from_structlog": bool,
    "stack_info": bool,
}
_BRINGING: Final = frozenset({"merge_contextvars", "merge_threadlocal", "ExtraAdder"})
_RENDERERS: Final = frozenset(
    {"ConsoleRenderer", "JSONRenderer", "KeyValueRenderer", "LogfmtRenderer"}
)
_LEVELS: Final = frozenset(
    {"debug", "info", "warning", "warn", "error", "critical", "exception", "fatal", "msg", "log"}
)
_DEEPEST: Final = 4
_TRIPLE: Final = 3


class Event:
    """One event on its way, and the texts it is known to say.

    Args:
        judge: Decides about keys and values.
        texts: Texts that are known to be good already, as those of a guarded record.
    """

    __slots__ = ("_known", "_said", "judge")

    def __init__(self, judge: Strict | Matching | Failed, texts: set[str] | None = None) -> None:
        self.judge = judge
        self._said: set[str] = set() if texts is None else texts
        self._known: dict[str, object] = {}

    def admit(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return *event* as the first processor may see it."""
        shown: dict[str, Any] = {}
        for key, value in list(event.items())[:MOST]:
            if key in ("event", "positional_args"):
                continue
            if key == "exc_info":
                shown[key] = self._trouble(value)
            elif key in _AS_THEY_ARE and isinstance(value, _AS_THEY_ARE[key]):
                shown[key] = value
            elif self.judge.key(key):
                shown[key] = self._value(value)
            else:
                self.judge.drop()
        if "event" in event:
            args = event.get("positional_args", ())
            shown["event"], args = self.judge.message(event["event"], args)
            if "positional_args" in event:
                shown["positional_args"] = args
                self._say(_rendered(shown["event"], args))
        self._known = dict(shown)
        self._say(shown)
        return shown

    def begin(self, event: Any) -> None:
        """Take all of the first *event* as judged: it was made of a guarded record."""
        if not self._known and isinstance(event, dict):
            self._known = dict(event)
            self._say(event)

    def review(self, event: dict[str, Any], processor: object) -> dict[str, Any]:
        """Return *event* with what *processor* added or changed judged, in place."""
        trusted = is_structlogs(processor) and _name_of(processor) not in _BRINGING
        for key, value in list(event.items()):
            if key in self._known and self._known[key] is value:
                continue
            if trusted:
                shown = self._from_structlog(key, value, processor)
            elif self.judge.key(key) or _spells(processor, key):
                shown = self._from_program(key, value, processor)
            else:
                del event[key]
                self.judge.drop()
                continue
            event[key] = self._known[key] = shown
            self._say({key: shown})
            extras.remember(key)
        return event

    def finish(self, text: Any, processor: object) -> Any:
        """Return the rendering that *processor* made of the event, as it may be shown."""
        if isinstance(text, bytes | bytearray):
            said = bytes(text).decode("utf-8", "replace")
            shown = self.finish(said, processor)
            return noted.note(bytes(text) if shown == said else shown.encode())
        if not isinstance(text, str):
            return text
        if not self.judge.strict:
            return self.judge.value(text)
        if not (is_structlogs(processor) and _name_of(processor) in _RENDERERS):
            texts = self._said | _LEVELS
            text = formatted.Known(texts, formatters.spelt_by(processor), numbers=0).hold(text)
        return noted.note(text)

    def _value(self, value: object) -> Any:
        return self.judge.value(value)

    def _trouble(self, value: Any) -> Any:
        """Return ``exc_info`` with a stand-in for its exception."""
        if isinstance(value, BaseException):
            value = (type(value), value, value.__traceback__)
        elif value and not isinstance(value, tuple):
            value = sys.exc_info()
        if not isinstance(value, tuple) or len(value) != _TRIPLE or value[1] is None:
            return None
        self.judge.drop()
        shown = rulings.content_free(value[1], value[2])
        self._said |= formatted.lines_of(shown[1])
        return shown

    def _from_structlog(self, key: str, value: Any, processor: object) -> Any:
        """Return what structlog's own *processor* put under *key*: names are all it can misuse."""
        if key == "exc_info":
            return self._trouble(value)
        if type(value) is not str:
            return value
        name, frame = _name_of(processor), self.judge.frame
        if name == "add_logger_name":
            return names.logger(value, frame)
        if name == "StackInfoRenderer":
            return tracebacks.stack_text(frame)
        if name == "CallsiteParameterAdder":
            ordinary = value in (*_place(frame), "n/a") or names.thread(value) == value
            return value if ordinary or names.process(value) == value else names.WITHHELD
        return value

    def _from_program(self, key: str, value: Any, processor: object) -> Any:
        """Return what a processor of the program's own put under *key*, as it may be shown."""
        if key == "exc_info":
            return self._trouble(value)
        if key in _AS_THEY_ARE and isinstance(value, _AS_THEY_ARE[key]):
            return value
        if type(value) is not str or not self.judge.strict:
            return self._value(value)
        if value in self._said:
            return value
        shown = self._value(value)
        if shown is value or _name_of(processor) in _BRINGING:
            return shown
        return formatted.Known(self._said, formatters.spelt_by(processor), numbers=0).hold(value)

    def _say(self, value: object) -> None:
        formatted.collect(value, self._said, _DEEPEST)


def is_structlogs(processor: object) -> bool:
    """Tell whether structlog's own code is what *processor* runs."""
    code = _code_of(processor)
    module = sys.modules.get("structlog")
    folder = os.path.dirname(str(getattr(module, "__file__", None) or "")) + os.sep  # noqa: PTH120 - a prefix of co_filename, as text
    return code is not None and len(folder) > 1 and code.co_filename.startswith(folder)


def _spells(processor: object, key: object) -> bool:
    """Tell whether *processor* names *key* in its source or its settings."""
    return type(key) is str and key.casefold() in formatters.spelt_by(processor)


def _name_of(processor: object) -> str:
    name = getattr(processor, "__name__", None)
    return name if type(name) is str else type(processor).__name__


def _code_of(processor: object) -> Any:
    if isinstance(processor, FunctionType | MethodType):
        return processor.__code__
    call = getattr(type(processor), "__call__", None)  # noqa: B004 - whose code it is, not whether there is some
    return call.__code__ if isinstance(call, FunctionType) else None


def _place(frame: FrameType | None) -> tuple[str, ...]:
    """Return what may be said of the place that logs: its file, module and function."""
    if frame is None or not source.is_source(frame.f_code, frame.f_globals):
        return ()
    return (*names.place(frame.f_code), frame.f_code.co_qualname, frame.f_globals["__name__"])


def _rendered(message: object, args: Any) -> str:
    if not isinstance(message, str) or not args:
        return ""
    try:
        return str(message) % (args[0] if len(args) == 1 and isinstance(args[0], dict) else args)
    except Exception:  # noqa: BLE001 - the processor that formats says so itself
        return ""
