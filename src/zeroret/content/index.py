"""The index of one exchange's content, built when something asks and grown as chunks come.

The content is looked at in every form in which the app may hold it: as it passed, with its escapes
taken out, percent-decoded, and the string values of each JSON key joined, because streams cut an
answer into small deltas. All forms share one haystack, each new part overlapping the one before it
by `OVERLAP` bytes, so that no run of up to that many is lost at a joint; a second haystack holds
them folded.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Final

from zeroret.content import crowd
from zeroret.content.crowd import CROWD
from zeroret.content.encodings import APART
from zeroret.content.escapes import without_escapes, without_percents
from zeroret.content.folding import folded
from zeroret.content.haystack import WIDE, Haystack

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.content.flight import Flight
    from zeroret.content.haystack import Needle, Span

OVERLAP: Final = WIDE
"""The longest threshold: runs of up to this many bytes are found across joints."""

KEYS_LIMIT: Final = 64
"""JSON keys whose values are joined, per exchange."""

FORMS_LIMIT: Final = 2**21
"""Bytes past which content is known only as it passed: each form costs ten times its size."""

CROWD_LIMIT: Final = 2**17
"""Bytes of content in all its forms past which an exchange is looked up on its own."""

_PAIR: Final = re.compile(rb'"([^"\\]{1,64}+)"\s*+:\s*+"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_LONG_VALUE: Final = 256
_ESCAPE_TAIL: Final = 32
_PENDING_LIMIT: Final = 2**20


class Form:
    """One form of the content, appended to the haystacks part by part.

    Args:
        exact: Where the form is looked up as it is.
        fold: Where it is looked up folded.
        tail: What came before the first part.
    """

    __slots__ = ("_exact", "_fold", "tail")

    def __init__(self, exact: Haystack, fold: Haystack, tail: bytes = b"") -> None:
        self._exact = exact
        self._fold = fold
        self.tail = tail

    def add(self, part: bytes, *, fold: bool = True, last: bool = False) -> None:
        """Append *part*; a *last* one is looked up but not continued by what follows."""
        joined = self.tail + part
        self._exact.data += APART + joined
        if fold:
            self._fold.data += APART + folded(joined)
        if not last:
            # Twice the overlap, so that the joint of folded prose is long enough, too.
            self.tail = joined[-2 * OVERLAP :]


class Index:
    """What matching knows of one exchange's content."""

    __slots__ = (
        "__weakref__",
        "_busy",
        "_exact",
        "_fold",
        "_formed",
        "_forms",
        "_held_back",
        "_joined",
        "_lock",
        "_pairs",
        "_taken",
    )

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._busy = False
        self._taken = 0
        self._joined = 0
        self._exact = Haystack()
        self._fold = Haystack()
        self._forms: dict[bytes, Form] = {}
        self._formed = 0
        self._held_back = b""
        self._pairs = b""

    def spans(self, flight: Flight, needle: Needle, least: int) -> list[Span]:
        """Return where *needle* shares at least *least* bytes with the content of *flight*."""
        with self._lock:
            self._update(flight)
            return self._exact.spans(needle, least)

    def folded_spans(self, flight: Flight, needle: Needle, least: int) -> list[Span]:
        """Return the same for a folded *needle* and the folded content, in folded bytes."""
        with self._lock:
            self._update(flight)
            return self._fold.spans(needle, least)

    def join_crowd(self, flight: Flight) -> bool:
        """Have the crowd know all content so far; False if there is too much of it."""
        data = self._exact.data
        if len(flight.chunks) > self._taken or len(data) - self._joined >= crowd.BLOCK:
            with self._lock:
                self._update(flight)
                if len(data) > CROWD_LIMIT:
                    return False
                CROWD.join(crowd.blocks(data, self._joined))
                self._joined = len(data) // crowd.BLOCK * crowd.BLOCK
        return len(data) <= CROWD_LIMIT

    def __del__(
        self,
        leave: Callable[[list[bytes]], None] = CROWD.leave,
        blocks: Callable[[bytearray, int], list[bytes]] = crowd.blocks,
    ) -> None:
        # Bound as defaults: at exit the module's globals may be gone before this index is.
        if self._joined:
            leave(blocks(self._exact.data[: self._joined], 0))

    def _update(self, flight: Flight) -> None:
        chunks = flight.chunks[self._taken :]
        if not chunks:
            return
        if self._busy:
            # A finaliser that ran while we were indexing is asking about half an index.
            raise RuntimeError("the index was asked for while it was being built")
        self._busy = True
        try:
            self._taken += len(chunks)
            self._add(
                b"".join(
                    [
                        chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else chunk
                        for chunk in chunks
                    ]
                )
            )
        except BaseException:
            # Part of the content may be missing now: whoever asks next begins anew.
            flight.index = None
            raise
        finally:
            self._busy = False

    def _add(self, new: bytes) -> None:
        raw = self._form(b"raw")
        room = FORMS_LIMIT - self._formed
        if len(new) > room:
            new, rest = new[:room], new[room:]
        else:
            rest = b""
        self._formed += len(new)
        if new:
            self._add_forms(new, raw)
        if rest:
            raw.add(rest, fold=False)

    def _add_forms(self, new: bytes, raw: Form) -> None:
        if b"\\" in new or b"plain" in self._forms:
            self._add_unescaped(self._held_back + new, raw.tail)
        raw.add(new, fold=b"plain" not in self._forms)
        if b"%" in new:
            self._form(b"percent").add(without_percents(new))
        self._add_values(self._pairs + new)

    def _add_unescaped(self, data: bytes, before: bytes) -> None:
        cut = len(data)
        near = data.find(b"\\", max(0, cut - _ESCAPE_TAIL))
        if near >= 0:
            # An escape may still be incomplete: the next part decides. Backslashes before it pair
            # up; holding all of them back would read a run of them anew with each part.
            cut = near - (near - len(data[:near].rstrip(b"\\"))) % 2
        self._held_back = data[cut:]
        once = self._form(b"plain", tail=before)
        for part, last in ((data[:cut], False), (self._held_back, True)):
            if not part:
                continue
            before = once.tail
            decoded = without_escapes(part)
            once.add(decoded, last=last)
            # Again: the arguments of a tool call are JSON within JSON.
            if b"\\" in decoded or b"plainer" in self._forms:
                self._form(b"plainer", tail=before).add(without_escapes(decoded), last=last)

    def _add_values(self, data: bytes) -> None:
        done = 0
        for pair in _PAIR.finditer(data):
            done = pair.end()
            key = b'"' + pair[1]
            if key not in self._forms and len(self._forms) >= KEYS_LIMIT:
                continue
            form = self._form(key)
            value = pair[2]
            if len(value) > 2 * _LONG_VALUE:
                # What lies within a long value stands in the other forms; here the joints count.
                form.add(without_escapes(without_escapes(value[:_LONG_VALUE])))
                form = self._forms[key] = Form(self._exact, self._fold)
                value = value[-_LONG_VALUE:]
            form.add(without_escapes(without_escapes(value)))
        rest = data[done:]
        self._pairs = rest if len(rest) <= _PENDING_LIMIT else b""

    def _form(self, name: bytes, tail: bytes = b"") -> Form:
        form = self._forms.get(name)
        if form is None:
            form = self._forms[name] = Form(self._exact, self._fold, tail)
        return form


def index_of(flight: Flight) -> Index:
    """Return the index of *flight*, kept on the flight so that dropping it drops this too."""
    index = flight.index
    if not isinstance(index, Index):
        index = flight.index = Index()
        if flight.closed:
            flight.index = None
    return index
