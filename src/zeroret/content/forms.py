"""Forms: content in every shape in which the app may hold it, made as the chunks come.

As it passed or, where that has escapes, with these taken out; percent-decoded; and the string
values of each JSON key joined, because streams cut an answer into small deltas; each as it is and
folded. What quotes the escapes themselves is found by its own view without them. Every part that is
given out repeats the end of the one before it in its form, so that no run of up to `OVERLAP` bytes
is lost at a joint.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from zeroret.content.escapes import without_escapes, without_percents
from zeroret.content.folding import folded
from zeroret.content.haystack import WIDE

if TYPE_CHECKING:
    from collections.abc import Callable

OVERLAP: Final = WIDE
"""The longest threshold: runs of up to this many bytes are found across joints."""

KEYS_LIMIT: Final = 64
"""JSON keys whose values are joined, per exchange."""

FORMS_LIMIT: Final = 2**21
"""Bytes past which content is known only as it passed: each form costs ten times its size."""

_PAIR: Final = re.compile(rb'"([^"\\]{1,64}+)"\s*+:\s*+"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_OPEN: Final = re.compile(rb'"[^"\\]{1,64}+"\s*+:\s*+"((?:[^"\\]++|\\.)*+)\\?\Z', re.DOTALL)
_LONG_VALUE: Final = 256
_PENDING: Final = 8 * _LONG_VALUE
_ESCAPE_TAIL: Final = 32


class Forms:
    """Makes the forms of one exchange's content.

    Args:
        exact: Takes each part of a form as it is.
        fold: Takes each part folded.
    """

    __slots__ = ("_exact", "_fold", "_forms", "_held_back", "_pairs", "_size")

    def __init__(self, exact: Callable[[bytes], None], fold: Callable[[bytes], None]) -> None:
        self._exact = exact
        self._fold = fold
        self._forms: dict[bytes, _Form] = {}
        self._size = 0
        self._held_back = b""
        self._pairs = b""

    def add(self, new: bytes) -> None:
        """Give out every form of the content that comes next."""
        raw = self._form(b"raw")
        room = FORMS_LIMIT - self._size
        if len(new) > room:
            new, rest = new[:room], new[room:]
        else:
            rest = b""
        self._size += len(new)
        if new:
            self._add_forms(new, raw)
            for form in self._forms.values():
                form.flush()
        if rest:
            raw.add(rest)
            raw.flush(fold=False)

    def _add_forms(self, new: bytes, raw: _Form) -> None:
        if b"\\" in new or b"plain" in self._forms:
            self._add_unescaped(self._held_back + new, raw.tail)
        raw.add(new)
        if b"plain" in self._forms:
            raw.forget()
        raw.flush()
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
                form.restart()
                value = value[-_LONG_VALUE:]
            form.add(without_escapes(without_escapes(value)))
        self._pairs = _shortened(data[done:])

    def _form(self, name: bytes, tail: bytes = b"") -> _Form:
        form = self._forms.get(name)
        if form is None:
            form = self._forms[name] = _Form(self._exact, self._fold, tail)
        return form


class _Form:
    """One form of the content, given out part by part."""

    __slots__ = ("_before", "_exact", "_fold", "_new", "tail")

    def __init__(
        self, exact: Callable[[bytes], None], fold: Callable[[bytes], None], tail: bytes
    ) -> None:
        self._exact = exact
        self._fold = fold
        self._before = tail
        self._new: list[bytes] = []
        self.tail = tail
        """The end of what came so far."""

    def add(self, part: bytes, *, last: bool = False) -> None:
        """Append *part*; a *last* one is given out but not continued by what follows."""
        if last:
            self._give(self.tail + part)
            return
        self._new.append(part)
        # Twice the overlap, so that the joint of folded prose is long enough, too.
        self.tail = (self.tail + part)[-2 * OVERLAP :]

    def flush(self, *, fold: bool = True) -> None:
        """Give out what was appended."""
        if self._new:
            self._give(self._before + b"".join(self._new), fold=fold)
            self._new.clear()
            self._before = self.tail

    def forget(self) -> None:
        """Do not give out what was appended since; it stands in another form."""
        self._new.clear()
        self._before = self.tail

    def restart(self) -> None:
        """Let what follows not continue what came so far."""
        self.flush()
        self._before = self.tail = b""

    def _give(self, data: bytes, *, fold: bool = True) -> None:
        self._exact(data)
        if fold:
            self._fold(folded(data))


def _shortened(pending: bytes) -> bytes:
    """Return the begun pair at the end of *pending*, without the middle of a long value.

    Each part is read together with what is pending: a value of megabytes would cost its square.
    """
    if len(pending) <= _PENDING:
        return pending
    begun = _OPEN.search(pending)
    if begun is None:
        return pending[-2 * _LONG_VALUE :]  # a key may have begun there
    start = begun.start(1)
    if len(pending) - start <= _PENDING:
        return pending[begun.start() :]
    # Where the middle was, no half of an escape may meet what follows.
    head = pending[begun.start() : start + 2 * _LONG_VALUE].rstrip(b"\\")
    return head + pending[-2 * _LONG_VALUE :].lstrip(b'\\"')
