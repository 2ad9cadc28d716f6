"""Dead letters: what a sink will never take is put aside, and everything else goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zeroret.errors import RecordRefusedError
from zeroret.journal import Journal, MemoryJournal, inspection, naming
from zeroret.journal.backlog import SegmentBacklog
from zeroret.journal.deadletters import NEWER, dead_letters
from zeroret.journal.delivery import Delivery
from zeroret.journal.folder import Folder
from zeroret.journal.lines import frame
from zeroret.usage.record import UsageRecord, decode, encode

MakeRecord: TypeAlias = Callable[..., UsageRecord]


class Picky:
    """A sink whose store never takes some records, and may say which."""

    def __init__(self, poison: set[str], *, names: bool) -> None:
        self.poison = poison
        self.names = names
        self.taken: list[str] = []
        self.calls = 0

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Take a batch whole or refuse it."""
        self.calls += 1
        refused = {record.id for record in records} & self.poison
        if refused:
            raise RecordRefusedError("DataError", frozenset(refused) if self.names else frozenset())
        self.taken += [record.id for record in records]

    def close(self) -> None:
        """Hold nothing."""


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(poison=st.sets(st.integers(0, 59), max_size=12), names=st.booleans())
def test_exactly_the_refused_records_are_put_aside(
    poison: set[int],
    names: bool,  # noqa: FBT001 - drawn
    make: MakeRecord,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Every record is either taken once or among the dead letters, with the reason's class."""
    folder = tmp_path_factory.mktemp("dead") / "j"
    records = [make(number) for number in range(60)]
    sink = Picky({records[number].id for number in poison}, names=names)
    journal = Journal(folder).open()
    delivery = Delivery(journal, [("picky", sink)])
    for record in records:
        journal.append(record)
    assert delivery.flush(30)
    assert sorted(sink.taken) == sorted({each.id for each in records} - sink.poison)
    opened = Folder(folder)
    letters = dead_letters(opened, "picky")
    opened.close()
    assert sorted(decode(record).id for _, record in letters) == sorted(sink.poison)
    assert {reason for reason, _ in letters} <= {"DataError"}
    counters = delivery.counters()
    assert counters["sinks"]["picky"]["dead"] == len(poison) == counters["journal"]["dead"]
    if poison and names:
        assert sink.calls <= 2 + len(poison) + len(sink.taken)
    delivery.close()


def test_a_letter_that_cannot_be_kept_is_not_lost(
    tmp_path: Path, make: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no room for a dead letter the record stays in the journal, and comes again."""
    journal = Journal(tmp_path / "j").open()
    record = make(1)
    sink = Picky({record.id}, names=True)
    delivery = Delivery(journal, [("picky", sink)])
    full = [True]
    real = journal.bury

    def bury(key: str, record: bytes, reason: str) -> None:
        if full[0]:
            raise OSError(28, "no space left on device")
        real(key, record, reason)

    monkeypatch.setattr(journal, "bury", bury)
    journal.append(record)
    assert not delivery.flush(0.3)
    full[0] = False
    assert delivery.flush(30)
    opened = Folder(tmp_path / "j")
    assert [decode(letter).id for _, letter in dead_letters(opened, "picky")] == [record.id]
    opened.close()
    delivery.close()


def test_in_memory_they_are_counted(make: MakeRecord) -> None:
    """Without files nothing can be kept aside; the count says what was lost."""
    record = make(1)
    journal = MemoryJournal()
    delivery = Delivery(journal, [("picky", Picky({record.id}, names=False))])
    journal.append(record)
    assert delivery.flush(30)
    assert delivery.counters()["journal"]["dead"] == 1
    delivery.close()


def test_damage_hides_no_other_letter(tmp_path: Path, make: MakeRecord) -> None:
    """A letter cut at any byte is skipped; a reason that is no class name is not repeated."""
    journal = Journal(tmp_path / "j").open()
    journal.bury("s", encode(make(1)), "DataError")
    journal.bury("s", encode(make(2)), "my prompt: hello")
    folder = Folder(tmp_path / "j")
    assert [reason for reason, _ in dead_letters(folder, "s")] == ["DataError", "other"]
    path = tmp_path / "j" / "s.dead"
    whole = path.read_bytes()
    assert b"my prompt" not in whole
    journal.close()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        assert len(dead_letters(folder, "s")) <= 2
    folder.close()


def test_a_broken_store_is_asked_with_one_record(tmp_path: Path, make: MakeRecord) -> None:
    """After failures in a row the breaker is open: one record first, then batches again."""
    sizes: list[int] = []
    broken = [True]

    class Store:
        def write(self, records: Sequence[UsageRecord]) -> None:
            sizes.append(len(records))
            if broken[0]:
                raise ConnectionError

        def close(self) -> None:
            pass

    journal = Journal(tmp_path / "j").open()
    delivery = Delivery(journal, [("store", Store())], interval=0.001)
    runner = delivery._runners[0]
    for number in range(50):
        journal.append(make(number))
    runner.stop()
    assert runner.ended(30)
    for _ in range(8):
        runner.step(deadline=float("inf"))
        runner._backoff()
    assert delivery.counters()["sinks"]["store"]["breaker"] == "open"
    assert sizes[-1] == 1
    broken[0] = False
    assert runner.step(deadline=float("inf"))
    assert sizes[-2:] == [1, 49]
    assert delivery.counters()["sinks"]["store"]["breaker"] == "closed"
    delivery.close()


def test_what_a_newer_release_wrote_is_put_aside_whole(tmp_path: Path, make: MakeRecord) -> None:
    """Neither lost nor cut down to what is known here; queued again it is as it was."""
    newer = encode(make(1))[:-1] + b',"mood":"calm"}'
    closed = encode(make(2)).replace(b'"completed"', b'"postponed"')
    journal = Journal(tmp_path / "j").open()
    sink = Picky(set(), names=False)
    delivery = Delivery(journal, [("store", sink)])
    journal.append(make(0))
    segment = next((tmp_path / "j").glob("*.segment"))
    with segment.open("ab") as file:
        file.write(frame(newer) + frame(closed) + frame(b'{"no":"record"}'))
    journal.append(make(3))
    assert delivery.flush(30)
    told = delivery.counters()
    assert sink.taken == [make(0).id, make(3).id]
    assert told["sinks"]["store"]["dead"] == 2
    assert "upgrade" in told["sinks"]["store"]["last_error"]
    assert told["journal"]["torn"] == 1
    delivery.close()
    folder = Folder(tmp_path / "j")
    assert dead_letters(folder, "store") == [(NEWER, newer), (NEWER, closed)]
    assert inspection.dead_keys(folder) == {"store": 2}
    assert inspection.requeue(folder, "store") == 2
    (again,) = (tmp_path / "j").glob("*.segment")
    assert again.read_bytes() == frame(newer) + frame(closed)
    folder.close()


def test_a_killed_exchange_with_a_newer_record_is_not_told_twice(
    tmp_path: Path, make: MakeRecord
) -> None:
    """Its slot was still open when its process died, and its record is there."""
    newer = encode(make(1))[:-1] + b',"mood":"calm"}'
    folder = Folder(tmp_path / "j")
    name = naming.new_set()
    os.close(folder.open(naming.segment(name, 0), os.O_WRONLY | os.O_CREAT))
    (tmp_path / "j" / naming.segment(name, 0)).write_bytes(frame(newer))
    assert SegmentBacklog(folder, name).ids() == {make(1).id}
    folder.close()
