"""What is taken once: across instances and processes, and never twice where in doubt."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from zeroret.journal import once
from zeroret.journal.once import FOLDER, KEPT, Once

SECRET = b"s" * 32


def test_a_key_is_taken_once_by_whoever_asks(tmp_path: Path) -> None:
    """Two instances that share a place agree, and so do later ones."""
    place = tmp_path / "journal"
    one, other = Once(place, SECRET), Once(place, SECRET)
    assert one.first("batch_1")
    assert not other.first("batch_1")
    assert other.first("batch_2")
    assert not Once(place, SECRET).first("batch_2")


def test_the_marks_say_nothing(tmp_path: Path) -> None:
    """A mark is an empty private file, named by a keyed digest that no id can be read from."""
    Once(tmp_path / "journal", SECRET).first("batch_secret")
    (mark,) = (tmp_path / "journal" / FOLDER).iterdir()
    assert "batch" not in mark.name
    assert len(mark.name) == 40
    status = mark.stat()
    assert (status.st_size, stat.S_IMODE(status.st_mode)) == (0, 0o600)
    assert Once(tmp_path / "other", b"t" * 32).first("batch_secret")
    (other,) = (tmp_path / "other" / FOLDER).iterdir()
    assert other.name != mark.name


def test_where_no_mark_can_be_made_nothing_is_taken(tmp_path: Path) -> None:
    """A place that cannot be used answers no: rather not at all than twice."""
    (tmp_path / "file").write_text("")
    assert not Once(tmp_path / "file", SECRET).first("batch_1")
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / FOLDER).symlink_to(tmp_path)
    assert not Once(tmp_path / "journal", SECRET).first("batch_1")


def test_old_marks_go(tmp_path: Path) -> None:
    """Marks that are older than any result a provider keeps are removed when a process begins."""
    place = tmp_path / "journal"
    Once(place, SECRET).first("batch_1")
    (mark,) = (place / FOLDER).iterdir()
    long_ago = mark.stat().st_mtime - KEPT - 1
    os.utime(mark, (long_ago, long_ago))
    fresh = Once(place, SECRET)
    assert fresh.first("batch_2")
    assert not mark.exists()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder the marks last as long as the process, and no more than so many."""
    monkeypatch.setattr(once, "REMEMBERED", 3)
    held = Once("memory", SECRET)
    assert [held.first(key) for key in "aabcd"] == [True, False, True, True, True]
    assert held.first("a"), "the oldest was let go"
