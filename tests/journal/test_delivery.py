"""Delivery: everything arrives, once in effect, whatever the sinks do."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zeroret.errors import ConfigurationError
from zeroret.journal import Journal, runner
from zeroret.journal.delivery import THREAD_NAME, Delivery
from zeroret.journal.durability import Durability
from zeroret.sinks import open_sink
from zeroret.sinks.memory import MemorySink
from zeroret.types import UsageSink
from zeroret.usage.record import COLUMNS, UsageRecord

MakeRecord = Callable[..., UsageRecord]
Run = Callable[..., subprocess.Popen[str]]
Finish = Callable[..., str]


class Flaky:
    """A sink that fails as *plan* says, before or after the real sink has the batch."""

    def __init__(self, sink: UsageSink, plan: Sequence[str]) -> None:
        self.sink = sink
        self.plan = list(plan)

    def write(self, records: Sequence[UsageRecord], /) -> None:
        """Write, or fail, or both."""
        step = self.plan.pop(0) if self.plan else "well"
        if step == "before":
            raise RuntimeError("the prompt of a user")
        if step == "part":
            self.sink.write(records[: len(records) // 2])
            raise OSError("no")
        self.sink.write(records)
        if step == "after":
            raise ConnectionError("no")

    def close(self) -> None:
        """Close the real sink."""
        self.sink.close()


def sqlite_ids(path: Path) -> list[str]:
    """Return the ids in a SQLite store."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT id FROM usage").fetchall()
    connection.close()
    return sorted(row[0] for row in rows)


def jsonl_ids(path: Path) -> list[str]:
    """Return the ids in a file of JSON lines."""
    return sorted(json.loads(line)["id"] for line in path.read_text().splitlines() if line)


PLANS = st.lists(st.sampled_from(["well", "before", "after", "part"]), max_size=6)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(PLANS, PLANS, st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(0, 3))
def test_no_loss_no_doubles(  # noqa: PLR0913, PLR0917 - fixtures and drawn values
    tmp_path_factory: pytest.TempPathFactory,
    make: MakeRecord,
    first: list[str],
    second: list[str],
    bursts: list[int],
    restart: int,
) -> None:
    """With sinks that fail at any moment, and a restart, each store has each record once."""
    path = tmp_path_factory.mktemp("delivery")
    sqlite = open_sink(f"sqlite:///{path}/u.db", columns=COLUMNS)
    jsonl = open_sink(f"jsonl:///{path}/u.jsonl", columns=COLUMNS)
    sinks = [("s", Flaky(sqlite, first)), ("j", Flaky(jsonl, second))]
    number = 0
    journal = Journal(path / "j", durability=Durability(segment_bytes=2000)).open()
    delivery = Delivery(journal, sinks, interval=0.001)
    for burst, count in enumerate(bursts):
        for _ in range(count):
            journal.append(make(number))
            number += 1
        delivery.flush(0.01)
        if burst == restart:
            delivery.close(0.01)
            journal = Journal(path / "j", durability=Durability(segment_bytes=2000)).open()
            journal.attach(["s", "j"])
            journal.adopt()
            delivery = Delivery(journal, sinks, interval=0.001)
    deadline = time.monotonic() + 20
    while not delivery.flush(0.05) and time.monotonic() < deadline:
        pass
    delivery.close(5)
    expected = sorted(make(each).id for each in range(number))
    assert sqlite_ids(path / "u.db") == expected
    assert jsonl_ids(path / "u.jsonl") == expected
    assert list((path / "j").iterdir()) == []


def test_recovers(tmp_path: Path, make: MakeRecord) -> None:
    """A sink that fails some times gets everything by itself; the text of errors is not kept."""
    journal = Journal(tmp_path / "j").open()
    sink = MemorySink()
    delivery = Delivery(journal, [("f", Flaky(sink, ["before"] * 3))], interval=0.01)
    journal.append(make(1))
    deadline = time.monotonic() + 10
    while not sink.records and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sink.records == [make(1)]
    assert delivery.flush(5)
    counters = delivery.counters()["sinks"]["f"]
    assert counters["retries"] == 3
    assert counters["last_error"] == "RuntimeError"
    assert "prompt" not in repr(delivery.counters())
    delivery.close(5)


def test_sinks_do_not_wait_for_each_other(tmp_path: Path, make: MakeRecord) -> None:
    """A sink that hangs holds up neither the other sink nor the end."""
    journal = Journal(tmp_path / "j").open()
    hang, well = threading.Event(), MemorySink()

    def hanging(records: list[UsageRecord]) -> None:
        hang.wait(20)
        raise TimeoutError

    sinks = [("h", open_sink(hanging, columns=COLUMNS)), ("w", well)]
    delivery = Delivery(journal, sinks, interval=0.01)
    journal.append(make(1))
    assert not delivery.flush(0.3)
    assert well.records == [make(1)]
    assert not delivery.close(0.2)
    hang.set()
    for each in delivery._runners:
        assert each.ended(5)
    heir = Journal(tmp_path / "j").open()
    sink = MemorySink()
    delivery = Delivery(heir, [("h", sink), ("w", MemorySink())])
    assert heir.adopt() == 1
    assert delivery.flush(5)
    assert sink.records == [make(1)]
    delivery.close(5)


def test_threads_start_at_the_first_record(tmp_path: Path, make: MakeRecord) -> None:
    """No thread runs before the first record; then one per sink, a daemon; none after the end."""

    def names() -> list[str]:
        mine = [each for each in threading.enumerate() if each.name.startswith(THREAD_NAME)]
        assert all(each.daemon for each in mine)
        return sorted(each.name for each in mine)

    journal = Journal(tmp_path / "j").open()
    delivery = Delivery(journal, [("a", MemorySink()), ("b", MemorySink())])
    slot = journal.open_slot(b"k" * 16, 1.0)
    assert names() == []
    journal.record(make(1), slot)
    assert names() == [f"{THREAD_NAME}-0", f"{THREAD_NAME}-1"]
    assert delivery.close(5)
    assert names() == []


def test_used_again_after_close(tmp_path: Path, make: MakeRecord) -> None:
    """A late record after the end is kept for the next start."""
    journal = Journal(tmp_path / "j").open()
    delivery = Delivery(journal, [("m", MemorySink())])
    delivery.close(1)
    journal.record(make(9), journal.open_slot(b"k" * 16, 1.0))
    heir = Journal(tmp_path / "j").open()
    sink = MemorySink()
    delivery = Delivery(heir, [("m", sink)])
    assert heir.adopt() == 1
    assert delivery.flush(5)
    assert sink.records == [make(9)]
    delivery.close(5)


def test_same_sink_twice(tmp_path: Path) -> None:
    """Two sinks with one name would share a cursor: refused."""
    with pytest.raises(ConfigurationError, match="each destination once"):
        Delivery(Journal(tmp_path / "j"), [("a", MemorySink()), ("a", MemorySink())])


def test_backoff_grows_to_its_limit(tmp_path: Path) -> None:
    """The wait after failures doubles from 0.1 s to 30 s, with jitter below that."""
    journal = Journal(tmp_path / "j")
    one = runner.Runner("k", MemorySink(), journal, interval=0.2, adopt_every=0)
    waits = [one._backoff() for _ in range(40)]
    assert all(0.05 * 2**n <= wait <= 0.1 * 2**n for n, wait in enumerate(waits[:8]))
    assert all(15 <= wait <= 30 for wait in waits[10:])


def test_exit_without_close(run: Run, finish: Finish, tmp_path: Path) -> None:
    """A process that just ends has delivered at its end; one that is killed, at the next start."""
    finish(
        run("""
        journal = Journal("j").open()
        delivery = Delivery(journal, [("s", open_sink("sqlite:///u.db", columns=COLUMNS))])
        for number in range(1000):
            journal.record(make(number), journal.open_slot(number.to_bytes(16), 1.0))
        """)
    )
    assert len(sqlite_ids(tmp_path / "u.db")) == 1000
    assert list((tmp_path / "j").iterdir()) == []
    finish(
        run("""
        journal = Journal("j").open()
        for number in range(1000, 1500):
            journal.append(make(number))
        os._exit(0)
        """)
    )
    assert len(list((tmp_path / "j").iterdir())) == 2
    finish(
        run("""
        journal = Journal("j").open()
        delivery = Delivery(journal, [("s", open_sink("sqlite:///u.db", columns=COLUMNS))])
        delivery.start()
        while os.listdir("j"): time.sleep(0.01)
        """)
    )
    assert len(sqlite_ids(tmp_path / "u.db")) == 1500


def test_records_at_exit(run: Run, finish: Finish) -> None:
    """At interpreter exit no thread is started: first records delivered inline, or left on disk."""
    out = finish(
        run("""
        import atexit
        def late(name, journal, delivery, flush):
            journal.append(make(1))
            if flush: print(name, delivery.flush(5))
            threads = [t.name for t in threading.enumerate() if t.name.startswith("zeroret")]
            print(name, len(threads))
        got = []
        first = Journal("a").open()
        atexit.register(lambda: late("after", first, one, False))
        one = Delivery(first, [("c", open_sink(got.extend, columns=COLUMNS))])
        one._inline = False
        atexit.register(lambda: setattr(one, "_inline", True))
        atexit.register(lambda: late("inline", second, two, True))
        second = Journal("b").open()
        two = Delivery(second, [("c", open_sink(got.extend, columns=COLUMNS))])
        atexit.unregister(two._at_exit)
        two._inline = True
        """)
    )
    assert out.splitlines() == ["inline True", "inline 0", "after 0"]
