"""Appending: one write a line, repaired when it fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zeroret.journal import writer as segments
from zeroret.journal.backlog import SegmentBacklog
from zeroret.journal.folder import Folder
from zeroret.journal.lines import frame
from zeroret.journal.writer import SegmentWriter
from zeroret.usage.record import UsageRecord, encode


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Give an open journal directory."""
    folder = Folder(tmp_path / "journal")
    yield folder
    folder.close()


def read(backlog: SegmentBacklog, key: str = "k") -> list[str]:
    """Return the ids of everything that is to be delivered, and deliver it."""
    found = []
    while batch := backlog.peek(key, 2):
        found += [record.id for record in batch.records]
        backlog.advance(key, batch)
    return found


def test_rotation(folder: Folder, make: Callable[..., UsageRecord]) -> None:
    """A full segment is closed, the next one begun, and a reader passes over the border."""
    writer = SegmentWriter(folder, "s", 1000, bound=1 << 30)
    records = [make(number) for number in range(20)]
    backlog = SegmentBacklog(folder, "s", writer)
    for record in records:
        writer.write(frame(encode(record)))
    assert writer.number >= 3
    assert sorted(writer.sealed) == list(range(writer.number))
    assert read(backlog) == [record.id for record in records]
    assert backlog.passed("k", writer.mark())
    backlog.close()
    writer.close()


def test_short_write(
    folder: Folder, make: Callable[..., UsageRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that the disk cuts short raises, and swallows no line after it."""
    writer = SegmentWriter(folder, "s", 1 << 20, bound=1 << 30)
    backlog = SegmentBacklog(folder, "s", writer)
    writer.write(frame(encode(make(1))))
    before = writer.mark()
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(segments, "_write", lambda fd, data: real(fd, data[:30]))
        for _ in range(2):
            with pytest.raises(OSError, match="short write"):
                writer.write(frame(encode(make(2))))
    assert writer.mark() == before
    writer.write(frame(encode(make(3))))
    assert read(backlog) == [make(1).id, make(3).id]
    assert backlog.torn == 2
    assert backlog.passed("k", writer.mark())
    backlog.close()
    writer.close()


def test_unfinished_line_waits(folder: Folder, make: Callable[..., UsageRecord]) -> None:
    """A line that is being written is not read before it is whole; a dead process's torn one is."""
    writer = SegmentWriter(folder, "s", 1 << 20, bound=1 << 30)
    backlog = SegmentBacklog(folder, "s", writer)
    line = frame(encode(make(1)))
    path = folder.path / "s.0.segment"
    path.write_bytes(line[:50])
    assert read(backlog) == []
    assert backlog.torn == 0
    path.write_bytes(line)
    assert read(backlog) == [make(1).id]
    path.write_bytes(line + line[:50])
    orphan = SegmentBacklog(folder, "s")
    assert read(orphan, "other") == [make(1).id]
    assert orphan.torn == 1
    assert orphan.passed("other", orphan.mark())
    for each in (backlog, orphan):
        each.close()
    writer.close()


def test_garbage(folder: Folder, make: Callable[..., UsageRecord]) -> None:
    """A megabyte of damage without a line end is stepped over."""
    line = frame(encode(make(1)))
    (folder.path / "s.0.segment").write_bytes(b"\0" * 1_500_000 + b"\n" + line)
    orphan = SegmentBacklog(folder, "s")
    assert read(orphan) == [make(1).id]
    assert orphan.torn >= 1
    orphan.close()


def test_cursor_survives(folder: Folder, make: Callable[..., UsageRecord]) -> None:
    """An heir goes on where the cursor of each sink stands; a damaged cursor begins anew."""
    writer = SegmentWriter(folder, "s", 700, bound=1 << 30)
    for number in range(10):
        writer.write(frame(encode(make(number))))
    writer.close()
    first = SegmentBacklog(folder, "s", writer)
    for _ in range(2):
        batch = first.peek("k", 2)
        assert batch is not None
        first.advance("k", batch)
    first.close()
    heir = SegmentBacklog(folder, "s")
    assert read(heir) == [make(number).id for number in range(4, 10)]
    assert len(read(heir, "other")) == 10
    heir.close()
    (folder.path / "s.k.cursor").write_text("nonsense")
    again = SegmentBacklog(folder, "s")
    assert len(read(again)) == 10
    assert again.ids() == {make(number).id for number in range(10)}
    again.close()
