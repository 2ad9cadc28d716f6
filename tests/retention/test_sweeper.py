"""The sweeper: rows go by themselves where the policy promises it, and nowhere else."""

from __future__ import annotations

import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from zeroret import ZeroRetention
from zeroret.errors import SinkError
from zeroret.policy import Policy
from zeroret.retention import sweeper as module
from zeroret.retention.sweeper import Sweeper
from zeroret.usage.identity import format_id, new_id
from zeroret.usage.record import UsageRecord

NOOR = Policy.load("noorapi")


class Store:
    """A store that notes what it was asked to delete."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.asked: list[tuple[str, datetime]] = []
        self.trouble = trouble
        self.swept = threading.Event()
        self.closed = False

    def expire(self, table: str, before: datetime, *, dry_run: bool = False) -> int:
        """Delete two rows of everything."""
        self.asked.append((table, before))
        self.swept.set()
        if self.trouble is not None:
            raise self.trouble
        return 2

    def close(self) -> None:
        """Note it."""
        self.closed = True


def test_a_sweep_asks_each_store_for_what_is_due() -> None:
    """Every table with a clock is asked, by the clock that was given."""
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    store = Store()
    sweeper = Sweeper(NOOR, {"a": store}, clock=lambda: moment)
    sweeper.sweep()
    before = moment - timedelta(days=90)
    assert store.asked == [("usage", before), ("usage_hourly", before)]
    assert sweeper.counters() == {"a": {"deleted": 4, "swept": 1, "last_error": None}}


def test_a_failing_store_does_not_hold_up_another() -> None:
    """An error is noted by its class, or by our own sentence; the others are swept."""
    good = Store()
    stores = {"bad": Store(RuntimeError("secret")), "down": Store(SinkError("down")), "good": good}
    sweeper = Sweeper(NOOR, stores)
    sweeper.sweep()
    counters = sweeper.counters()
    assert [counters[key]["last_error"] for key in stores] == ["RuntimeError", "down", None]
    assert good.asked


def test_the_thread_is_the_librarys_own_and_ends() -> None:
    """It begins soon after the start, has zeroret's name, and closes the stores at the end."""
    store = Store()
    sweeper = Sweeper(NOOR, {"a": store}, every=0.02)
    sweeper.start()
    sweeper.start()
    assert store.swept.wait(30)
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("zeroret-retention") == 1
    sweeper.stop()
    assert store.closed
    assert "zeroret-retention" not in [thread.name for thread in threading.enumerate()]


def test_after_a_failure_the_next_sweep_comes_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for an hour because the store was busy for a moment."""
    monkeypatch.setattr(module, "_FIRST", 0.0)
    monkeypatch.setattr(module, "_AGAIN", 0.01)
    store = Store(RuntimeError("busy"))
    sweeper = Sweeper(NOOR, {"a": store})
    sweeper.start()
    assert store.swept.wait(30)
    store.trouble = None
    deadline = time.monotonic() + 30
    while not sweeper.counters()["a"]["swept"] and time.monotonic() < deadline:
        time.sleep(0.01)
    sweeper.stop()
    assert sweeper.counters()["a"] == {"deleted": 4, "swept": 1, "last_error": None}


def old_and_new(uri: str) -> None:
    """Write a record of today and one of last year."""
    from zeroret.sinks import open_sink

    sink = open_sink(uri, columns=NOOR.columns)
    for days in (0, 365):
        began = datetime.now(UTC) - timedelta(days=days)
        identity = format_id(new_id(began.timestamp()))
        sink.write([UsageRecord(id=identity, policy="noorapi@1", started_at=began, account="a")])
    sink.close()


@pytest.mark.parametrize(("policy", "left"), [("noorapi", 1), ("wallet", 2)])
def test_rows_delete_themselves_where_it_is_promised(
    policy: str, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running server under noorapi loses old rows; under wallet they wait for the command."""
    monkeypatch.setattr(module, "_FIRST", 0.0)
    path = tmp_path / "usage.db"
    uri = f"sqlite:///{path}"
    old_and_new(uri)
    with ZeroRetention(policy, [uri, print]) as runtime:
        posture: Any = runtime.posture()["retention"]
        states = list(posture["sinks"].values())
        assert posture["keep"] == "90 days"
        assert "cannot delete" in states[1]
        if policy == "wallet":
            assert "by command" in states[0]
        deadline = time.monotonic() + 30
        while policy == "noorapi" and time.monotonic() < deadline:
            (state, _) = runtime.posture()["retention"]["sinks"].values()
            if state["swept"]:
                break
            time.sleep(0.01)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM usage").fetchone() == (left,)
    connection.close()
