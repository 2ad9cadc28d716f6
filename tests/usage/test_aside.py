"""Work that is done aside: results, order, bounds, forks."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from zeroret.usage import aside
from zeroret.usage.aside import MOST_WAITING, THREAD_NAME, Job


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Give an event that holds the worker until it is set."""
    held = threading.Event()
    yield held
    held.set()
    assert aside.settle(10)


def test_work_is_done_in_a_thread_of_its_own() -> None:
    """The result is there after a wait, and the thread is ours."""
    job = aside.start(lambda: threading.current_thread().name)
    assert job is not None
    assert job.wait(10)
    assert job.result == THREAD_NAME


def test_work_that_fails_has_no_result() -> None:
    """An error gives None, and the next job is done."""
    failed = aside.start(lambda: 1 // 0)
    done = aside.start(lambda: 1)
    assert failed is not None
    assert done is not None
    assert failed.wait(10)
    assert done.wait(10)
    assert (failed.result, done.result) == (None, 1)


def test_what_follows_is_called_once_whenever_it_is_said(gate: threading.Event) -> None:
    """A continuation is called with the result, before or after the end; its error is nobody's."""
    told: list[int | None] = []

    def work() -> int:
        gate.wait(10)
        return 7

    job = aside.start(work)
    assert job is not None
    job.then(lambda _: 1 // 0)
    job.then(told.append)
    assert told == []
    gate.set()
    assert aside.settle(10)
    assert told == [7]
    job.then(told.append)
    assert told == [7, 7]


def test_not_too_much_waits(gate: threading.Event) -> None:
    """Past the bound no work is taken; it is taken again when there is room."""
    jobs = [aside.start(lambda: gate.wait(10)) for _ in range(MOST_WAITING)]
    assert None not in jobs
    assert aside.start(lambda: 1) is None
    assert not aside.settle(0.01)
    gate.set()
    assert aside.settle(10)
    assert aside.start(lambda: 1) is not None


def test_nothing_is_kept_of_what_was_done() -> None:
    """A job lets go of its work, which may hold a prompt."""
    job: Job[int] = Job(lambda: 1)
    job.run()
    assert job._work is None
    assert job.result == 1


def test_a_forked_child_counts_too() -> None:
    """The parent's thread is not in the child, which gets its own."""
    first = aside.start(lambda: 1)
    assert first is not None
    assert first.wait(10)
    child = os.fork()
    if not child:
        job = aside.start(lambda: 2)
        os._exit(0 if job is not None and job.wait(10) and job.result == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
