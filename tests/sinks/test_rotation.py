"""Rotation: files are moved aside in time, nothing is written twice, and the clock reaches them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from zeroret.errors import ConfigurationError
from zeroret.sinks.jsonl import JsonlSink
from zeroret.sinks.rotation import Rotation, aside, kept_aside
from zeroret.usage.identity import format_id, new_id
from zeroret.usage.record import UsageRecord

MakeRecord = Callable[..., UsageRecord]
NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


def status(path: Path, age: timedelta, size: int = 5) -> os.stat_result:
    """Return the status of a file that was last written *age* before `NOW`."""
    path.write_bytes(b"x" * size)
    written = (NOW - age).timestamp()
    os.utime(path, (written, written))
    return path.stat()


@pytest.mark.parametrize(
    ("query", "age", "size", "due"),
    [
        ("", timedelta(days=90), 10**6, False),
        ("rotate=day", timedelta(hours=12), 5, False),
        ("rotate=day", timedelta(hours=13), 5, True),
        ("rotate=hour", timedelta(minutes=29), 5, False),
        ("rotate=hour", timedelta(minutes=31), 5, True),
        ("rotate=hour", timedelta(days=1), 0, False),
        ("rotate=2kB", timedelta(0), 1999, False),
        ("rotate=2kB", timedelta(0), 2000, True),
    ],
)
def test_a_file_is_due_by_its_size_or_the_end_of_its_day(
    query: str,
    age: timedelta,
    size: int,
    due: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
) -> None:
    """Days and hours are UTC's; an empty file is never moved."""
    assert Rotation.of(query).is_due(status(tmp_path / "u", age, size), NOW) == due


@pytest.mark.parametrize(
    "query", ["rotate=", "rotate=week", "rotate=5", "rotat=day", "a=b&rotate=day"]
)
def test_mistakes_say_what_is_allowed(query: str) -> None:
    """Anything else is refused when the sink is made."""
    with pytest.raises(ConfigurationError, match=r"rotate=day, rotate=hour or a size"):
        JsonlSink.check(f"jsonl:///usage.jsonl?{query}")


def test_nothing_is_written_twice_across_files(tmp_path: Path, make: MakeRecord) -> None:
    """Two writers of one rotating file: every record once, in all files together."""
    uri = f"jsonl:///{tmp_path}/u.jsonl?rotate=2kB"
    first, second = JsonlSink(uri), JsonlSink(uri)
    for number in range(40):
        first.write([make(number)])
        second.write([make(number + 100)])
    for number in range(35, 40):
        first.write([make(number)])
    files = [tmp_path / "u.jsonl", *kept_aside(tmp_path / "u.jsonl")]
    assert len(files) > 3
    lines = [line for path in files for line in path.read_text().splitlines()]
    assert len(lines) == len({json.loads(line)["id"] for line in lines}) == 80
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    first.close()
    second.close()


def dated(began: datetime) -> UsageRecord:
    """Return a record that began then."""
    return UsageRecord(id=format_id(new_id(began.timestamp())), policy="p@1", started_at=began)


def test_the_clock_reaches_every_file(tmp_path: Path) -> None:
    """Old records go from the file and from those aside; a writer beside it loses nothing."""
    path = tmp_path / "u.jsonl"
    sink, other = JsonlSink(f"jsonl:///{path}"), JsonlSink(f"jsonl:///{path}")
    sink.write([dated(NOW - timedelta(days=day)) for day in range(10)])
    path.rename(aside(path, NOW))
    sink.write([dated(NOW - timedelta(days=day)) for day in range(5, 8)])
    other.write([dated(NOW)])
    before = NOW - timedelta(days=4, hours=12)
    assert sink.expire("usage", before, dry_run=True) == 8
    assert sink.expire("usage_hourly", before) == 0
    assert sink.expire("usage", before) == 8
    assert sink.expire("usage", before) == 0
    other.write([dated(NOW + timedelta(seconds=1))])
    sink.write([dated(NOW + timedelta(seconds=2))])
    text = "".join(each.read_text() for each in tmp_path.iterdir())
    assert sum("started_at" in line for line in text.splitlines()) == 8
    assert (NOW - timedelta(days=9)).date().isoformat() not in text
    (gone,) = kept_aside(path)
    assert gone.exists()
    sink.expire("usage", NOW - timedelta(hours=1))
    assert not list(kept_aside(path)) or gone.read_text()
    sink.close()
    other.close()
