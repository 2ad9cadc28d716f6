"""Match mode: records shown whole but for what they share with content in flight."""

from __future__ import annotations

import logging
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.redaction import redact
from zeroret.guards import exceptions, formats, records, tracebacks
from zeroret.guards.values import NUMBER_LIMIT, NUMBERS, Values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroret.content.flight import Flight

_TEXT_KEYS: Final = ("name", "levelname", "threadName", "processName", "taskName")
_PLACE_KEYS: Final = ("pathname", "filename", "module", "funcName")
_SHORTEST_KEPT: Final = 8


class Matcher:
    """Takes what a record shares with the live flights out of it.

    Args:
        own: The exchange the record belongs to; None if nothing says, then every flight counts.
        flights: All live flights.
    """

    __slots__ = ("_flights", "_own", "keep", "redacted")

    def __init__(self, own: Flight | None, flights: Sequence[Flight]) -> None:
        self._own = own
        self._flights = flights
        self.keep: frozenset[str] = frozenset()
        """Literal text of the program's own constants."""
        self.redacted = 0
        """How many texts were changed."""

    def text(self, text: str) -> str:
        """Return *text* without what it shares."""
        clean = redact(text, self._own, self._flights, background=self._own is None, keep=self.keep)
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
    flights: Sequence[Flight],
    frame: FrameType | None,
) -> tuple[records.GuardedRecord, bool]:
    """Return *record* without what it shares with *flights*, and whether it shared anything."""
    matcher = Matcher(own, flights)
    given = record.__dict__
    attributes = dict(given)
    for key in ("message", "asctime"):
        attributes.pop(key, None)
    message = given.get("msg")
    text = message if type(message) is str else str(message)
    if isinstance(message, BaseException):
        text = str(Values(None, None, "").mark(message))
    format_ = records.constant(text, frame) if type(message) is str else None
    if format_ is not None:
        matcher.keep = frozenset(each for each in format_.pieces if len(each) >= _SHORTEST_KEPT)
    whole, args = _rendered(text, given.get("args"), matcher)
    attributes["msg"] = text if format_ is not None else matcher.text(text)
    attributes["args"] = args
    _match_names(attributes, given, matcher, frame)
    _match_trouble(attributes, record, matcher, frame)
    for key, value in given.items():
        if key not in records.STANDARD and key in attributes:
            _match_extra(attributes, key, value, matcher)
    return records.guarded(attributes, whole), bool(matcher.redacted)


def _rendered(text: str, args: Any, matcher: Matcher) -> tuple[str, Any]:
    """Return the message verified as a whole, and the arguments one by one, arity kept."""
    shown: Any = args
    texts: set[int] = set()
    format_ = formats.parse(text)
    if isinstance(args, dict):
        shown = {_key(key, matcher): matcher.value(value) for key, value in args.items()}
        changed = {key for key, value in args.items() if shown.get(key) is not value}
        texts = {i for i, each in enumerate(format_.conversions) if each.key in changed}
    elif type(args) is tuple:
        shown = tuple(matcher.value(value) for value in args)
        taking = [i for i, each in enumerate(format_.conversions) for _ in range(each.stars + 1)]
        texts = {
            taking[i]
            for i, value in enumerate(args)
            if i < len(taking) and shown[i] is not value and shown[i] != value
        }
    elif args is not None:
        shown = (matcher.value(args),)
    whole = text
    if shown:
        try:
            whole = formats.as_text(text, format_, texts) % shown
        except Exception:  # noqa: BLE001 - a message that cannot be rendered is shown as it stands
            whole = text
    return matcher.text(whole), shown


def _key(key: object, matcher: Matcher) -> object:
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
    attributes[key] = matcher.value(value)
