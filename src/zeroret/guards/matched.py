"""Match mode: records shown whole but for what they share with content in flight."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from zeroret.content.redaction import redact
from zeroret.guards import exceptions, formats, noted, records, templates, tracebacks
from zeroret.guards.values import NUMBER_LIMIT, NUMBERS, Values

if TYPE_CHECKING:
    import logging
    from types import FrameType

    from zeroret.content.flight import Flight
    from zeroret.content.matching import Others

_TEXT_KEYS: Final = ("name", "levelname", "threadName", "processName", "taskName")
_PLACE_KEYS: Final = ("pathname", "filename", "module", "funcName")
_SHORTEST_KEPT: Final = 8
_DEEPEST: Final = 4
_PLAIN: Final = frozenset({str, bytes, date, datetime, time, timedelta, Decimal, UUID})


class Matcher:
    """Takes what a record shares with the live flights out of it.

    Args:
        own: The exchange the record belongs to; None if nothing says, then each of *others* may be.
        others: The exchanges that are live.
    """

    __slots__ = ("_others", "_own", "keep", "redacted")

    def __init__(self, own: Flight | None, others: Others) -> None:
        self._own = own
        self._others = others
        self.keep: frozenset[str] = frozenset()
        """Literal text of the program's own constants."""
        self.redacted = 0
        """How many texts were changed."""

    def peek(self, text: str) -> str:
        """Return *text* without what it shares, counting nothing."""
        background = self._own is None
        return redact(text, self._own, self._others, background=background, keep=self.keep)

    def text(self, text: str) -> str:
        """Return *text* without what it shares."""
        clean = self.peek(text)
        if clean != text:
            self.redacted += 1
        return clean

    def value(self, value: object) -> object:
        """Return *value* itself if neither its str nor its repr shares content, else a text."""
        kind = type(value)
        if kind in NUMBERS and (kind is not int or -NUMBER_LIMIT < value < NUMBER_LIMIT):  # type: ignore[operator] # exactly int
            return value
        if kind is str:
            return self.text(value)  # type: ignore[arg-type] # exactly str
        if isinstance(value, BaseException):
            self.redacted += 1
            return Values(None, None, "").mark(value)
        if isinstance(value, str):
            value = str.__str__(value)
            return self.text(value)
        shown = str(value)
        clean = self.text(shown)
        if clean != shown:
            return clean
        other = repr(value)
        return value if other == shown or self.text(other) == other else clean


def matched(
    record: logging.LogRecord,
    own: Flight | None,
    others: Others,
    frame: FrameType | None,
) -> tuple[records.GuardedRecord, bool]:
    """Return *record* without what it shares with *own* or *others*, and whether it shared any."""
    matcher = Matcher(own, others)
    given = record.__dict__
    attributes = dict(given)
    for key in ("message", "asctime"):
        attributes.pop(key, None)
    message = given.get("msg")
    if type(message) is dict and noted.is_noted(message):
        return _of_dict(attributes, record, matcher, frame)
    text = message if type(message) is str else _text_of(message)
    constant = records.constant(text, frame) if type(message) is str else None
    matcher.keep = kept(text, frame)
    attributes["msg"], attributes["args"] = _rendered(
        text, given.get("args"), matcher, is_constant=constant is not None
    )
    return _finished(attributes, record, matcher, frame)


def kept(text: str, frame: FrameType | None) -> frozenset[str]:
    """Return the literal text in a message that is the program's own, if it is of some length."""
    constant = records.constant(text, frame)
    if constant is not None:
        pieces = constant.pieces
    else:
        found = templates.template_of(text, frame)
        pieces = () if found is None else found.parts
    return frozenset(each for each in pieces if len(each) >= _SHORTEST_KEPT)


def _of_dict(
    attributes: dict[str, Any], record: logging.LogRecord, matcher: Matcher, frame: FrameType | None
) -> tuple[records.GuardedRecord, bool]:
    """Return a record whose message is a mapping that was matched before, structlog's for one."""
    attributes["args"] = None
    return _finished(attributes, record, matcher, frame)


def _finished(
    attributes: dict[str, Any], record: logging.LogRecord, matcher: Matcher, frame: FrameType | None
) -> tuple[records.GuardedRecord, bool]:
    given = record.__dict__
    if not records.has_ordinary_names(record):
        _match_names(attributes, given, matcher, frame)
    _match_trouble(attributes, record, matcher, frame)
    for key, value in given.items():
        if key not in records.STANDARD and key in attributes:
            _match_extra(attributes, key, value, matcher)
    return records.guarded(attributes), bool(matcher.redacted)


def _text_of(message: object) -> str:
    if isinstance(message, BaseException):
        return Values(None, None, "").mark(message)
    return str(message)


def _rendered(text: str, args: Any, matcher: Matcher, *, is_constant: bool) -> tuple[str, Any]:
    """Return message and arguments one by one, arity kept, and verified as a whole."""
    if _shows_nothing(text, args, matcher):
        return text, args
    message = text if is_constant else matcher.text(text)
    format_ = formats.parse(message)
    shown, texts = _arguments(args, format_, matcher)
    message = formats.as_text(message, format_, texts)
    whole = _whole(message, shown) or message
    if matcher.text(whole) == whole:
        return message, shown
    # What is shared spans two values, or a value and the message: no value but numbers is shown.
    shown, texts = _arguments(args, format_, _Marker())
    message = formats.as_text(message, format_, texts)
    whole = _whole(message, shown) or message
    return (message if matcher.peek(whole) == whole else "[withheld]"), shown


def _shows_nothing(text: str, args: Any, matcher: Matcher) -> bool:
    """Tell at the cost of one match whether neither message nor values share anything.

    What stands in the rendered message in full need not be matched a second time.
    """
    if args is not None and type(args) is not tuple:
        return False
    whole = _whole(text, args)
    if whole is None:
        return False
    for arg in args or ():
        kind = type(arg)
        if kind is int:
            if not -NUMBER_LIMIT < arg < NUMBER_LIMIT:
                return False
        elif kind not in NUMBERS and (kind is not str or arg not in whole):
            return False
    return matcher.peek(whole) == whole


def _whole(text: str, args: Any) -> str | None:
    """Return the message with its values in it; None if they do not fit."""
    if not args:
        return text
    try:
        whole: str = text % args
    except Exception:  # noqa: BLE001 - rendering runs the app's code, which may fail as it likes
        return None
    return whole


class _Marker:
    """Stands in for a `Matcher` that lets numbers pass and nothing else."""

    def value(self, value: object) -> object:
        if type(value) in NUMBERS:
            return value
        return Values(None, None, "").mark(value)

    def text(self, text: str) -> str:
        return Values(None, None, "").mark(text)


def _arguments(
    args: Any, format_: formats.Format, matcher: Matcher | _Marker
) -> tuple[Any, set[int]]:
    """Return the arguments as shown, and which conversions must become ``%s`` for them."""
    conversions = format_.conversions
    if isinstance(args, dict):
        named = {_key(key, matcher): matcher.value(value) for key, value in args.items()}
        changed = {key for key, value in args.items() if named.get(key) is not value}
        return named, {i for i, each in enumerate(conversions) if each.key in changed}
    if type(args) is tuple:
        shown = tuple(matcher.value(value) for value in args)
        taking = [i for i, each in enumerate(conversions) for _ in range(each.stars + 1)]
        pairs = enumerate(zip(args, shown, strict=True))
        return shown, {
            taking[i] for i, (one, other) in pairs if i < len(taking) and one is not other
        }
    return args if args is None else (matcher.value(args),), set()


def _key(key: object, matcher: Matcher | _Marker) -> object:
    return matcher.text(key) if isinstance(key, str) else matcher.value(key)


def _match_names(
    attributes: dict[str, Any], given: dict[str, Any], matcher: Matcher, frame: FrameType | None
) -> None:
    ordinary = records.standard(given, frame)
    for key in _PLACE_KEYS:
        if attributes.get(key) != ordinary[key]:
            attributes[key] = matcher.value(attributes.get(key))
    for key in _TEXT_KEYS:
        if key in attributes and attributes[key] != ordinary.get(key):
            attributes[key] = matcher.value(attributes[key])


def _match_trouble(
    attributes: dict[str, Any], record: logging.LogRecord, matcher: Matcher, frame: FrameType | None
) -> None:
    """Replace exceptions by their stand-ins: their text is content in every mode."""
    info = record.exc_info
    if isinstance(info, tuple) and isinstance(info[1], BaseException):
        stand_in = exceptions.substitute(info[1], info[2])
        attributes["exc_info"] = (type(stand_in), stand_in, stand_in.__traceback__)
        attributes["exc_text"] = exceptions.describe(info[1], info[2])
        matcher.redacted += 1
    else:
        attributes["exc_info"] = None
        if record.exc_text is not None:
            attributes["exc_text"] = matcher.text(str(record.exc_text))
    if record.stack_info is not None:
        attributes["stack_info"] = tracebacks.stack_text(frame)


def _match_extra(attributes: dict[str, Any], key: str, value: object, matcher: Matcher) -> None:
    if matcher.text(key) != key:
        del attributes[key]
        return
    shown = matcher.value(value)
    # Handlers ask other objects for what their texts do not say: a request for its body.
    attributes[key] = shown if _is_plain(shown, _DEEPEST) else matcher.text(str(shown))


def _is_plain(value: object, depth: int) -> bool:
    """Tell whether *value* says all it holds in its texts."""
    kind = type(value)
    if kind in NUMBERS or kind in _PLAIN:
        return True
    if depth and kind in (list, tuple, set, frozenset):
        return all(_is_plain(each, depth - 1) for each in value)  # type: ignore[attr-defined] # one of them
    if depth and kind is dict:
        items = value.items()  # type: ignore[attr-defined] # exactly a dict
        return all(_is_plain(k, 0) and _is_plain(v, depth - 1) for k, v in items)
    return isinstance(value, PurePath)
