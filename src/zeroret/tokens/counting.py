r"""Count the tokens of a text that comes in pieces: exactly, holding no more than is needed.

Both vocabularies split a text by a pattern that matches left to right and never looks back. So the
count of a text is the sum of the counts before and after a position that is a boundary for the
text going on *and* for the slice that ends there: a *safe cut*. A position between two
characters is one if

1. a space or tab follows what is neither white space nor a surrogate: these two only begin a
   pre-token or continue a run of white space;
2. what is neither white space, ``/`` nor a surrogate follows a line end: only those go on after it;
3. a sure mark or ASCII digit follows a sure letter: letters go on with letters, combining
   characters or a contraction only (so the apostrophe is no sure mark);
4. a sure letter or sure mark follows an ASCII digit: digits go on with digits only.

The classes are fixed code points whose category is the same in every version of Unicode; ``\s`` of
`re` is a superset of Unicode's White_Space, which errs on the safe side.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final

from zeroret.tokens import vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

LOW: Final = 64
"""Fewer characters than this wait, for fewer and longer calls of the encoder."""

MAX_HOLD: Final = 4096
"""The most characters held once a piece has been taken."""

FORCED: Final = 2048
"""How many characters go where no safe cut comes in time."""

BYTES_PER_TOKEN: Final = 4
"""The last resort, for text that the encoder cannot take."""

_LETTER: Final = "A-Za-z\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"
_MARK: Final = (
    r".,;:!?()\[\]{}<>\"`~@#$%\^&*+=|\\_/\-"
    "\u3001\u3002\uff0c\uff01\uff1f\uff1a\uff1b\uff08\uff09\u300c\u300d\u201c\u201d\u2014\u2026"
)
_LAST_CUT: Final = re.compile(
    # the greedy start leaves the last cut to the rest; the match ends at the cut
    r"(?s:.*)(?:"
    r"[^\s\ud800-\udfff](?=[ \t])"
    r"|[\r\n](?=[^\s/\ud800-\udfff])"
    rf"|[{_LETTER}](?=[{_MARK}0-9])"
    rf"|[0-9](?=[{_LETTER}{_MARK}])"
    r")"
)
_DIGITS: Final = frozenset("0123456789")
_HIGH_FIRST, _HIGH_LAST, _LOW_LAST = "\ud800", "\udbff", "\udfff"


class TokenStream:
    """Counts one text that arrives in pieces; see the module for the rule.

    *encoding* is loaded when the first tokens are counted. `exact` begins as given (False where the
    encoding only stands in for another vendor's) and becomes False when an unbroken run of more
    than `MAX_HOLD` characters forced a cut (an error of at most 3 tokens for each `FORCED`
    characters), or when the encoder failed. The rule is proved for the two vocabularies of this
    package: with another one text is held up to `MAX_HOLD`, and the first cut makes it inexact. Not
    for use by two threads at once.
    """

    __slots__ = (
        "_decoder",
        "_encode",
        "_encoding",
        "_held",
        "_low",
        "_proved",
        "_searched",
        "_total",
        "exact",
    )

    def __init__(self, encoding: str = "o200k_base", *, exact: bool = True, low: int = LOW) -> None:
        self.exact = exact
        self._encoding = encoding
        self._encode: Callable[[str], list[int]] | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        self._proved = encoding in vocabulary.NAMES
        self._low = low if self._proved else MAX_HOLD
        self._held = ""
        self._searched = 0  # positions before this one are no safe cuts
        self._total = 0

    def __repr__(self) -> str:
        return (
            f"<TokenStream {self._encoding} total={self._total} held={self.held} "
            f"exact={self.exact}>"
        )

    @property
    def held(self) -> int:
        """How many characters, and bytes of an unfinished character, are held now."""
        decoder = self._decoder
        return len(self._held) + (0 if decoder is None else len(decoder.getstate()[0]))

    def feed(self, delta: str | bytes) -> None:
        """Take the next piece; bytes are UTF-8 and may end inside a character."""
        if not isinstance(delta, str):
            self._feed_bytes(delta)
            return
        if self._decoder is not None:
            self._held += self._end_of_bytes()
        if len(delta) > MAX_HOLD:
            for start in range(0, len(delta), MAX_HOLD):
                self._take(delta[start : start + MAX_HOLD])
        elif len(self._held) + len(delta) < self._low:
            self._held += delta
        else:
            self._take(delta)

    def finish(self) -> int:
        """End the text: count what is held, let go of it and return the total.

        What is fed afterwards is a text of its own, added to the same total.
        """
        rest = self._held
        if self._decoder is not None:
            rest += self._end_of_bytes()
        self._held = ""
        self._searched = 0
        if rest:
            self._count(rest)
        return self._total

    def clear(self) -> None:
        """Let go of what is held without counting it."""
        self._held = ""
        self._searched = 0
        self._decoder = None

    def _take(self, delta: str) -> None:
        held = self._held + delta
        if len(held) < self._low:
            self._held = held
            return
        # the match begins one character before the first position not searched
        found = _LAST_CUT.match(held, max(self._searched - 1, 0))
        if found is not None:
            cut = found.end()
            self.exact = self.exact and self._proved
            self._count(held[:cut])
            held = held[cut:]
        while len(held) > MAX_HOLD:
            cut = _forced_cut(held)
            self.exact = False
            self._count(held[:cut])
            held = held[cut:]
        self._held = held
        self._searched = len(held)

    def _feed_bytes(self, delta: bytes) -> None:
        decoder = self._decoder
        if decoder is None:
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
        view = memoryview(delta)
        for start in range(0, len(view), MAX_HOLD):
            self._take(decoder.decode(bytes(view[start : start + MAX_HOLD])))
        self._decoder = decoder

    def _end_of_bytes(self) -> str:
        decoder, self._decoder = self._decoder, None
        return "" if decoder is None else decoder.decode(b"", final=True)

    def _count(self, text: str) -> None:
        try:
            encode = self._encode
            if encode is None:
                encode = self._encode = vocabulary.encoder(self._encoding)
            self._total += len(encode(text))
        except BaseException as error:
            # the encoder's native PanicException derives from BaseException alone
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            self.exact = False
            size = len(text.encode("utf-8", "replace"))
            self._total += -(-size // BYTES_PER_TOKEN)


def _forced_cut(held: str) -> int:
    """Return where to cut a run without a safe cut, whole digit groups and pairs kept."""
    cut = FORCED - FORCED % 6 if held[0] in _DIGITS else FORCED
    pair = _HIGH_FIRST <= held[cut - 1] <= _HIGH_LAST < held[cut] <= _LOW_LAST
    return cut - 1 if pair else cut
