"""Looking into a journal from outside: what it holds, what is damaged, and mending that.

Reading changes nothing, not even of a living process's set. Mending touches dead sets only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from zeroret.journal import cursor, naming, slots
from zeroret.journal.deadletters import END, dead_letters
from zeroret.journal.lines import damage, frame, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeroret.journal.cursor import Position
    from zeroret.journal.folder import Folder

_PID: Final = 1  # the place of the process id in a set's name


@dataclass(frozen=True)
class Segment:
    """One segment file: its number, bytes and whole records, and the spans that are damaged."""

    number: int
    size: int
    records: int
    damaged: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Contents:
    """One process's set of files.

    *living* tells whether its process still holds the lock, *open_slots* how many exchanges were
    in flight when the set was last written, *cursors* how far each sink has come, by its key.
    """

    name: str
    living: bool
    segments: tuple[Segment, ...]
    open_slots: int
    cursors: dict[str, Position] = field(default_factory=dict)

    @property
    def pid(self) -> str:
        """The id of the process that made it."""
        return self.name.split("-")[_PID] if self.name.count("-") > _PID else "?"

    @property
    def records(self) -> int:
        """How many whole records it holds, delivered or not."""
        return sum(segment.records for segment in self.segments)

    @property
    def damaged(self) -> int:
        """How many spans of its segments are damaged."""
        return sum(len(segment.damaged) for segment in self.segments)

    def waiting(self, key: str) -> int:
        """Return how many bytes the sink with *key* has still to take."""
        at = self.cursors.get(key, cursor.START)
        return sum(
            max(segment.size - (at.offset if segment.number == at.segment else 0), 0)
            for segment in self.segments
            if segment.number >= at.segment
        )


def survey(folder: Folder) -> list[Contents]:
    """Return what each set in *folder* holds, the oldest first; raises OSError."""
    names = folder.names()
    return [_contents(folder, name, names) for name in _sets(names)]


def dead_keys(folder: Folder) -> dict[str, int]:
    """Return how many dead letters each sink has, by its key; raises OSError."""
    keys = [name.removesuffix(END) for name in folder.names() if name.endswith(END)]
    return {key: len(dead_letters(folder, key)) for key in sorted(keys)}


def mend(folder: Folder) -> int:
    """Blank what is damaged in dead sets, and return how many spans were; raises OSError.

    The bytes become newlines, so that every cursor stays right. A set without a lock file gets
    one, and is adopted by the next process that starts.
    """
    mended = 0
    for contents in survey(folder):
        if contents.living:
            continue
        lock = folder.lock(contents.name + naming.LOCK) or folder.lock(
            contents.name + naming.LOCK, create=True
        )
        if lock is None:
            continue  # somebody adopted it meanwhile
        try:
            for segment in contents.segments:
                mended += _blank(folder, contents.name, segment)
        finally:
            os.close(lock)
    return mended


def requeue(folder: Folder, key: str) -> int:
    """Put the dead letters of the sink with *key* back into the queue; return how many.

    They become a set of their own, which the next process that starts delivers to every sink.
    Raises OSError.
    """
    letters = dead_letters(folder, key)
    if not letters:
        return 0
    name = naming.new_set()
    lock = folder.lock(name + naming.LOCK, create=True)
    if lock is None:
        raise BlockingIOError
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        fd = folder.open(naming.segment(name, 0), flags)
        with os.fdopen(fd, "wb") as file:
            file.write(b"".join(frame(record) for _, record in letters))
            file.flush()
            os.fsync(fd)
        folder.unlink(key + END)
    finally:
        os.close(lock)
    return len(letters)


def _sets(names: Iterable[str]) -> list[str]:
    kinds = {"lock", "segment", "slots", "cursor"}
    return sorted({name.partition(".")[0] for name in names if name.rpartition(".")[2] in kinds})


def _contents(folder: Folder, name: str, names: list[str]) -> Contents:
    lock = folder.lock(name + naming.LOCK)
    living = lock is None and name + naming.LOCK in names
    try:
        segments = tuple(
            _segment(folder, name, number, growing=living)
            for number in naming.numbers(names, name, "segment")
        )
        ends = (file.removesuffix(".cursor") for file in names if file.endswith(".cursor"))
        keys = [end.partition(".")[2] for end in ends if end.partition(".")[0] == name]
        return Contents(
            name,
            living,
            segments,
            len(slots.orphans(folder, name)),
            {key: cursor.load(folder, naming.cursor(name, key)) for key in keys},
        )
    finally:
        if lock is not None:
            os.close(lock)


def _segment(folder: Folder, name: str, number: int, *, growing: bool) -> Segment:
    fd = folder.open(naming.segment(name, number), os.O_RDONLY)
    with os.fdopen(fd, "rb") as file:
        data = file.read()
    if growing:
        data = data[: data.rfind(b"\n") + 1]  # its writer may be in the midst of the last line
    records = len(parse(data + b"\n", -1).payloads)
    return Segment(number, len(data), records, tuple(damage(data)))


def _blank(folder: Folder, name: str, segment: Segment) -> int:
    if not segment.damaged:
        return 0
    fd = folder.open(naming.segment(name, segment.number), os.O_WRONLY)
    try:
        for start, end in segment.damaged:
            os.pwrite(fd, b"\n" * (end - start), start)
        os.fsync(fd)
    finally:
        os.close(fd)
    return len(segment.damaged)
