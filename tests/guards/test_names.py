"""Names on records, and the tally of what the guards did."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from zeroret.guards import names
from zeroret.guards.tally import Tally


def fresh(text: str) -> str:
    """Return an equal text made at run time: a literal would be source, and shown."""
    return text[:1] + text[1:]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("MainThread", "MainThread"),
        ("Thread-12", "Thread-12"),
        ("Thread-12 (whatever it says)", "Thread-12"),
        ("ThreadPoolExecutor-0_1", "ThreadPoolExecutor-0_1"),
        ("asyncio_0", "asyncio_0"),
        ("AnyIO worker thread", "AnyIO worker thread"),
        ("Thread-1234567", "[withheld]"),
        ("Thread-1\n", "[withheld]"),
        ("Thread-\u0661", "[withheld]"),
        ("anything else", "[withheld]"),
        (None, None),
        (b"MainThread", "[withheld]"),
    ],
)
def test_thread_names(name: object, shown: str | None) -> None:
    """Fixed patterns with short numbers are shown, everything else is withheld."""
    assert names.thread(name) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("MainProcess", "MainProcess"),
        ("SpawnProcess-2", "SpawnProcess-2"),
        ("ForkPoolWorker-1", "ForkPoolWorker-1"),
        ("my prompt", "[withheld]"),
    ],
)
def test_process_names(name: str, shown: str) -> None:
    """What multiprocessing calls processes is shown."""
    assert names.process(name) == shown


def test_task_names() -> None:
    """What asyncio calls tasks is shown."""
    assert names.task("Task-7") == "Task-7"
    assert names.task("Task-" + "7" * 20) == names.task("Task-\u0663") == "[withheld]"
    assert names.task(None) is None


def test_level_names() -> None:
    """Standard levels have their names, others their number, if that is short."""
    assert names.level("INFO", 20) == "INFO"
    assert names.level("made up", 20) == "INFO"
    assert names.level("made up", 61) == "Level 61"
    assert names.level("made up", 10**20) == "Level"


def test_logger_names() -> None:
    """Modules, their children by a literal, and literals of the sources on the stack are shown."""
    frame = sys._getframe()
    assert names.logger("logging.handlers", frame) == "logging.handlers"
    assert names.logger("logging.handlers." + "audit", frame) == "logging.handlers.audit"
    assert names.logger("a.literal.name", frame) == "a.literal.name"
    assert names.logger("logging." + fresh("a name made up")[2:], frame) == "[withheld]"
    assert names.logger(5, frame) == "[withheld]"


def test_the_tally_counts_and_forgets_in_a_fork() -> None:
    """Counts add up over threads; a child process starts at zero, with a lock of its own."""
    tally = Tally()

    def work() -> None:
        for _ in range(500):
            tally.count("logs", "withheld")

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert tally.snapshot() == {"logs.withheld": 2000}
    tally._lock.acquire()
    tally.renew()
    tally.count("logs", "failed")
    assert tally.snapshot() == {"logs.failed": 1}


def test_a_forked_child_starts_at_zero() -> None:
    """The process-wide tally is renewed in a child by itself."""
    from zeroret.guards import tally

    tally.count("logs", "redacted")
    child = os.fork()
    if child == 0:
        os._exit(0 if tally.snapshot() == {} else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert tally.snapshot()["logs.redacted"] >= 1
