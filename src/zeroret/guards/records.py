"""Guarded records: log records that show nothing but what strict logging may show."""

from __future__ import annotations

import logging
import sys
from operator import itemgetter
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import (
    arguments,
    exceptions,
    extras,
    formats,
    names,
    noted,
    seals,
    source,
    templates,
    tracebacks,
)
from zeroret.guards.values import MOST_VALUES, NUMBER_LIMIT, NUMBERS, Values

if TYPE_CHECKING:
    from zeroret.content.flight import Flight

GUARD_ERROR: Final = "[withheld: guard error]"
"""What a record says whose guarding failed, or that a guard itself caused."""

STANDARD: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None)))
"""The attributes every record of this Python has."""

_RENDERED: Final = frozenset({"message", "asctime"})
_HAS_TASK: Final = "taskName" in STANDARD
_ALL: Final = itemgetter(
    *("msg", "args", "exc_info", "exc_text", "stack_info"),
    *("pathname", "filename", "module", "funcName"),
    *("name", "levelname", "threadName", "processName"),
    *("levelno", "lineno", "thread", "process", "created", "msecs", "relativeCreated"),
)
_CACHED: Final = 4096

_known: dict[int, tuple[str, bool, formats.Format]] = {}
"""Constants proved to be source, by id: the string itself, whether it is plain, its format."""


class GuardedRecord(logging.LogRecord):
    """A record whose every attribute was guarded; it passes all further guards as it is.

    That holds until somebody writes on its standard attributes: then it is an ordinary record
    again. What is set on it besides is held to the closed value rules; rendering never raises.
    """

    def getMessage(self) -> str:  # noqa: N802 - the name logging calls
        """Return the message with its values; if they do not fit, the message alone."""
        message = self.msg if isinstance(self.msg, str) else str(self.msg)
        if self.args:
            try:
                return message % self.args
            except Exception:  # noqa: BLE001 - rendering a guarded record never raises
                return message
        return message

    def __setattr__(self, name: str, value: object) -> None:
        if name not in STANDARD and name not in _RENDERED:
            value = Values(None, None, "").show(value)
        object.__setattr__(self, name, value)
        if sys._getframe(1).f_code is seals.PREPARE:  # noqa: SLF001 - the documented way to the caller's frame
            seals.seal(self)

    def __copy__(self) -> GuardedRecord:
        """Return a copy that is as good as this record is."""
        copy = GuardedRecord.__new__(GuardedRecord)
        copy.__dict__.update(self.__dict__)
        if seals.is_sealed(self):
            seals.seal(copy)
        return copy


def guarded(attributes: dict[str, Any]) -> GuardedRecord:
    """Return a record of *attributes*, all of which may be shown."""
    record = GuardedRecord.__new__(GuardedRecord)
    record.__dict__.update(attributes)
    seals.seal(record)
    return record


def copied(record: logging.LogRecord) -> GuardedRecord:
    """Return a clean record as a guarded one, for handlers whose listener runs elsewhere."""
    return guarded(record.__dict__)


def failed(record: logging.LogRecord) -> GuardedRecord:
    """Return what is shown of *record* when guarding it failed: numbers, and a fixed text."""
    empty = logging.LogRecord("zeroret", 0, "", 0, GUARD_ERROR, (), None)
    try:
        number = record.levelno
        if type(number) is int:
            empty.levelno, empty.levelname = number, names.level(None, number)
    except Exception:  # noqa: BLE001 - the fixed text is worth more than its level
        empty.levelno, empty.levelname = logging.ERROR, "ERROR"
    return guarded(empty.__dict__)


def is_clean(record: logging.LogRecord) -> bool:
    """Tell whether *record* shows a known constant and few numbers, and nothing else.

    The common case, on the reply's path: everything here is a look-up.
    """
    if type(record) is not logging.LogRecord:
        return False
    attributes = record.__dict__
    if len(attributes) != len(STANDARD):
        # A handler before this one rendered it; formatters do so again.
        attributes.pop("message", None)
        attributes.pop("asctime", None)
        if len(attributes) != len(STANDARD):
            return False
    try:
        values = _ALL(attributes)
    except KeyError:
        return False
    message, args, error, error_text, stack = values[:5]
    known = _known.get(id(message))
    if (
        known is None
        or known[0] is not message
        or not known[1]
        or error is not None
        or error_text is not None
        or stack is not None
        or (args and not _are_numbers(args))
        or (_HAS_TASK and not _is_task(attributes["taskName"]))
    ):
        return False
    return _has_ordinary_names(values)


def has_ordinary_names(record: logging.LogRecord) -> bool:
    """Tell whether logger, level, thread, process and place of *record* are known to be ordinary.

    Everything here is a look-up: False says nothing.
    """
    try:
        return _has_ordinary_names(_ALL(record.__dict__)) and (
            not _HAS_TASK or _is_task(record.__dict__["taskName"])
        )
    except KeyError:
        return False


def _has_ordinary_names(values: tuple[Any, ...]) -> bool:
    path, file, module, function = values[5:9]
    name, level, thread, process, levelno, line, ident, pid, created, msecs, since = values[9:]
    return (
        type(name) is str is type(level) is type(thread) is type(process)
        and type(path) is str is type(file) is type(module) is type(function)
        and type(levelno) is int is type(line) is type(ident) is type(pid)
        and type(created) is float is type(msecs) is type(since)
        # One look at four numbers: a set bit too high, or a sign, of any of them shows.
        and 0 <= (levelno | line | ident | pid) < NUMBER_LIMIT
        and name in names.loggers
        and level in names.levels
        and (path, file, module, function) in names.places
        and thread in names.threads
        and process in names.processes
    )


def _is_task(name: object) -> bool:
    return name is None or (type(name) is str and names.is_task(name))


def _are_numbers(args: object) -> bool:
    if type(args) is not tuple or len(args) > MOST_VALUES:
        return False
    for value in args:
        kind = type(value)
        if kind is int:
            if not -NUMBER_LIMIT < value < NUMBER_LIMIT:
                return False
        elif kind not in NUMBERS:
            return False
    return True


def strict(
    record: logging.LogRecord,
    flight: Flight,
    frame: FrameType | None,
    handler: logging.Handler | None,
) -> tuple[GuardedRecord, bool]:
    """Return *record* as strict logging shows it, and whether anything was withheld.

    Args:
        record: What was logged; it is left as it is.
        flight: The exchange it belongs to.
        frame: The frame that logged it, None if that is gone.
        handler: Who is going to emit it; its format's field names may stand on the record.
    """
    given = record.__dict__
    values = Values(flight, frame, source.place(frame))
    attributes = standard(given, frame)
    said, args = message(given.get("msg"), given.get("args"), values, frame)
    attributes["msg"], attributes["args"] = said, args
    _add_trouble(attributes, given, frame)
    for key, value in given.items():
        if key not in STANDARD and key not in _RENDERED:
            if extras.may_be_named(key, record, frame, handler):
                attributes[key] = values.show(value)
            else:
                values.withheld += 1
    trouble = attributes["exc_info"] is not None
    return guarded(attributes), bool(values.withheld) or trouble


def standard(given: dict[str, Any], frame: FrameType | None) -> dict[str, Any]:
    """Return the standard attributes without the message: numbers, and ordinary names."""
    attributes: dict[str, Any] = dict.fromkeys(STANDARD)
    for key in ("levelno", "created", "msecs", "relativeCreated", "thread", "process"):
        value = given.get(key)
        attributes[key] = value if _is_small(value) else 0
    attributes["name"] = names.logger(given.get("name"), frame)
    attributes["levelname"] = names.level(given.get("levelname"), given.get("levelno"))
    attributes["threadName"] = names.thread(given.get("threadName"))
    attributes["processName"] = names.process(given.get("processName"))
    if _HAS_TASK:
        attributes["taskName"] = names.task(given.get("taskName"))
    _add_place(attributes, given, frame)
    return attributes


def _is_small(value: object) -> bool:
    kind = type(value)
    return kind is float or (kind is int and 0 <= value < NUMBER_LIMIT)  # type: ignore[operator] # exactly int


def _add_place(attributes: dict[str, Any], given: dict[str, Any], frame: FrameType | None) -> None:
    """Add where the record was made, if that is a function of an imported module's source."""
    path, function, line = given.get("pathname"), given.get("funcName"), given.get("lineno")
    depth = 0
    while frame is not None and depth < source.DEEPEST:
        code = frame.f_code
        if code.co_filename == path and code.co_name == function:
            break
        frame, depth = frame.f_back, depth + 1
    if frame is None or not source.is_source(frame.f_code, frame.f_globals):
        attributes.update(
            dict.fromkeys(("pathname", "filename", "module", "funcName"), "[withheld]")
        )
        attributes["lineno"] = line if _is_small(line) else 0
        return
    place = names.place(frame.f_code)
    attributes.update(zip(("pathname", "filename", "module", "funcName"), place, strict=True))
    attributes["lineno"] = line if _is_small(line) else frame.f_lineno


def _add_trouble(
    attributes: dict[str, Any], given: dict[str, Any], frame: FrameType | None
) -> None:
    """Add exception and stack as content-free renderings of the real ones; the texts never."""
    info = given.get("exc_info")
    if type(info) is tuple and len(info) == 3 and isinstance(info[1], BaseException):  # noqa: PLR2004 - (type, value, traceback)
        trace = info[2] if isinstance(info[2], TracebackType) else None
        stand_in = exceptions.substitute(info[1], trace)
        attributes["exc_info"] = (type(stand_in), stand_in, stand_in.__traceback__)
        attributes["exc_text"] = exceptions.describe(info[1], trace)
    elif given.get("exc_text") is not None:
        attributes["exc_text"] = "[withheld]"
    if given.get("stack_info") is not None:
        attributes["stack_info"] = tracebacks.stack_text(frame)


def constant(message: str, frame: FrameType | None) -> formats.Format | None:
    """Return the format of *message* if it is a constant of source code, else None.

    A constant is remembered by identity, so that it is known at once the next time.
    """
    known = _known.get(id(message))
    if known is not None and known[0] is message:
        return known[2]
    if frame is None or not (
        source.is_constant(message, frame) or source.is_global_constant(message, frame)
    ):
        return None
    format_ = formats.parse(message)
    if len(_known) >= _CACHED:
        _known.clear()
    _known[id(message)] = (message, format_.plain, format_)
    return format_


def message(text: object, args: object, values: Values, frame: FrameType | None) -> tuple[Any, Any]:
    """Return a message and its arguments as they may be shown, arity and keys kept.

    Args:
        text: The message; one that a guard noted is shown as it is.
        args: What it formats, as a record holds it.
        values: Decides about the values, and counts what it withholds.
        frame: The frame that logs.
    """
    if noted.is_noted(text):
        return text, arguments.shown(args, None, values)[0]
    if type(text) is not str:
        return str(values.show(text)), arguments.shown(args, None, values)[0]
    format_ = constant(text, frame)
    shown = text
    if format_ is None:
        found = templates.template_of(text, frame)
        if found is not None:
            shown = found.text
            values.withheld += 1
        else:
            closed = values.text(text)
            shown = values.mark(text) if closed is None else str(closed)
        format_ = formats.parse(shown) if found is not None and args else None
    shown_args, texts = arguments.shown(args, format_, values)
    if format_ is not None and texts:
        shown = formats.as_text(shown, format_, texts)
    return shown, shown_args
