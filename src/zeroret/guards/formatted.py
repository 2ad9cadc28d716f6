"""Formatted texts: what a formatter of the program's own made of a guarded record.

What the record says is known to be good. Every other stretch of the text is shown only if it
consists wholly of the formatter's own words, numbers, times and punctuation, or says again what the
record says, in other case or in part. JSON is taken apart and judged value by value, so that it
stays JSON.
"""

from __future__ import annotations

import json
import re
import string
import time
import traceback
from functools import lru_cache
from operator import is_
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards.values import MOST_VALUES

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable

LONGEST: Final = 2**18
"""Characters of the longest text that is judged; a longer one is withheld."""

_MARKER: Final = re.compile(r"\[withheld(?: \d{1,9} chars)?\]")
_ESCAPE: Final = re.compile(r"\x1b\[[0-9;]{0,32}[A-Za-z]")
_TIME: Final = re.compile(
    r"(?<!\d)(?P<day>\d{4}-\d\d-\d\d|\d\d?[/-][A-Z][a-z]{2}[/-]\d{4})(?!\d)"
    r"|(?<!\d)\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?: ?[+-]\d\d:?\d\d)?(?!\d)"
)
_NUMBER: Final = re.compile(
    r"(?<![\w.])-?(?:0x[0-9a-f]{1,16}|\d{1,15}(?:\.\d{1,15})?(?:ms|us|ns|s|kb|mb|b)?)(?!\w|\.\w)",
    re.IGNORECASE,
)
_EDGE: Final = string.punctuation + " \t\x0b\x0c"
_WORD: Final = re.compile(r"[^\W_]+", re.UNICODE)
_SHORTEST_PART: Final = 8
_LABEL: Final = re.compile(r"\W*([^\W_](?:[\w -]{0,40}\w)?)[:=]\s*")
_QUOTES: Final = frozenset("\\\"'")
_DAY: Final = 86_400.0
_DEEPEST: Final = 32
_NOTHING: Final = "[withheld]"
_RENDERED: Final = frozenset({"message", "asctime"})


class Known:
    """What a formatter may show again: the texts of a guarded record, and its own words.

    Args:
        texts: Texts without content.
        phrases: What the formatter may add, as `formatters.phrases` returns it.
        created: When the record was made, in seconds since the epoch: days near it are times.
        numbers: How many more numbers may be shown.
    """

    __slots__ = ("_days", "_joined", "_left", "_pieces", "_words", "phrases", "texts")

    def __init__(
        self,
        texts: Iterable[str],
        phrases: frozenset[str],
        created: float | None = None,
        *,
        numbers: int = MOST_VALUES,
    ) -> None:
        self.texts = {text for text in texts if text}
        self.phrases = phrases
        self._days = _days(int((time.time() if created is None else created) // _DAY))
        self._left = numbers
        self._pieces: list[str] | None = None
        self._joined: str | None = None
        self._words: set[str] | None = None

    def hold(self, text: str) -> str:
        """Return *text* with every stretch withheld that nothing vouches for."""
        if text in self.texts:
            return text
        if len(text) > LONGEST:
            return f"[withheld {len(text)} chars]"
        if text.lstrip()[:1] in ("{", "["):
            shown = self._hold_json(text)
            if shown is not None:
                return shown
        return self._hold_plain(text)

    def _hold_json(self, text: str) -> str | None:
        """Return JSON with its leaves judged, *text* itself if all are good; None if it is none."""
        try:
            tree = json.loads(
                text, object_pairs_hook=_Pairs, parse_int=_Number, parse_float=_Number
            )
        except (ValueError, RecursionError):
            return None
        shown = self._leaf(tree, _DEEPEST)
        if shown is tree:
            return text
        ending = "\n" if text.endswith("\n") else ""
        return json.dumps(_built(shown), ensure_ascii=text.isascii()) + ending

    def _leaf(self, value: Any, depth: int) -> Any:
        """Return *value* itself if all of it is good, else what is shown of it."""
        kind = type(value)
        if kind is str:
            shown = value if value in self.texts else self._hold_plain(value)
            return value if shown == value else shown
        if kind is _Number:
            return value if self._may_count(value) else _NOTHING
        if kind is _Pairs and depth:
            return self._members(value, depth - 1)
        if kind is list and depth:
            items = [self._leaf(each, depth - 1) for each in value]
            return value if all(map(is_, items, value)) else items
        # NaN and the like are shown as nothing: nobody counts with them.
        return value if value is None or kind is bool else _NOTHING

    def _members(self, pairs: _Pairs, depth: int) -> Any:
        shown = [(self._leaf(key, 0), self._leaf(value, depth)) for key, value in pairs]
        same = (a is c and b is d for (a, b), (c, d) in zip(shown, pairs, strict=True))
        return pairs if all(same) else dict(shown)

    def _may_count(self, number: str) -> bool:
        if number in self.texts:
            return True
        self._left -= 1
        return self._left >= 0 and _NUMBER.fullmatch(number) is not None

    def _hold_plain(self, text: str) -> str:
        """Judge what stands between known pieces as a whole: numbers beside a prompt go, too."""
        parts: list[str] = []
        for stretch, is_known in self._stretches(text):
            shown = is_known or self._is_shown(stretch)
            parts.append(stretch if shown else self._without_value(stretch))
        return "".join(parts)

    def _without_value(self, stretch: str) -> str:
        """Return the label of *stretch*, if it has one of the formatter's own, and a marker."""
        found = _LABEL.match(stretch)
        if found is None or found[1].casefold() not in self.phrases:
            return _withheld(stretch)
        return found[0] + _withheld(stretch[found.end() :])

    def _is_shown(self, stretch: str) -> bool:
        pieces = _cut(_cut([(stretch, False)], self._times), self._numbers)
        return all(is_known or self._is_good(piece) for piece, is_known in pieces)

    def _stretches(self, text: str) -> list[tuple[str, bool]]:
        """Cut *text* at line ends, and at what the record says."""
        found: list[tuple[str, bool]] = [(text, False)]
        for cut in (_ESCAPE, _MARKER):
            found = _cut(found, cut.finditer)
        lower = text.lower()
        for piece in self._all_pieces():
            if piece in lower:
                found = _split(found, piece)
        return _split(found, "\n")

    def _times(self, text: str) -> list[re.Match[str]]:
        return [
            each
            for each in _TIME.finditer(text)
            if each["day"] is None or each["day"] in self._days
        ]

    def _numbers(self, text: str) -> list[re.Match[str]]:
        return [each for each in _NUMBER.finditer(text) if self._may_count(each[0].lstrip("-"))]

    def _all_pieces(self) -> list[str]:
        """Return the record's texts and their spellings, in lower case, the longest first."""
        if self._pieces is None:
            pieces = {spelling for text in self.texts for spelling in _spellings(text)}
            lower = {each.lower() for each in pieces if len(each) > 1}
            self._pieces = sorted(lower, key=len, reverse=True)
        return self._pieces

    def _is_good(self, stretch: str) -> bool:
        inner = stretch.strip(_EDGE)
        if not inner:
            return True
        folded = inner.casefold()
        if folded in self.phrases:
            return True
        if self._joined is None:
            self._joined = "\n".join(self.texts).casefold()
            self._words = set(_WORD.findall(self._joined))
        if len(folded) >= _SHORTEST_PART and folded in self._joined:
            return True
        words = _WORD.findall(folded)
        return bool(words) and "".join(words) == _bare(folded) and self._knows(words)

    def _knows(self, words: list[str]) -> bool:
        known = self._words or set()
        return all(word in self.phrases or word in known for word in words)


class _Pairs(list[Any]):
    """The members of a JSON object, those of one name included."""

    def __init__(self, pairs: Iterable[tuple[str, Any]]) -> None:
        super().__init__(pairs)


class _Number(str):
    """A number of a JSON text, as it stands there."""

    __slots__ = ()


_HOOKS: Final[dict[str, Any]] = {
    "object_pairs_hook": _Pairs,
    "parse_int": _Number,
    "parse_float": _Number,
}


def _built(tree: Any) -> Any:
    """Return a judged tree as `json.dumps` takes it."""
    if type(tree) is _Number:
        return float(tree) if "." in tree or "e" in tree.lower() else int(tree)
    if type(tree) is _Pairs:
        return {key: _built(value) for key, value in tree}
    if type(tree) is dict:
        return {key: _built(value) for key, value in tree.items()}
    return [_built(each) for each in tree] if type(tree) is list else tree


def texts_of(record: logging.LogRecord) -> set[str]:
    """Return every text that a guarded *record* says, its exception's renderings included."""
    found: set[str] = set()
    # What formatters themselves render is not the record's.
    said = {key: value for key, value in record.__dict__.items() if key not in _RENDERED}
    collect(said, found, 4)
    found |= _RENDERED
    found.add(record.getMessage())
    info = record.exc_info
    if isinstance(info, tuple) and isinstance(info[1], BaseException):
        found |= lines_of(info[1])
    for text in (record.exc_text, record.stack_info):
        if text:
            found.update(line.strip() for line in text.splitlines())
    found.discard("")
    return found


def lines_of(error: BaseException) -> set[str]:
    """Return every line that a rendering of a stand-in can have."""
    return {
        line.strip()
        for text in (*traceback.format_exception(error), repr(error), str(error))
        for line in text.splitlines()
    }


def collect(value: object, found: set[str], depth: int) -> None:
    """Add every text and number in *value* to *found*."""
    kind = type(value)
    if kind is str:
        found.add(value)  # type: ignore[arg-type] # exactly a str
    elif kind is int or kind is float:
        found.add(str(value))
    elif depth and isinstance(value, dict):
        for key, each in list(value.items()):
            collect(key, found, depth - 1)
            collect(each, found, depth - 1)
    elif depth and kind in (list, tuple):
        for each in list(value):  # type: ignore[call-overload] # one of the two
            collect(each, found, depth - 1)


def _spellings(text: str) -> Iterable[str]:
    """Return *text* as it is, line by line, and as JSON and `repr` escape it."""
    if text.isascii() and text.isprintable() and _QUOTES.isdisjoint(text):
        return (text,)
    escaped = (repr(text), json.dumps(text), json.dumps(text, ensure_ascii=False))
    return (text, *(line.strip() for line in text.splitlines()), *(each[1:-1] for each in escaped))


def _split(stretches: list[tuple[str, bool]], piece: str) -> list[tuple[str, bool]]:
    """Cut unknown stretches at each *piece*, in any case, that is no part of a longer word."""
    found: list[tuple[str, bool]] = []
    for stretch, is_known in stretches:
        lower = stretch.lower()
        if is_known or len(lower) != len(stretch):
            lower = "" if is_known else stretch
        at = start = 0
        while (start := lower.find(piece, start)) >= 0:
            end = start + len(piece)
            if _joins(stretch, start) or _joins(stretch, end):
                start += 1
                continue
            if start > at:
                found.append((stretch[at:start], False))
            found.append((stretch[start:end], True))
            at = start = end
        if at < len(stretch):
            found.append((stretch[at:], is_known))
    return found


def _joins(text: str, at: int) -> bool:
    """Tell whether a word goes on over the place *at*."""
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()


def _cut(stretches: list[tuple[str, bool]], find: Any) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    for stretch, is_known in stretches:
        at = 0
        for match in () if is_known else find(stretch):
            if match.start() > at:
                found.append((stretch[at : match.start()], False))
            found.append((match[0], True))
            at = match.end()
        if at < len(stretch):
            found.append((stretch[at:], is_known))
    return found


def _withheld(stretch: str) -> str:
    inner = stretch.strip(_EDGE)
    start = stretch.find(inner)
    return f"{stretch[:start]}[withheld {len(inner)} chars]{stretch[start + len(inner) :]}"


def _bare(text: str) -> str:
    return "".join(char for char in text if char not in _EDGE_SET)


_EDGE_SET: Final = frozenset(_EDGE + "\r\n")


@lru_cache(maxsize=8)
def _days(day: int) -> frozenset[str]:
    """Return the names of a day, counted from the epoch, and of its neighbours."""
    found: set[str] = set()
    for each in (day - 1, day, day + 1):
        date = time.gmtime(each * _DAY)
        found |= {time.strftime(form, date) for form in ("%Y-%m-%d", "%d/%b/%Y", "%d-%b-%Y")}
    return frozenset(found)
