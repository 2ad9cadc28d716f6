"""Writing: one call that writes to a standard stream, and what it may show of each piece.

The rules are those of log messages. In an exchange a piece is shown if it is provably the program's
source, a number, or of a closed set; in match mode, and where no exchange is known, all but what it
shares with content in flight. A piece that is too short to share anything is matched together with
what was written before it, since answers are printed token by token.
"""

from __future__ import annotations

import sys
import threading
import time
from operator import is_
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary

from zeroret.content import matching
from zeroret.content.index import index_of
from zeroret.content.live import LIVE
from zeroret.guards import (
    exceptions,
    formatted,
    formatters,
    handlers,
    noted,
    records,
    source,
    tally,
    templates,
    violations,
)
from zeroret.guards.owner import owner_of_text
from zeroret.guards.pieces import is_known, is_literal, is_separator, lost_end
from zeroret.guards.records import GUARD_ERROR
from zeroret.guards.values import NUMBER_LIMIT, NUMBERS, Values

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from zeroret.content.index import Index
    from zeroret.guards.owner import Owner

TAIL: Final = 64
"""Characters of what was written before that the next piece is matched with."""

Given = TypeVar("Given")

_SHORTEST_KEPT: Final = 8
_TRACEBACK: Final = ("Traceback (most recent call last)", "  + Exception Group Traceback (")
_local: Final = threading.local()


class HandedDown(threading.local):
    """What a stream of the program's own was given, and writes on to another: judged already."""

    text: str | None = None

    def holds(self, text: str) -> bool:
        """Tell whether *text* is what was handed down, or a piece of it."""
        return self.text is not None and text in self.text


HANDED_DOWN: Final = HandedDown()
_looked_at: Final[dict[str, float]] = {}
_tails: Final[WeakKeyDictionary[Index, str]] = WeakKeyDictionary()
"""What was written last, by what goes with the exchange's content."""


class Writing:
    """Decides about the pieces of one call, within the call's allowance.

    Args:
        owner: Whose text it is.
        frame: The frame that writes; None if no Python code does.
    """

    __slots__ = ("_culprit", "_frame", "_place", "_values", "changed", "owner", "suspicious")

    def __init__(self, owner: Owner, frame: FrameType | None) -> None:
        self.owner = owner
        self._frame = frame
        self._culprit: FrameType | None = None
        self._place: str | None = None
        self._values = Values(owner.flight, None, "")  # constants are looked up here
        self.changed = False
        """Whether any piece was not shown as it is."""
        self.suspicious = False
        """Whether what was not shown can have been content."""

    @property
    def place(self) -> str:
        """What a marker says of it, such as `` app.py:42``."""
        if self._place is None:
            self._culprit = violations.culprit()
            self._place = source.place(self._culprit)
        return self._place

    def value(self, value: object) -> object:
        """Return what strict mode shows of *value*: itself, or a text."""
        if type(value) is str:
            return self.text(value)
        if noted.is_noted(value):
            return str.__str__(value)
        before = self._values.withheld
        shown = self._values.show(value)
        return self.mark(value) if self._values.withheld > before else shown

    def text(self, text: str) -> str:
        """Return what strict mode shows of *text*."""
        if is_separator(text) or is_known(text) or noted.is_noted(text):
            return text
        if HANDED_DOWN.holds(text):
            return text
        found = self._template(text)
        if found is None and records.constant(text, self._frame) is not None:
            return text
        found = found or templates.template_of(text, self._frame)
        texts = self._known_texts()
        if texts is not None:
            return self._held(text, texts, found)
        if found is not None and not all(map(is_separator, found.parts)):
            self.changed = True
            self._suspect(text, found.parts)
            return found.text + lost_end(text, found.text)
        closed = self._values.text(text)
        return self.mark(text) if closed is None else str(closed)

    def one(self, given: Any) -> Any:
        """Return what is shown of the one text, or the bytes, that a stream is given."""
        if isinstance(given, str):
            return self.value(given) if self.owner.strict else self.matched(str.__str__(given))
        return self.data(given) if isinstance(given, bytes) else self.mark(given)

    def data(self, data: bytes) -> bytes:
        """Return what is shown of bytes, which hold no template."""
        text = data.decode("utf-8", "surrogateescape")
        if noted.is_noted(data) or HANDED_DOWN.holds(text):
            return data
        if self.owner.strict:
            if is_separator(text) or is_literal(data, self._frame):
                return data
            self.changed = self.suspicious = True
            end = b"\n" if data.endswith(b"\n") else b""
            return f"[withheld {len(data)} bytes{self.place}]".encode() + end
        shown = self.matched(text)
        return data if shown is text else shown.encode("utf-8", "surrogateescape")

    def pieces(self, given: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return what is shown of the pieces of a line, all in one where only matching holds.

        It is *given* itself if all of it is shown.
        """
        if self.owner.strict:
            shown = tuple(map(self.value, given))
            return given if all(map(is_, shown, given)) else shown
        if len(given) > 1 and all(map(self.is_proved, given)):
            *values, sep, end = given
            self._goes_on(sep.join(map(str, values)) + end)
            return given
        line = "".join(given)
        text = self.matched(line)
        return given if text is line else (text,)

    def is_proved(self, value: object) -> bool:
        """Tell whether *value* cannot be content, so that it need not be matched."""
        if type(value) is str:
            return is_separator(value) or records.constant(value, self._frame) is not None
        return type(value) in NUMBERS and (type(value) is not int or abs(value) < NUMBER_LIMIT)

    def matched(self, text: str) -> str:
        """Return *text* without what it shares with content in flight, alone or continued."""
        if records.constant(text, self._frame) is not None or HANDED_DOWN.holds(text):
            return text
        before = self._goes_on(text)
        if is_separator(text):
            return text
        flight, others = self.owner.flight, self.owner.others
        spans = matching.shared(
            before + text, flight, others, background=flight is None, keep=self._kept(text)
        )
        return self._without(
            text, [(start - len(before), end - len(before)) for start, end in spans]
        )

    def mark(self, value: object) -> str:
        """Return the marker for *value*, or the places of the error whose traceback it is."""
        self.changed = self.suspicious = True
        if not issubclass(type(value), str):
            return Values(None, None, self.place).mark(value)
        text = str.__str__(value)
        error = sys.exception()
        end = lost_end(text, "")
        if error is not None and text.lstrip("\n").startswith(_TRACEBACK):
            return exceptions.describe(error) + end
        return Values(None, None, self.place).mark(value) + end

    def tell(self, guard: str = "stdio") -> None:
        """Count what was withheld for *guard*, and tell the operator where; never raises."""
        if not self.changed:
            return
        owner = self.owner
        try:
            tally.count(guard, "withheld" if owner.strict else "redacted")
            if self.suspicious:
                record = handlers.emitting()
                action: violations.Action = "withheld" if owner.enforce else "reported"
                violations.report("stdio", action, owner.flight, self._culprit)
                handlers.go_on_emitting(record)
        except Exception:  # noqa: BLE001 - what is told of a text must not become an error
            tally.failed(guard)

    def _template(self, text: str) -> templates.Template | None:
        """Return the one template in the very call that writes: the common case, at no cost."""
        if self._frame is None:
            return None
        fitting = [each for each in templates.site(self._frame) if each.fits(text)]
        return fitting[0] if len(fitting) == 1 else None

    def _known_texts(self) -> set[str] | None:
        """Return what was judged already of which this text may be made; None if nothing was."""
        if HANDED_DOWN.text is not None:
            return {HANDED_DOWN.text}
        record = handlers.emitting()
        return None if record is None else formatted.texts_of(record)

    def _held(self, text: str, texts: set[str], found: templates.Template | None) -> str:
        """Return *text* without what neither *texts* nor the source of the call say."""
        phrases = formatters.phrases(None)
        if found is not None:
            phrases |= formatters.phrases_of(set(found.parts))
        shown = formatted.Known(texts, phrases).hold(text)
        if shown != text:
            self.changed = self.suspicious = True
        return text if shown == text else shown

    def _goes_on(self, text: str) -> str:
        """Return what was written before *text*, and keep the end of both for what comes."""
        flight = self.owner.flight or LIVE.everyone.first
        if flight is None:
            return ""  # the last exchange has just gone
        index = index_of(flight)
        before = _tails.get(index, "")
        if text:
            _tails[index] = (before + text)[-TAIL:]
        return before

    def _suspect(self, text: str, literal: tuple[str, ...]) -> None:
        """Note whether the values of a template can have been content: a time cannot."""
        flight = self.owner.flight
        if self.suspicious or len(text) - sum(map(len, literal)) < matching.OWN:
            return
        if flight is None or not flight.matchable:
            self.suspicious = True
        elif self.place and _is_due(self.place):
            self.suspicious = matching.shares(text, flight)

    def _kept(self, text: str) -> frozenset[str]:
        found = templates.template_of(text, self._frame)
        parts = () if found is None else found.parts
        return frozenset(each for each in parts if len(each) >= _SHORTEST_KEPT)

    def _without(self, text: str, spans: list[tuple[int, int]]) -> str:
        parts: list[str] = []
        at = 0
        for start, end in spans:
            if end > at:
                first = max(start, at)
                parts += (text[at:first], f"[withheld {end - first} chars]")
                at = end
        if not parts:
            return text
        self.changed = self.suspicious = True
        parts.append(text[at:] or lost_end(text, ""))
        return "".join(parts)


def decided(
    given: Given,
    frame: FrameType | None,
    decide: Callable[[Writing, Given], Given],
    owner: Owner | None = None,
) -> tuple[Given, Writing | None]:
    """Return what may be written of *given*, and how that was decided; never raises.

    The first is *given* itself if it may be; the second is None if nothing was decided.

    Args:
        given: A text, bytes, or the pieces of a line.
        frame: The frame that writes.
        decide: Returns what is shown of it.
        owner: Whose it is, if that is known already.
    """
    if getattr(_local, "inside", False):
        return failed(given), None
    writing: Writing | None = None
    _local.inside = True
    try:
        owner = owner or owner_of_text()
        if owner is None:
            return given, None
        writing = Writing(owner, frame)
        shown = decide(writing, given)
    except Exception:  # noqa: BLE001 - fails closed: whatever broke, the text is not shown
        tally.failed("stdio")
        hidden = writing is None or writing.owner.enforce
        return (failed(given) if hidden else given), None
    finally:
        _local.inside = False
    return (shown if writing.owner.enforce else given), writing


def failed(given: Any) -> Any:
    """Return what is shown of what could not be judged: a fixed text, lines kept apart."""
    if isinstance(given, str):
        return GUARD_ERROR + ("\n" if str.endswith(given, "\n") else "")
    if isinstance(given, tuple):
        return (GUARD_ERROR + "\n",)
    return GUARD_ERROR.encode() + b"\n"


def _is_due(place: str) -> bool:
    """Tell whether a place may be matched again only to find out what to tell of it."""
    now = time.monotonic()
    if now - _looked_at.get(place, -violations.INTERVAL) < violations.INTERVAL:
        return False
    if len(_looked_at) >= violations.PLACES_LIMIT:
        _looked_at.clear()
    _looked_at[place] = now
    return True
