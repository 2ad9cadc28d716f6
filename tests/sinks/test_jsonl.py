"""The file of JSON lines: shared, idempotent, and whole after a kill."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from zeroret.sinks import jsonl
from zeroret.sinks.jsonl import JsonlSink
from zeroret.usage.record import UsageRecord, decode

MakeRecord = Callable[..., UsageRecord]


def ids(path: Path) -> list[int]:
    """Return the numbers of the records in the file."""
    return [json.loads(line)["input_tokens"] for line in path.read_text().splitlines()]


def test_lines(tmp_path: Path, make: MakeRecord) -> None:
    """Each record is one line that decodes to it; the file is private."""
    path = tmp_path / "sub" / "u.jsonl"
    sink = JsonlSink(f"jsonl:///{path}")
    sink.write([make(1), make(2)])
    sink.close()
    assert [decode(line) for line in path.read_bytes().splitlines()] == [make(1), make(2)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_columns(tmp_path: Path, make: MakeRecord) -> None:
    """A column that the policy removes is not written."""
    path = tmp_path / "u.jsonl"
    sink = JsonlSink(f"jsonl:///{path}", columns=["id", "policy", "usage_source"])
    sink.write([make(1)])
    sink.close()
    assert json.loads(path.read_text()).keys() == {"id", "policy", "usage_source"}


def test_idempotent(tmp_path: Path, make: MakeRecord) -> None:
    """A known id is not written again: by this sink, by a new one, by another process's."""
    path = tmp_path / "u.jsonl"
    first, second = (JsonlSink(f"jsonl:///{path}") for _ in range(2))
    first.write([make(1), make(1), make(2)])
    second.write([make(2), make(3)])
    first.write([make(3), make(4)])
    third = JsonlSink(f"jsonl:///{path}")
    third.write([make(number) for number in range(6)])
    assert ids(path) == [1, 2, 3, 4, 0, 5]
    for sink in (first, second, third):
        sink.close()


def test_torn_line(tmp_path: Path, make: MakeRecord) -> None:
    """A line that its writer was killed in swallows nothing, and its record is written again."""
    path = tmp_path / "u.jsonl"
    first = JsonlSink(f"jsonl:///{path}")
    first.write([make(1), make(2)])
    os.truncate(path, path.stat().st_size - 20)
    second = JsonlSink(f"jsonl:///{path}")
    second.write([make(1), make(2)])
    first.write([make(3)])
    lines = path.read_bytes().splitlines()
    assert [decode(lines[each]).input_tokens for each in (0, 2, 3)] == [1, 2, 3]
    assert len(lines) == 4
    first.close()
    second.close()


def test_rotated_away(tmp_path: Path, make: MakeRecord) -> None:
    """After logrotate a new file is begun, and records of the old one are still known."""
    path = tmp_path / "u.jsonl"
    sink = JsonlSink(f"jsonl:///{path}")
    sink.write([make(1)])
    path.rename(tmp_path / "u.jsonl.1")
    sink.write([make(1), make(2)])
    path.write_text("")
    sink.write([make(3)])
    sink.close()
    assert ids(tmp_path / "u.jsonl.1") == [1]
    assert ids(path) == [3]


def test_only_the_tail_is_read(
    tmp_path: Path, make: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a large file the end is searched; what is older than that may come twice, by design."""
    path = tmp_path / "u.jsonl"
    sink = JsonlSink(f"jsonl:///{path}")
    sink.write([make(number) for number in range(20)])
    sink.close()
    monkeypatch.setattr(jsonl, "TAIL_BYTES", path.stat().st_size // 2)
    again = JsonlSink(f"jsonl:///{path}")
    again.write([make(number) for number in range(12, 20)])
    again.close()
    assert len(ids(path)) == 20


def test_link(tmp_path: Path, make: MakeRecord) -> None:
    """A symbolic link in the file's place is not followed."""
    (tmp_path / "u.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        JsonlSink(f"jsonl:///{tmp_path}/u.jsonl").write([make(1)])
    assert not (tmp_path / "elsewhere").exists()


def test_full_disk(tmp_path: Path, make: MakeRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that got in half raises; the retry writes the other half only."""
    path = tmp_path / "u.jsonl"
    sink = JsonlSink(f"jsonl:///{path}")
    sink.write([make(0)])
    real, calls = os.write, []

    def write(fd: int, data: bytes) -> int:
        calls.append(fd)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(fd, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(OSError, match="No space"):
            sink.write([make(number) for number in range(1, 11)])
    sink.write([make(number) for number in range(1, 11)])
    sink.close()
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(decode(line).input_tokens)
        except ValueError:
            continue
    assert found == list(range(11))


def test_concurrent_sinks(tmp_path: Path, make: MakeRecord) -> None:
    """Writers at once, with the same records in part, leave each record once and whole."""
    path = tmp_path / "u.jsonl"

    def work(first: int) -> None:
        sink = JsonlSink(f"jsonl:///{path}")
        for number in range(first, first + 50, 5):
            sink.write([make(each) for each in range(number, number + 10)])
        sink.close()

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 20, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids(path)) == list(range(95))
