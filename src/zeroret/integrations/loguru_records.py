"""loguru's records: what they show, and how a message takes its arguments."""

from __future__ import annotations

import sys
from string import Formatter
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import (
    extras,
    formatted,
    formatters,
    names,
    noted,
    records,
    rulings,
    source,
    tally,
)
from zeroret.guards.classes import held_base
from zeroret.guards.names import WITHHELD
from zeroret.guards.records import GUARD_ERROR
from zeroret.guards.rulings import Strict
from zeroret.guards.values import NUMBERS, Values

if TYPE_CHECKING:
    from types import FrameType

    from zeroret.guards.rulings import Failed, Matching

_LEVELS: Final = frozenset(
    {"TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL", "NOTSET"}
)
_LONGEST_ICON: Final = 4
_KNOWN: Final = frozenset(
    {
        *("elapsed", "exception", "extra", "file", "function", "level", "line", "message"),
        *("module", "name", "process", "thread", "time"),
    }
)
_PARTS: Final = {
    "file": ("name", "path"),
    "level": ("name", "no", "icon"),
    "process": ("id", "name"),
    "thread": ("id", "name"),
}
FORMATTER: Final = Formatter()
"""Takes formats apart."""


class Judged(dict[Any, Any]):
    """A mapping of judged values: what filters, formats and sinks put into it is held to the rules.

    They may make texts of what the record says and of their own words.
    """

    def __init__(self, values: dict[Any, Any], record: dict[Any, Any] | None = None) -> None:
        super().__init__(values)
        self._record = self if record is None else record

    def __setitem__(self, key: Any, value: Any) -> None:
        self._put({key: value})

    def __ior__(self, values: Any) -> Any:  # type: ignore[misc] # what it adds, as `update` does
        self._put(dict(values))
        return self

    def update(self, *values: Any, **more: Any) -> None:
        """Put several values in."""
        self._put(dict(*values, **more))

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return what stands under *key*, *default* put there if nothing does."""
        if key not in self:
            self._put({key: default})
        return self.get(key)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def _put(self, values: dict[Any, Any]) -> None:
        phrases = formatters.spelt_in(sys._getframe(2))  # noqa: SLF001 - the documented way to a frame
        known = formatted.Known(texts_of(self._record), phrases, numbers=0)
        for key, value in values.items():
            if key in self or extras.is_programs(key, None) or known.hold(str(key)) == key:
                text = type(value) is str
                shown = known.hold(value) if text else Values(None, None, "").show(value)
                super().__setitem__(key, shown)


class JudgedRecord(Judged):
    """A record that was judged; handlers pass it on as it is."""


class Message(str):
    """A message that is shown as it is; loguru's formatting leaves it alone.

    Args:
        text: What it says.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return str.__str__(self)

    def format(self, *_: Any, **__: Any) -> str:
        """Return the text, which is no format."""
        return str.__str__(self)


class Constant(Message):
    """A message of the program's source, which judges what is put into it."""

    __slots__ = ("_judge", "_texts")

    _judge: Strict
    _texts: set[str]

    @classmethod
    def of(cls, text: str, judge: Strict, texts: set[str]) -> Constant:
        """Return *text* as a format whose renderings are added to *texts*."""
        made = cls(text)
        made._judge, made._texts = judge, texts
        return made

    def format(self, *args: Any, **kwargs: Any) -> str:
        """Return the text with its values in it, each judged; raises as `str.format` does."""
        if "record" in kwargs:
            kwargs["record"] = judged_record(kwargs["record"], self._judge, self._texts)
        try:
            text = rendered(str.__str__(self), args, kwargs, self._judge)
        except (KeyError, IndexError, AttributeError):
            raise
        except Exception:  # noqa: BLE001 - fails closed: whatever broke, the message is not shown
            tally.failed("logs")
            text = GUARD_ERROR
        self._texts.add(text)
        return text


def rendered(text: str, args: tuple[Any, ...], kwargs: dict[str, Any], judge: Strict) -> str:
    """Return the format *text* with its fields judged.

    Raises:
        KeyError, IndexError, AttributeError: a field names what is not there, as for `str.format`.
    """
    parts: list[str] = []
    number = 0
    for literal, field, spec, conversion in FORMATTER.parse(text):
        parts.append(literal)
        if field is None:
            continue
        if not field or field[0] in ".[":
            field, number = f"{number}{field}", number + 1  # noqa: PLW2901 - fields are numbered in order
        value, first = FORMATTER.get_field(field, args, kwargs)
        shown = value if first == "record" else judge.value(value)
        parts.append(_formatted(shown, spec or "", conversion))
    return "".join(parts)


def _formatted(shown: object, spec: str, conversion: str | None) -> str:
    if conversion in ("r", "a") and type(shown) in NUMBERS:
        shown = repr(shown)
    if not isinstance(shown, str) and type(shown) not in NUMBERS:
        return str(shown)  # a part of a judged record
    try:
        # A nested field would let a value say how others look.
        return format(shown, "" if "{" in spec else spec)
    except ValueError:
        return str(shown)


def judged_record(
    record: dict[str, Any], judge: Strict | Matching | Failed, texts: set[str]
) -> JudgedRecord:
    """Return *record* as it may be shown, judged once for all handlers.

    Args:
        record: What loguru made, and the program's patchers changed.
        judge: Decides about values and keys.
        texts: Messages that were judged when they were made.
    """
    if type(record) is JudgedRecord:
        return record
    shown = {key: value for key, value in record.items() if key in _KNOWN}
    message = record.get("message")
    if not (type(message) is str and (message in texts or noted.is_noted(message))):
        shown["message"] = str(judge.message(message)[0])
    extra = record.get("extra")
    shown["extra"] = _extra(extra, judge) if isinstance(extra, dict) else {}
    shown["exception"] = _exception(record.get("exception"), judge)
    shown |= _extra({key: record[key] for key in record.keys() - _KNOWN}, judge)
    if isinstance(judge, Strict):
        _add_names(shown, record, judge.frame)
    else:
        _match_names(shown, judge)
    judged = JudgedRecord(shown)
    if judge.strict:
        dict.__setitem__(judged, "extra", Judged(shown["extra"], judged))
    return judged


def failed(record: dict[str, Any]) -> JudgedRecord:
    """Return what is shown of a record that could not be judged: when, and how severe."""
    tally.count("logs", "failed")
    level, file = record["level"], record["file"]
    number = level.no if type(level.no) is int else 0
    return JudgedRecord(
        {
            "elapsed": record["elapsed"],
            "exception": None,
            "extra": {},
            "file": type(file)(WITHHELD, WITHHELD),
            "function": WITHHELD,
            "level": type(level)(names.level(None, number), number, " "),
            "line": 0,
            "message": GUARD_ERROR,
            "module": WITHHELD,
            "name": WITHHELD,
            "process": type(record["process"])(0, WITHHELD),
            "thread": type(record["thread"])(0, WITHHELD),
            "time": record["time"],
        }
    )


def texts_of(record: dict[Any, Any]) -> set[str]:
    """Return every text that a judged record says."""
    found: set[str] = set()
    for key in _KNOWN:
        value = record.get(key)
        formatted.collect(value, found, 4)
        for name in _PARTS.get(key, ()):
            formatted.collect(getattr(value, name, None), found, 1)
    exception = record.get("exception")
    if exception is not None and exception.value is not None:
        found |= formatted.lines_of(exception.value)
    return found


def _extra(extra: dict[Any, Any], judge: Strict | Matching | Failed) -> dict[Any, Any]:
    shown: dict[Any, Any] = {}
    for key, value in extra.items():
        if judge.key(key):
            shown[key] = judge.value(value)
        else:
            judge.drop()
    return shown


def _exception(exception: Any, judge: Strict | Matching | Failed) -> Any:
    error = None if exception is None else exception.value
    if not isinstance(error, BaseException):
        return None
    judge.drop()
    stand_in = rulings.content_free(error, exception.traceback)[1]
    return type(exception)(held_base(type(error)), stand_in, stand_in.__traceback__)


def _add_names(shown: dict[str, Any], record: dict[str, Any], frame: FrameType | None) -> None:
    """Add the names of place, level, process and thread, ordinary ones alone."""
    level, process, thread = record["level"], record["process"], record["thread"]
    name = level.name
    if not (name in _LEVELS or name in names.levels or _is_spelt(name)):
        name = names.level(None, level.no)
    icon = level.icon if name == level.name and len(level.icon) <= _LONGEST_ICON else " "
    shown["level"] = type(level)(name, level.no, icon)
    shown["process"] = type(process)(process.id, names.process(process.name))
    shown["thread"] = type(thread)(thread.id, names.thread(thread.name))
    code = _code_of(record, frame)
    if code is None:
        file, module = type(record["file"])(WITHHELD, WITHHELD), WITHHELD
        shown.update(file=file, module=module, function=WITHHELD, name=WITHHELD)
    elif record["name"] != code[1]:
        shown["name"] = WITHHELD


def _match_names(shown: dict[str, Any], judge: Matching | Failed) -> None:
    """Take what names share with content in flight out of them."""
    for key in ("function", "module", "name"):
        shown[key] = judge.value(shown[key])
    level, file = shown["level"], shown["file"]
    shown["level"] = type(level)(judge.value(level.name), level.no, judge.value(level.icon))
    shown["file"] = type(file)(judge.value(file.name), judge.value(file.path))
    for key in ("process", "thread"):
        part = shown[key]
        shown[key] = type(part)(part.id, judge.value(part.name))


def _is_spelt(name: object) -> bool:
    return type(name) is str and source.is_programs_literal(name)


def _code_of(record: dict[str, Any], frame: FrameType | None) -> tuple[Any, object] | None:
    """Return the code of the function that logs, and its module's name; None if nobody knows."""
    depth = 0
    while frame is not None and depth < source.DEEPEST:
        code = frame.f_code
        if code.co_filename == record["file"].path and code.co_name == record["function"]:
            if not source.is_source(code, frame.f_globals):
                return None
            place = names.place(code)
            same = place[1] == record["file"].name and place[2] == record["module"]
            return (code, frame.f_globals["__name__"]) if same else None
        frame, depth = frame.f_back, depth + 1
    return None


def held(text: str, record: JudgedRecord, phrases: frozenset[str]) -> str:
    """Return what may be shown of *text*, which a program's function made of *record*."""
    return formatted.Known(texts_of(record), phrases).hold(text)


def is_own_literal(message: object, module: Any) -> bool:
    """Tell whether *message* is a literal in the source of *module*, such as that of `catch`."""
    known = source.source_of(vars(module))
    return type(message) is str and known is not None and message in known.constants


def message_of(
    message: Any, judge: Strict, texts: set[str], *, takes: bool, own: bool
) -> Message | str:
    """Return *message* as loguru may go on with it.

    Args:
        message: What was logged.
        judge: Decides about it.
        texts: Where its renderings are noted.
        takes: Whether arguments will be put into it.
        own: Whether it is a literal of loguru's own.
    """
    if type(message) is str and (own or records.constant(message, judge.frame) is not None):
        if takes:
            return Constant.of(message, judge, texts)
        texts.add(message)
        return message
    said = str(judge.message(message)[0])
    texts.add(said)
    return Message(said)
