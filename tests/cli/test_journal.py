"""``zeroret journal``: what the command shows, finds, delivers and mends."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zeroret.cli import main
from zeroret.journal import Journal
from zeroret.sinks import open_sink, sink_key
from zeroret.usage.record import COLUMNS, UsageRecord, encode

MakeRecord: TypeAlias = Callable[..., UsageRecord]


@pytest.fixture
def left(tmp_path: Path, make: MakeRecord) -> Path:
    """Give a journal that a process left with ten records and one open exchange."""
    journal = Journal(tmp_path / "j").open()
    for number in range(10):
        journal.append(make(number))
    journal.open_slot(bytes(15) + b"\x63", 1_700_000_000.0)
    journal.after_fork()  # lets go of locks and files as the process's death does
    return tmp_path / "j"


def test_show_tells_living_from_dead(
    left: Path, make: MakeRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sets, records, open exchanges and dead letters are counted."""
    living = Journal(left).open()
    living.append(make(50))
    living.bury("abc", encode(make(51)), "DataError")
    assert main(["journal", "show", str(left)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"dead +10 +[\d,]+ +1 +0\n", out)
    assert re.search(r"living +1 +", out)
    assert "sink abc: 1 dead letters" in out
    assert "2 sets, 11 records, 1 dead letters" in out
    living.close()


def test_verify_finds_and_repair_blanks(left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A flipped byte is found by its place; after the repair the other records are all there."""
    (segment,) = left.glob("*.segment")
    data = bytearray(segment.read_bytes())
    data[data.index(b"\n") + 30] ^= 1
    segment.write_bytes(data)
    assert main(["journal", "verify", str(left)]) == 1
    assert re.search(r"segment: bytes \d+ to \d+\n9 records are whole", capsys.readouterr().out)
    assert main(["journal", "repair", str(left)]) == 0
    assert "1 damaged places blanked" in capsys.readouterr().out
    assert main(["journal", "verify", str(left)]) == 0
    assert "9 records are whole; 0 places are damaged" in capsys.readouterr().out
    assert segment.stat().st_size == len(data)


def test_drain_delivers_what_is_left(
    left: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every record of the dead process arrives, the killed exchange too, and the set is gone."""
    uri = f"sqlite:///{tmp_path}/usage.db"
    assert main(["journal", "drain", str(left), "--sink", uri]) == 0
    assert "11 records delivered" in capsys.readouterr().out
    assert not list(left.glob("*.segment"))
    import sqlite3

    connection = sqlite3.connect(tmp_path / "usage.db")
    rows = connection.execute("SELECT outcome, count(*) FROM usage GROUP BY 1").fetchall()
    columns = {row[1] for row in connection.execute("PRAGMA table_info(usage)")}
    connection.close()
    assert dict(rows) == {"completed": 10, "killed": 1}
    assert "client_ip" not in columns


def test_drain_says_what_stays(
    left: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a sink that fails the command fails, and everything stays where it was."""
    (tmp_path / "usage.jsonl").mkdir()
    uri = f"jsonl:///{tmp_path}/usage.jsonl"
    assert main(["journal", "drain", str(left), "--sink", uri, "--timeout", "0.3"]) == 1
    captured = capsys.readouterr()
    assert "IsADirectoryError" in captured.out
    assert "stays in the journal" in captured.err
    assert list(left.glob("*.segment"))


def test_dead_letters_come_again(
    left: Path, tmp_path: Path, make: MakeRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was put aside is queued again by its sink's key, and delivered like any record."""
    uri = f"sqlite:///{tmp_path}/usage.db"
    key = sink_key(uri, 0)
    journal = Journal(left).open()
    journal.bury(key, encode(make(77)), "DataError")
    journal.close()
    assert main(["journal", "repair", str(left), "--requeue", "nobody"]) == 2
    assert f"those that have: {key}" in capsys.readouterr().err
    assert main(["journal", "repair", str(left), "--requeue", key]) == 0
    assert "1 dead letters queued again" in capsys.readouterr().out
    assert main(["journal", "drain", str(left), "--sink", uri]) == 0
    sink = open_sink(uri, columns=COLUMNS)
    sink.write([make(77)])
    sink.close()
    assert not list(left.glob("*.dead"))


@pytest.mark.parametrize("action", ["show", "verify", "repair"])
def test_a_typo_makes_no_directory(
    action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory that is not there is an error with a hint, and stays away."""
    assert main(["journal", action, str(tmp_path / "typo")]) == 2
    assert "there is no directory" in capsys.readouterr().err
    assert not (tmp_path / "typo").exists()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_segment_cut_or_hit_anywhere_loses_no_other_record(
    data: st.DataObject, make: MakeRecord, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever bytes are hit, a repaired segment verifies, and lost are only the lines hit."""
    place = tmp_path_factory.mktemp("cut") / "j"
    journal = Journal(place).open()
    for number in range(8):
        journal.append(make(number))
    journal.after_fork()
    (segment,) = place.glob("*.segment")
    whole = segment.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    hits = data.draw(st.sets(st.integers(0, len(whole) - 1), max_size=3))
    damaged = bytearray(whole)
    for at in hits:
        damaged[at] ^= data.draw(st.integers(1, 255))
    segment.write_bytes(damaged[:cut])
    assert main(["journal", "repair", str(place)]) == 0
    assert main(["journal", "verify", str(place)]) == 0
    lines = whole.split(b"\n")[:-1]
    untouched, at = 0, 0
    for line in lines:
        end = at + len(line)
        untouched += end <= cut and not any(at <= hit <= end for hit in hits)
        at = end + 1
    reread = Journal(place).open()
    reread.attach(["s"])
    reread.adopt()
    found: list[str] = []
    for source in reread.sources():
        while (batch := source.peek("s", 100)) is not None:
            found += [record.id for record in batch.records]
            source.advance("s", batch)
    assert len(found) >= untouched
    assert len(found) == len(set(found))
    reread.close()
