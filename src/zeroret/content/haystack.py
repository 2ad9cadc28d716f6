"""A growing body of content in which the shared runs of a text are looked up.

Every run of `least` bytes that text and content share contains a window of 8 bytes which a sparse
probe meets: either every window of a short content is known and the text is probed at strides, or
the aligned blocks of a long one are known and the text is probed more densely. What the probe meets
is then located exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW: Final = 8
"""Bytes of one probe."""

DENSE_LIMIT: Final = 16 * 1024
"""Bytes up to which every window of the content is known; beyond, every eighth."""

PATIENCE: Final = 4
"""Texts looked up by plain search before a set of windows is built: most content sees fewer."""

WIDE: Final = 64
"""The threshold from which blocks and sparse probes suffice."""

WIDE_STRIDE: Final = 7
"""Bytes from one probe to the next for runs of `WIDE`."""

_APART: Final = b"\xfe"  # stands in no UTF-8 text, nor, as another byte does, between views
_SEARCH_LIMIT: Final = 2**22
_LOCATE_LIMIT: Final = 2**28  # bytes read to locate one text, a tenth of a second

Span = tuple[int, int]


class Needle:
    """A text to look up, with its windows read as integers once for every haystack."""

    __slots__ = ("_strides", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._strides: dict[int, tuple[int, ...]] = {}

    def windows(self, stride: int) -> tuple[int, ...]:
        """Return the windows at every *stride* bytes, as integers in the machine's order."""
        known = self._strides.get(stride)
        if known is None:
            known = self._strides[stride] = self._read(stride)
        return known

    def _read(self, stride: int) -> tuple[int, ...]:
        view = memoryview(self.data)
        size = len(view)
        if stride % WINDOW == 0:
            return tuple(view[: size // WINDOW * WINDOW].cast("Q")[:: stride // WINDOW])
        if stride > 1:
            return self.windows(1)[::stride]
        every = [0] * max(size - WINDOW + 1, 0)
        for offset in range(min(WINDOW, len(every))):
            aligned = view[offset : offset + (size - offset) // WINDOW * WINDOW]
            every[offset::WINDOW] = aligned.cast("Q")
        return tuple(every)


class Haystack:
    """Content that only grows, and where a text shares it.

    Not safe for threads: the owner holds a lock.
    """

    __slots__ = ("_asked", "_blocks", "_blocks_end", "_windows", "_windows_end", "data")

    def __init__(self) -> None:
        self.data = bytearray()
        self._asked = 0
        self._windows: set[int] = set()
        self._windows_end = 0
        self._blocks: set[int] = set()
        self._blocks_end = 0

    def take(self, part: bytes) -> None:
        """Append *part*, apart from what came before."""
        self.data += _APART + part

    def meets(self, probes: Sequence[int]) -> bool:
        """Tell whether the content holds one of *probes*, a text's windows at `WIDE_STRIDE`.

        Every shared run of `WIDE` bytes makes it so: blocks at 8 and probes at 7, being coprime,
        meet once in 56 bytes.
        """
        if self._blocks_end + WINDOW <= len(self.data):
            self._read_blocks()
        return not self._blocks.isdisjoint(probes)

    def spans(self, needle: Needle, least: int) -> list[Span]:
        """Return the maximal runs of at least *least* (>= 16) bytes that *needle* shares.

        A text of thousands of windows of a long content, in none of its orders, costs a bounded
        search: what is left of its windows is then returned as shared.
        """
        text = needle.data
        if len(text) < least or len(self.data) < least:
            return []
        if least >= WIDE:
            met = self._met_blocks(needle, WIDE_STRIDE, least)
        elif len(self.data) > DENSE_LIMIT:
            met = self._met_blocks(needle, 1, least)
        else:
            met = self._met_windows(needle, least)
        return self._located(text, least, met) if met else []

    def _met_blocks(self, needle: Needle, stride: int, least: int) -> list[int]:
        probes = needle.windows(stride)
        if not self.meets(probes):
            return []
        known = self._blocks
        every = needle.windows(1)
        needed = (least - WINDOW + 1) // WINDOW
        return [
            at
            for at, probe in zip(range(0, len(every), stride), probes, strict=True)
            if probe in known and _lasts(every, at, known, WINDOW, needed)
        ]

    def _met_windows(self, needle: Needle, least: int) -> list[int]:
        self._asked += 1
        content, text = self.data, needle.data
        if self._asked <= PATIENCE and len(text) * len(content) <= _SEARCH_LIMIT:
            return [
                at
                for at in range(0, len(text) - WINDOW + 1, least - WINDOW + 1)
                if text[at : at + WINDOW] in content
            ]
        known = self._updated_windows()
        stride = (least - WINDOW + 1) // WINDOW * WINDOW
        probes = needle.windows(stride)
        if known.isdisjoint(probes):
            return []
        every = needle.windows(1)
        return [
            at
            for at, probe in zip(range(0, len(text), stride), probes, strict=False)
            if probe in known and _lasts(every, at, known, 1, least - WINDOW + 1)
        ]

    def _updated_windows(self) -> set[int]:
        for offset in range(WINDOW):
            self._read(self._windows, self._windows_end + offset)
        self._windows_end = max(len(self.data) - WINDOW + 1, 0)
        return self._windows

    def _read_blocks(self) -> None:
        self._read(self._blocks, self._blocks_end)
        self._blocks_end = len(self.data) // WINDOW * WINDOW

    def _read(self, known: set[int], start: int) -> None:
        """Add the blocks from *start* on to *known*."""
        end = start + (len(self.data) - start) // WINDOW * WINDOW
        if end > start:
            with memoryview(self.data) as view, view[start:end] as part, part.cast("Q") as blocks:
                known.update(blocks)

    def _located(self, text: bytes, least: int, met: list[int]) -> list[Span]:
        content = self.data
        found: list[Span] = []
        start = covered = 0
        patience = max(_LOCATE_LIMIT // len(content), least)
        for at in met:
            if patience < 0:
                # The windows are there, in an order that somebody made up: they count as shared.
                found.append((at, at + WINDOW))
                continue
            # A run that contains the window at `at` starts here at the earliest; what starts within
            # the last run is new only if it ends beyond it.
            start = max(start, at - (least - WINDOW), covered - least + 1)
            while start <= min(at, len(text) - least):
                place = content.find(text[start : start + least])
                if place < 0:
                    start += 1
                    patience -= 1
                    continue
                covered = start + least
                covered += _common(text, covered, content, place + least)
                found.append((start, covered))
                start = covered - least + 1
        return found


def _lasts(every: tuple[int, ...], at: int, known: set[int], step: int, needed: int) -> bool:
    """Tell whether the content may hold a run around *at* that is long enough."""
    count = 1
    for direction in (step, -step):
        place = at + direction
        while count < needed and 0 <= place < len(every) and every[place] in known:
            count += 1
            place += direction
    return count >= needed


def _common(text: bytes, at: int, content: bytearray, place: int) -> int:
    """Return how many bytes are equal from ``text[at]`` and ``content[place]`` on."""
    limit = min(len(text) - at, len(content) - place)
    size = 0
    step = 256
    while size < limit and step:
        part = min(step, limit - size)
        if text[at + size : at + size + part] == content[place + size : place + size + part]:
            size += part
        elif step == 1:
            break
        else:
            step //= 4
    return size
