"""A growing body of content in which the shared runs of a text are looked up.

Every run of `least` bytes that text and content share contains a window of 8 bytes which a sparse
probe meets: either every window of a short content is known and the text is probed at strides, or
the aligned blocks of a long one are known and the text is probed more densely. What the probe meets
is then located exactly.
"""

from __future__ import annotations

from typing import Final

WINDOW: Final = 8
"""Bytes of one probe."""

DENSE_LIMIT: Final = 16 * 1024
"""Bytes up to which every window of the content is known; beyond, every eighth."""

PATIENCE: Final = 4
"""Texts looked up by plain search before a set of windows is built: most content sees fewer."""

_SEARCH_LIMIT: Final = 2**22
_WIDE: Final = 64
_WIDE_STRIDE: Final = 7

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

    __slots__ = ("_asked", "_dense", "_known", "_windows", "data")

    def __init__(self) -> None:
        self.data = bytearray()
        self._windows: set[int] | None = None
        self._known = 0
        self._dense = True
        self._asked = 0

    def spans(self, needle: Needle, least: int) -> list[Span]:
        """Return the maximal runs of at least *least* (>= 16) bytes that *needle* shares."""
        text = needle.data
        if len(text) < least or len(self.data) < least:
            return []
        self._asked += 1
        if self._asked <= PATIENCE and len(text) * len(self.data) <= _SEARCH_LIMIT:
            stride = least - WINDOW + 1
            content = self.data
            met = [
                at
                for at in range(0, len(text) - WINDOW + 1, stride)
                if text[at : at + WINDOW] in content
            ]
        else:
            met = self._met(needle, least)
        return self._located(text, least, met) if met else []

    def _met(self, needle: Needle, least: int) -> list[int]:
        windows = self._updated()
        if self._dense:
            stride = (least - WINDOW + 1) // WINDOW * WINDOW
            step, needed = 1, least - WINDOW + 1
        else:
            # Content at 8 and text at 7, being coprime, meet once in 56 bytes.
            stride = _WIDE_STRIDE if least >= _WIDE else 1
            step, needed = WINDOW, (least - WINDOW + 1) // WINDOW
        probes = needle.windows(stride)
        if windows.isdisjoint(probes):
            return []
        every = needle.windows(1)
        return [
            at
            for number, probe in enumerate(probes)
            if probe in windows and _lasts(every, at := number * stride, windows, step, needed)
        ]

    def _updated(self) -> set[int]:
        size = len(self.data)
        dense = size <= DENSE_LIMIT
        if self._windows is None or dense != self._dense:
            self._windows, self._known, self._dense = set(), 0, dense
        if self._known < size:
            with memoryview(self.data) as view:
                for offset in range(WINDOW) if dense else (0,):
                    start = self._known + offset
                    end = start + (size - start) // WINDOW * WINDOW
                    if end > start:
                        with view[start:end] as part, part.cast("Q") as blocks:
                            self._windows.update(blocks)
            self._known = max(size - WINDOW + 1, 0) if dense else size // WINDOW * WINDOW
        return self._windows

    def _located(self, text: bytes, least: int, met: list[int]) -> list[Span]:
        content = self.data
        found: list[Span] = []
        start = covered = 0
        for at in met:
            # A run that contains the window at `at` starts here at the earliest; what starts within
            # the last run is new only if it ends beyond it.
            start = max(start, at - (least - WINDOW), covered - least + 1)
            while start <= min(at, len(text) - least):
                place = content.find(text[start : start + least])
                if place < 0:
                    start += 1
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
