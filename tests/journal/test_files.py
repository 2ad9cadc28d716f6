"""The journal on disk: what `append` promises, whatever the disk and the process do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from zeroret.errors import ConfigurationError
from zeroret.journal import Journal, ownset
from zeroret.journal.delivery import Delivery
from zeroret.journal.durability import Durability
from zeroret.sinks.memory import MemorySink
from zeroret.usage.record import UsageRecord

MakeRecord = Callable[..., UsageRecord]
Run = Callable[..., subprocess.Popen[str]]
Finish = Callable[..., str]


def test_no_files_before_use(tmp_path: Path, make: MakeRecord) -> None:
    """Opening makes the directory only; the first record makes the files, all of them 0600."""
    journal = Journal(tmp_path / "j").open()
    assert list((tmp_path / "j").iterdir()) == []
    journal.append(make(1))
    journal.open_slot(b"k" * 16, 1.0)
    files = list((tmp_path / "j").iterdir())
    assert {file.suffix for file in files} == {".lock", ".segment", ".slots"}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_open_refuses(tmp_path: Path, make: MakeRecord) -> None:
    """A directory that is not private is refused at the start; `append` then still never raises."""
    tmp_path.chmod(0o777)
    journal = Journal(tmp_path)
    with pytest.raises(ConfigurationError):
        journal.open()
    journal.append(make(1))
    assert journal.counters()["errors"] == 1
    assert journal.counters()["queued"] == 1


def test_threads(tmp_path: Path, make: MakeRecord) -> None:
    """Records of many threads arrive whole, over segment borders, each once."""
    journal = Journal(tmp_path / "j", durability=Durability(segment_bytes=5000)).open()
    sink = MemorySink()
    delivery = Delivery(journal, [("m", sink)], interval=0.01)

    def work(first: int) -> None:
        for number in range(first, first + 200):
            slot = journal.open_slot(number.to_bytes(16), 1.0)
            journal.note(slot, make(number))
            journal.record(make(number), slot)

    threads = [threading.Thread(target=work, args=(first * 1000,)) for first in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert delivery.flush(20)
    assert len(sink.records) == 1200
    assert journal.counters()["torn"] == 0
    assert journal.counters()["live"] == 0
    assert delivery.close(5)
    assert list((tmp_path / "j").iterdir()) == []


def test_delivered_segments_go(
    tmp_path: Path, make: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full segment goes when every sink holds it; the newest full one stays a while longer."""
    journal = Journal(tmp_path / "j", durability=Durability(segment_bytes=1000)).open()
    delivery = Delivery(journal, [("m", MemorySink())], interval=0.01)
    for number in range(30):
        journal.append(make(number))
    assert delivery.flush(5)
    journal.collect()
    assert len(list((tmp_path / "j").glob("*.segment"))) == 2
    monkeypatch.setattr(ownset, "_KEEP", 0.0)
    journal.collect()
    assert len(list((tmp_path / "j").glob("*.segment"))) == 1
    delivery.close(5)


def test_old_segments_end(
    tmp_path: Path, make: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows do not stay in a quiet process's segment: it is closed by age and removed."""
    journal = Journal(tmp_path / "j").open()
    delivery = Delivery(journal, [("m", MemorySink())], interval=0.01)
    journal.append(make(1))
    assert delivery.flush(5)
    monkeypatch.setattr(ownset, "_MAX_AGE", 0.0)
    monkeypatch.setattr(ownset, "_KEEP", 0.0)
    journal.collect()
    monkeypatch.undo()
    journal.append(make(2))
    assert delivery.flush(5)
    monkeypatch.setattr(ownset, "_KEEP", 0.0)
    journal.collect()
    text = b"".join(file.read_bytes() for file in (tmp_path / "j").glob("*.segment"))
    assert make(1).id.encode() not in text
    assert make(2).id.encode() in text
    delivery.close(5)


def test_full_disk(run: Run, finish: Finish) -> None:
    """With no room left every record still arrives, by way of memory; torn lines are skipped."""
    out = finish(
        run("""
        import resource
        got = []
        journal = Journal("j").open()
        delivery = Delivery(journal, [("c", open_sink(got.extend, columns=COLUMNS))])
        journal.append(make(0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        for number in range(1, 50):
            journal.record(make(number), journal.open_slot(number.to_bytes(16), 1.0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        journal.append(make(50))
        flushed = delivery.flush(10)
        ids = [int(UUID(record.id)) for record in got]
        counters = journal.counters()
        assert counters["errors"] > 30 and counters["shed"] == counters["queued"] == 0, counters
        assert counters["torn"] == 1, counters
        print(flushed, sorted(ids) == list(range(51)))
        delivery.close()
        """)
    )
    assert out == "True True"


def test_dev_full(tmp_path: Path, make: MakeRecord) -> None:
    """A disk that takes nothing fills the bounded queue, then sheds the oldest, counted."""
    journal = Journal(tmp_path / "j", queue_limit=5).open()
    journal.append(make(0))
    own = journal._own
    assert own is not None
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, own.writer._fd)
    os.close(full)
    for number in range(1, 10):
        journal.append(make(number))
    assert journal.errors == 9
    assert journal.shed == 4
    sink = MemorySink()
    delivery = Delivery(journal, [("m", sink)])
    assert delivery.flush(5)
    assert {record.input_tokens for record in sink.records} == {0, 5, 6, 7, 8, 9}
    delivery.close(5)


def test_unwritable_place(tmp_path: Path, make: MakeRecord) -> None:
    """A place where no directory can be made costs durability only."""
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "j")
    sink = MemorySink()
    delivery = Delivery(journal, [("m", sink)])
    slot = journal.open_slot(b"k" * 16, 1.0)
    journal.record(make(1), slot)
    assert delivery.flush(5)
    assert sink.records == [make(1)]
    delivery.close(5)


def test_close_with_exchanges_in_flight(tmp_path: Path, make: MakeRecord) -> None:
    """Closing leaves the files of unfinished exchanges to them; the last one lets go."""
    journal = Journal(tmp_path / "j").open()
    delivery = Delivery(journal, [("m", MemorySink())])
    slot = journal.open_slot((7).to_bytes(16), 1.0)
    journal.append(make(1))
    assert delivery.close(5)
    heir = Journal(tmp_path / "j").open()
    assert heir.adopt() == 0
    journal.record(make(7, outcome="aborted"), slot)
    sink = MemorySink()
    delivery = Delivery(heir, [("n", sink)])
    assert heir.adopt() == 1
    assert delivery.flush(5)
    assert [record.outcome for record in sink.records] == ["completed", "aborted"]
    delivery.close(5)
    assert list((tmp_path / "j").iterdir()) == []


def test_fork(run: Run, finish: Finish, tmp_path: Path) -> None:
    """A forked child has its own files and threads, and keeps no lock of its parent's."""
    out = finish(
        run("""
        import fcntl, warnings
        warnings.simplefilter("ignore")
        journal = Journal("j").open()
        delivery = Delivery(journal, [("s", open_sink("sqlite:///u.db", columns=COLUMNS))],
                            interval=0.01)
        slot = journal.open_slot((1).to_bytes(16), 1.0)
        stop = threading.Event()
        def work():
            number = 1000
            while not stop.is_set():
                journal.append(make(number)); number += 1; time.sleep(0.0005)
        thread = threading.Thread(target=work); thread.start()
        time.sleep(0.1)
        children = []
        parents = journal._own.name
        for child in range(1, 6):
            pid = os.fork()
            if not pid:
                journal.free(slot)
                for number in range(child * 10, child * 10 + 10):
                    journal.record(make(number), journal.open_slot(number.to_bytes(16), 1.0))
                ok = delivery.flush(20)
                kept = []
                for fd in os.listdir("/proc/self/fd"):
                    if not os.path.lexists(f"/proc/self/fd/{fd}"):
                        continue
                    name = os.readlink(f"/proc/self/fd/{fd}")
                    # What the parent's delivery was just reading, or a cursor, keeps nothing alive.
                    passing = ".cursor" in name or (
                        ".segment" in name
                        and fcntl.fcntl(int(fd), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY)
                    if parents in name and not passing:
                        kept.append(name)
                sys.exit(3 * (not ok) + 4 * len(kept))
            children.append(pid)
        codes = [os.waitpid(pid, 0)[1] for pid in children]
        stop.set(); thread.join()
        assert journal.counters()["live"] == 1
        journal.record(make(1), slot)
        print(codes, delivery.close(20))
        """)
    )
    assert out == "[0, 0, 0, 0, 0] True"
    connection = sqlite3.connect(tmp_path / "u.db")
    rows = connection.execute("SELECT input_tokens, id FROM usage ORDER BY id").fetchall()
    connection.close()
    small = [int(row[1].replace("-", ""), 16) for row in rows]
    assert [number for number in small if number < 1000] == [1, *range(10, 60)]
    large = [number for number in small if number >= 1000]
    assert large == list(range(1000, 1000 + len(large)))


def test_fork_without_hooks(tmp_path: Path, make: MakeRecord) -> None:
    """A server that forks without running fork hooks is noticed at the first record."""
    journal = Journal(tmp_path / "j").open()
    journal.append(make(1))
    before = journal._own
    journal._pid = -1
    journal.append(make(2))
    assert journal._own is not before
    journal._pid = -1
    assert journal.open_slot(b"k" * 16, 1.0) >= journal._base > 0
    journal.close()
