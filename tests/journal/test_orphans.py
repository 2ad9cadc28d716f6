"""Adoption: one heir, every exchange a record, nothing left behind."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from msgspec import UNSET

from zeroret.journal import Journal
from zeroret.journal.delivery import Delivery
from zeroret.journal.orphans import killed_record
from zeroret.sinks.callables import CallableSink
from zeroret.sinks.memory import MemorySink
from zeroret.usage.record import UsageRecord

Run = Callable[..., subprocess.Popen[str]]
Finish = Callable[..., str]

DYING = """
    journal = Journal("j").open()
    journal.append(make(1))
    plain = journal.open_slot((2).to_bytes(16), 1700000000.0)
    noted = journal.open_slot((3).to_bytes(16), 1700000000.0)
    journal.note(noted, make(3, input_tokens=42, outcome="completed", duration=0.5))
    late = journal.open_slot((4).to_bytes(16), 1700000000.0)
    journal.append(make(4))
    die()
"""


def test_killed(run: Run, finish: Finish, tmp_path: Path) -> None:
    """Open slots become killed records with what was noted; one with a record already does not."""
    finish(run(DYING), -9)
    journal = Journal(tmp_path / "j").open()
    sink = MemorySink()
    delivery = Delivery(journal, [("m", sink)])
    assert journal.adopt() == 1
    assert journal.adopt() == 0
    assert delivery.flush(5)
    found = {int(UUID(record.id)): record for record in sink.records}
    assert len(sink.records) == len(found) == 4
    assert found[1].outcome == found[4].outcome == "completed"
    assert (found[2].outcome, found[2].duration) == ("killed", None)
    assert found[2].started_at == datetime.fromtimestamp(1700000000, UTC)
    assert (found[3].outcome, found[3].duration, found[3].input_tokens) == ("killed", None, 42)
    assert journal.counters()["killed"] == 2
    assert delivery.close(5)
    assert list((tmp_path / "j").iterdir()) == []


def test_owner_builds_the_record(run: Run, finish: Finish, tmp_path: Path) -> None:
    """The owner's function decides what a killed record holds; if it fails the plain one serves."""
    finish(run(DYING), -9)
    seen = []

    def killed(exchange: bytes, started: float, noted: UsageRecord | None) -> UsageRecord:
        seen.append((exchange, started, noted))
        if noted is None:
            raise KeyError("prompt text")
        return UsageRecord(id=str(UUID(bytes=exchange)), policy="mine@1", outcome="killed")

    journal = Journal(tmp_path / "j", killed=killed).open()
    sink = MemorySink()
    delivery = Delivery(journal, [("m", sink)])
    journal.adopt()
    assert delivery.flush(5)
    assert len(seen) == 2
    policies = {int(UUID(record.id)): record.policy for record in sink.records}
    assert policies == {1: "p@0", 2: "unknown", 3: "mine@1", 4: "p@0"}
    delivery.close(5)


def test_removed_columns_stay_removed() -> None:
    """The plain killed record of a noted one has no column that the noted one had not."""
    noted = UsageRecord(id="x", policy="p", input_tokens=3)
    record = killed_record(b"k" * 16, 1.0, noted)
    assert record == noted
    assert record.outcome is UNSET
    assert killed_record(b"k" * 16, float("nan"), None).outcome == "killed"


def test_one_heir(run: Run, finish: Finish, tmp_path: Path) -> None:
    """Of several processes that adopt at once exactly one gets each dead process's set."""
    for _ in range(3):
        finish(run(DYING), -9)
    heir = """
        got = []
        journal = Journal("j").open()
        delivery = Delivery(journal, [("c", open_sink(got.extend, columns=COLUMNS))])
        print("ready", flush=True)
        while not os.path.exists("go"): time.sleep(0.0005)
        count = journal.adopt()
        delivery.flush(60)
        delivery.close(10)
        print(count, len(got))
    """
    heirs = [run(heir) for _ in range(3)]
    for process in heirs:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    results = [tuple(map(int, finish(process).split())) for process in heirs]
    assert sum(adopted for adopted, _ in results) == 3
    assert all(records == adopted * 4 for adopted, records in results), results


def test_heir_dies_too(run: Run, finish: Finish, tmp_path: Path) -> None:
    """An heir that is killed after settling leaves all to the next one, and nothing twice."""
    finish(run(DYING), -9)
    finish(run("journal = Journal('j').open(); assert journal.adopt() == 1; die()"), -9)
    journal = Journal(tmp_path / "j").open()
    got: list[UsageRecord] = []  # without a memory sink's own deduplication
    delivery = Delivery(journal, [("m", CallableSink(got.extend))])
    assert journal.adopt() == 1
    assert journal.counters()["killed"] == 0
    assert delivery.flush(5)
    assert len(got) == 4
    delivery.close(5)


def test_living_are_left_alone(tmp_path: Path) -> None:
    """A set whose process lives is nobody's to adopt."""
    alive, other = Journal(tmp_path / "j").open(), Journal(tmp_path / "j").open()
    alive.open_slot(b"k" * 16, 1.0)
    assert other.adopt() == 0
    other.close()


def test_unfinished_sets(tmp_path: Path) -> None:
    """A lock without files, as a process leaves it that is killed while it begins, just goes."""
    path = tmp_path / "j"
    journal = Journal(path).open()
    (path / "00000000000000000001-1-abcdef01.lock").touch()
    (path / "pepper").write_bytes(b"x" * 32)
    (path / "unrelated").touch()
    delivery = Delivery(journal, [("m", MemorySink())])
    assert journal.adopt() == 1
    assert delivery.flush(5)
    delivery.close(5)
    assert sorted(file.name for file in path.iterdir()) == ["pepper", "unrelated"]
