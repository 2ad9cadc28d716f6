"""Durability: syncing many records at once, a bound on the disk, and what a full one means."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.journal import Journal
from zeroret.journal import durability as module
from zeroret.journal.durability import Durability, Syncer, Ticker
from zeroret.journal.runner import BATCH
from zeroret.usage.record import UsageRecord

MakeRecord: TypeAlias = Callable[..., UsageRecord]


def delivered(journal: Journal, key: str = "s") -> list[str]:
    """Take everything that is there, as a sink that holds it then, and return the ids."""
    found: list[str] = []
    for source in journal.sources():
        while (batch := source.peek(key, BATCH)) is not None:
            found += [record.id for record in batch.records]
            source.advance(key, batch)
    return found


@given(st.lists(st.sampled_from(["append", "wait", "look"])))
def test_a_wait_covers_what_was_appended_before_it(steps: list[str]) -> None:
    """Whatever the order of calls, after a wait the last sync came after the last append."""
    events: list[str] = []
    now = [10.0]
    syncer = Syncer(lambda: events.append("sync"), clock=lambda: now[0])
    for step in steps:
        now[0] += 0.3
        if step == "append":
            events.append("append")
            syncer.appended()
        elif step == "wait":
            syncer.wait()
            since = events[::-1]
            assert "append" not in since[: since.index("sync")] if "sync" in since else True
            assert ("append" in events) <= ("sync" in events)
        else:
            syncer.look()
    assert events.count("sync") <= events.count("append")


def test_waits_share_a_sync() -> None:
    """Callers that wait while one sync runs are all covered by the next one."""
    running, go = threading.Event(), threading.Event()
    syncs = []

    def sync() -> None:
        syncs.append(1)
        running.set()
        assert go.wait(30)

    syncer = Syncer(sync)
    syncer.appended()
    first = threading.Thread(target=syncer.wait)
    first.start()
    assert running.wait(30)
    for _ in range(20):
        syncer.appended()
    others = [threading.Thread(target=syncer.wait) for _ in range(20)]
    for thread in others:
        thread.start()
    go.set()
    for thread in [first, *others]:
        thread.join(30)
    assert len(syncs) == 2


def test_a_sync_that_fails_is_counted() -> None:
    """A disk that cannot sync costs no caller an exception."""

    def sync() -> None:
        raise OSError(5, "input/output error")

    syncer = Syncer(sync)
    syncer.appended()
    syncer.wait()
    assert syncer.errors == 1


def test_an_interval_passes_between_two_looks() -> None:
    """Looks sync at most once in the interval, and only if there is something new."""
    now = [10.0]
    syncs: list[float] = []
    syncer = Syncer(lambda: syncs.append(now[0]), clock=lambda: now[0])
    for tenth in range(35):
        now[0] = 10 + tenth / 10
        if tenth < 25:
            syncer.appended()
        syncer.look()
    assert syncs == [10.0, 11.0, 12.0, 13.0]


def test_the_ticker_calls_until_it_is_stopped() -> None:
    """Its thread belongs to zeroret by name, and ends when asked."""
    called = threading.Event()
    names = []

    def call() -> None:
        names.append(threading.current_thread().name)
        called.set()

    ticker = Ticker(call, 0.01)
    ticker.start()
    assert called.wait(30)
    ticker.stop()
    assert names[0] == "zeroret-fsync"


@pytest.mark.parametrize(("fsync", "least"), [("never", 0), ("interval", 1), ("always", 5)])
def test_records_are_synced_as_chosen(
    fsync: Any,
    least: int,
    tmp_path: Path,
    make: MakeRecord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``always`` syncs before each wait returns, ``interval`` by itself, ``never`` never."""
    synced: list[int] = []
    real = os.fsync

    def fsync_(fd: int) -> None:
        synced.append(fd)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync_)
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    journal = Journal(tmp_path / "j", durability=Durability(fsync=fsync)).open()
    before = len(synced)
    for number in range(5):
        journal.append(make(number))
        journal.wait_durable()
    if fsync == "always":
        assert len(synced) - before >= least
    journal.close()
    assert (len(synced) > before) == (fsync != "never")
    assert journal.counters()["unsynced"] == 0


def test_the_bound_counts_as_a_full_disk(tmp_path: Path, make: MakeRecord) -> None:
    """Past the bound records wait in memory; what is delivered makes room again."""
    bound = Durability(most_bytes=20_000)
    journal = Journal(tmp_path / "j", durability=bound).open()
    journal.attach(["s"])
    for number in range(300):
        journal.append(make(number))
    segments = list((tmp_path / "j").glob("*.segment"))
    assert sum(path.stat().st_size for path in segments) <= 20_000
    counters = journal.counters()
    assert counters["errors"] == counters["queued"] > 0
    assert len(set(delivered(journal))) == 300
    journal.collect()
    errors = journal.errors
    journal.append(make(1000))
    assert journal.errors == errors
    assert len(delivered(journal)) == 1
    journal.close()


def test_shed_keeps_nothing_of_what_the_disk_does_not_take(
    tmp_path: Path, make: MakeRecord
) -> None:
    """With ``full="shed"`` memory stays flat, and every lost record is counted."""
    journal = Journal(tmp_path / "j", durability=Durability(full="shed", most_bytes=5_000)).open()
    journal.attach(["s"])
    for number in range(200):
        journal.append(make(number))
    assert journal.counters()["queued"] == 0
    assert journal.shed == journal.errors > 0
    assert len(delivered(journal)) == 200 - journal.shed
    journal.close()


def test_refuse_accepts_again_when_there_is_room(
    tmp_path: Path, make: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk stops new exchanges, loses no record of the old ones, and is tried again."""
    monkeypatch.setattr("zeroret.journal.files._RETRY", 0.0)
    refusing = Durability(full="refuse", most_bytes=5_000)
    journal = Journal(tmp_path / "j", durability=refusing).open()
    journal.attach(["s"])
    number = 0
    while journal.accepts():
        journal.append(make(number))
        number += 1
        assert number < 1000
    journal.append(make(number))  # of an exchange that began before
    assert not journal.accepts()
    assert len(set(delivered(journal))) == number + 1
    journal.collect()
    assert journal.accepts()
    journal.close()


def test_other_choices_always_accept(tmp_path: Path, make: MakeRecord) -> None:
    """Only ``refuse`` costs anybody a reply."""
    for full in ("memory", "shed"):
        tight = Durability(full=full, most_bytes=500)
        journal = Journal(tmp_path / full, durability=tight).open()
        for number in range(10):
            journal.append(make(number))
        assert journal.errors
        assert journal.accepts()
        journal.close()
