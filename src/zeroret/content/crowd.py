"""The crowd: the content of all live exchanges in blocks, so that one look at a text tells whose.

Of every exchange's content a block of `BLOCK` bytes is known at every stride: each run of a
threshold's length then holds a whole block, which a text that shares the run shows at some offset.
What meets is compared byte for byte with the content it came from. To look is the same beside one
exchange and beside a thousand; content is read once, when the first text asks, and every block goes
with the last exchange that holds it.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from itertools import compress
from math import inf
from operator import ne
from typing import TYPE_CHECKING, Final

from zeroret.content.blocks import (
    BLOCK,
    STRIDE,
    STRIDE_LARGE,
    STRIDE_WIDE,
    around,
    blocks,
    places,
)
from zeroret.content.forms import Forms
from zeroret.content.index import encoded
from zeroret.content.thresholds import OWN, OWN_LARGE, threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zeroret.content.flight import Flight
    from zeroret.content.haystack import Span

PATIENCE: Final = 256
"""Comparisons of one text with an exchange's content, some microseconds each; what blocks say of
further ones counts as shared."""

PLACES: Final = 16
"""Places of one block in one form of an exchange's content that are compared; likewise."""

WORK: Final = 2**16
"""Bytes of new content that are read for one text; a text that needs more is not to be shown."""

MOST: Final = 2**24
"""Bytes of content that the crowd knows; it takes some twenty times as much memory."""

_SLICE: Final = 2**14


class Member:
    """An exchange in the crowd: how far its content was read, and what came of it."""

    __slots__ = ("_at", "_exact", "_fold", "_forms", "_read", "blocks", "flight", "size", "taken")

    def __init__(self, flight: Flight) -> None:
        self.flight = flight
        self.blocks: set[bytes] = set()
        """The blocks of all that was read."""
        self.size = 0
        """Bytes that were read."""
        self.taken = 0
        """Chunks that were read whole."""
        self._at = 0
        self._exact: list[bytes] = []
        self._fold: list[bytes] = []
        self._read = [0, 0]
        # No method of this object's own: it must go at once when it is let go.
        self._forms = Forms(self._exact.append, self._fold.append)

    def read(self) -> set[bytes]:
        """Read a slice of the content that is new; return the blocks that come with it."""
        new = self._next()
        self._forms.add(new)
        self.size += len(new)
        stride = STRIDE if threshold(self.flight) == OWN else STRIDE_LARGE
        found: set[bytes] = set()
        for number, parts in enumerate((self._exact, self._fold)):
            for part in parts[self._read[number] :]:
                found.update(blocks(part, stride))
            self._read[number] = len(parts)
        if not self.blocks:
            self.blocks = found
        else:
            found -= self.blocks
            self.blocks |= found
        return found

    def runs(self, text: bytes, at: int, least: int, *, folded: bool) -> Iterator[Span]:
        """Yield the runs of at least *least* bytes that *text* shares around the block *at*."""
        for part in self._fold if folded else self._exact:
            yield from around(part, text, at, least - BLOCK, places=PLACES)

    def _next(self) -> bytes:
        chunks, parts, room = self.flight.chunks, list[bytes](), _SLICE
        while room > 0 and self.taken < len(chunks):
            chunk = chunks[self.taken]
            part = chunk[self._at : self._at + room]
            parts.append(encoded(part))
            room -= len(part)
            self._at += len(part)
            if self._at >= len(chunk):
                self._at = 0
                self.taken += 1
        # A copy in any case, so that the chunk itself is overwritten when it is dropped.
        return bytes(bytearray().join(parts))


class Crowd:
    """The blocks of many exchanges."""

    def __init__(self) -> None:
        self.arrived: dict[Flight, None] = {}
        """Exchanges of which nothing was read yet."""
        self._members: dict[Flight, Member] = {}
        self._blocks: set[bytes] = set()
        self._again: Counter[bytes] = Counter()
        """How many more than one hold a block: system prompts, the structure of JSON."""
        self._chunks: dict[Flight, list[bytes | str]] = {}
        self._taken: dict[Flight, int] = {}
        self._sizes: list[int] = []  # of the chunks when last nothing had grown; else empty
        self._size = 0
        self._gone: deque[Flight] = deque()
        self._busy = False
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def full(self) -> bool:
        """Whether no more content is read, however much time there is."""
        return self._size > MOST

    def catch_up(self, work: float = inf) -> bool:
        """Read what is new in any exchange's content; False if that is more than *work* bytes.

        Where another thread reads, a text of bounded work does not wait for it.
        """
        try:
            if not self._lock.acquire(blocking=work == inf):
                return False
            try:
                return self._catch_up(work)
            finally:
                self._lock.release()
        finally:
            self._settle()

    def behind(self) -> list[Flight]:
        """Return the exchanges of which something was not read yet, the newest last."""
        with self._lock:
            sizes = list(map(len, self._chunks.values()))
            if sizes != self._sizes:
                grown = list(compress(self._chunks, map(ne, sizes, self._taken.values())))
                if grown:
                    return [*grown, *list(self.arrived)]
                self._sizes = sizes
            return list(self.arrived)

    def leave(self, flight: Flight) -> None:
        """Forget an exchange whose content was dropped; never waits for a text being matched."""
        self.arrived.pop(flight, None)
        if flight in self._members:
            self._gone.append(flight)
            self._settle()

    def renew(self) -> None:
        """Begin anew, as a fork's child must: the lock or half the blocks may be another's."""
        self._lock = threading.RLock()
        self._busy = False
        self._begin_anew()

    def runs(
        self,
        text: bytes,
        least: int | None,
        admits: Callable[[Flight], bool],
        *,
        own: Flight | None = None,
        folded: bool = False,
    ) -> list[Span]:
        """Return what *text* shares with the content of exchanges that *admits* lets count.

        Args:
            text: What may quote content, as it is or folded.
            least: Bytes of the shortest run, at least `OTHER`; None for each exchange's own.
            admits: Whose content counts.
            own: Whose content does not count.
            folded: Whether *text* is folded.
        """
        stride = 1 if least is None else STRIDE_WIDE
        probes = blocks(text, stride)
        known = self._blocks
        if known.isdisjoint(probes):
            return []
        met = compress(
            zip(places(len(text), stride), probes, strict=True), map(known.__contains__, probes)
        )
        again, room, patience = self._again, (least or OWN_LARGE) - BLOCK, PATIENCE
        mine = frozenset() if own not in self._members else self._members[own].blocks
        found: list[Span] = []
        likely: list[Member] = []
        # What only one holds comes first: the run around it mostly covers what many hold.
        for _, at, block in sorted((block in again, at, block) for at, block in met):
            first, last = max(at - room, 0), min(at + BLOCK + room, len(text))
            if any(start <= first and last <= end for start, end in found):
                continue  # within a run that was found: nothing around this block can add to it
            if block in mine and block not in again:
                continue
            holding = self._holding(block, patience, likely) if patience >= 0 else []
            patience -= len(holding)
            if patience < 0:
                found.append((first, last))
                continue
            for member in holding:
                if member.flight is not own and admits(member.flight):
                    shortest = least or threshold(member.flight)
                    runs = list(member.runs(text, at, shortest, folded=folded))
                    found += runs
                    if runs and member not in likely:
                        likely.append(member)
        return found

    def _holding(self, block: bytes, most: int, likely: list[Member]) -> list[Member]:
        """Return who holds *block*, one more than *most* at most; the *likely* are asked first."""
        found = [member for member in likely if block in member.blocks]
        left = min(self._again[block], most) + 1 - len(found)
        for member in list(self._members.values()) if left > 0 else ():
            if block in member.blocks and member not in likely:
                found.append(member)
                left -= 1
                if not left:
                    break
        return found

    def _catch_up(self, work: float) -> bool:
        if self._busy:
            # A finaliser that ran while content was read is asking about half a crowd.
            raise RuntimeError("the crowd was asked while it was being read")
        behind = self.behind()
        self._busy = True
        try:
            for flight in behind:
                member = self._member(flight)
                while member is not None and member.taken < len(flight.chunks):
                    if work <= 0 or self.full:
                        return False
                    work += member.size
                    self._size -= member.size
                    new = member.read()
                    work -= member.size
                    self._size += member.size
                    self._taken[flight] = member.taken
                    self._again.update(self._blocks & new)
                    self._blocks |= new
        except BaseException:
            # Part of the content may be missing now: whoever asks next begins anew.
            self._begin_anew()
            raise
        finally:
            self._busy = False
        return True

    def _member(self, flight: Flight) -> Member | None:
        member = self._members.get(flight)
        if member is None:
            member = self._members[flight] = Member(flight)
            self._chunks[flight] = flight.chunks
            self._taken[flight] = 0
            self._sizes = []
            self.arrived.pop(flight, None)
        if flight.closed:
            # It was dropped in between: whoever dropped it may have asked before it was a member.
            self._gone.append(flight)
            return None
        return member

    def _begin_anew(self) -> None:
        members = list(self._members)
        for known in (self._members, self._blocks, self._again, self._chunks, self._taken):
            known.clear()
        self._size, self._sizes = 0, []
        self.arrived.update(dict.fromkeys(flight for flight in members if not flight.closed))

    def _settle(self) -> None:
        # Whoever holds the lock settles after it: nobody waits, and nothing is left behind.
        while self._gone and not self._busy and self._lock.acquire(blocking=False):
            try:
                member = self._members.pop(self._gone.popleft(), None) if self._gone else None
                if member is not None:
                    self._part(member)
            finally:
                self._lock.release()

    def _part(self, member: Member) -> None:
        self._chunks.pop(member.flight, None)
        self._taken.pop(member.flight, None)
        self._sizes = []
        self._size -= member.size
        shared = self._again.keys() & member.blocks
        self._blocks -= member.blocks - shared if shared else member.blocks
        for block in shared:
            left = self._again[block] - 1
            if left:
                self._again[block] = left
            else:
                del self._again[block]
