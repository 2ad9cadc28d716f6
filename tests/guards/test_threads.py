"""Threads carry the exchange in which work was handed to them, and nothing longer than that."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.guards import audit, threads


@pytest.fixture
def inside() -> Iterator[Flight]:
    """An exchange that runs now, with the thread guard installed."""
    threads.install()
    flight = Flight()
    current, last = CURRENT.set(flight), LAST.set(flight)
    yield flight
    CURRENT.reset(current)
    LAST.reset(last)
    threads.uninstall()


def test_install_and_uninstall_leave_threads_as_they_were() -> None:
    """The guard is counted; after the last uninstall the methods are Python's own."""
    before = threading.Thread.start, ThreadPoolExecutor.submit
    threads.install()
    threads.install()
    threads.uninstall()
    assert (threading.Thread.start, ThreadPoolExecutor.submit) != before
    threads.uninstall()
    threads.uninstall()
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == before


def test_threads_of_every_kind_carry_the_exchange(inside: Flight) -> None:
    """Targets, subclasses that override run, and timers run inside the exchange."""
    seen: list[Flight | None] = []

    def note() -> None:
        seen.append(CURRENT.get())
        seen.append(LAST.get())

    class Own(threading.Thread):
        def run(self) -> None:
            note()

    for thread in (threading.Thread(target=note), Own(), threading.Timer(0, note)):
        thread.start()
        thread.join()
        assert "run" not in vars(thread)
    assert seen == [inside] * 6


def test_who_wraps_run_is_told_of_its_exception_inside(inside: Flight) -> None:
    """A tracker that wraps a thread's run, as Sentry does, still finds the exchange afterwards."""
    seen: list[Flight | None] = []

    def start(self: threading.Thread) -> None:
        run = self.run

        def told() -> None:
            try:
                run()
            except ValueError:
                seen.append(CURRENT.get())

        self.run = told  # type: ignore[method-assign] # as trackers do
        start_plainly(self)

    def fail() -> None:
        raise ValueError

    threads.uninstall()
    start_plainly, threading.Thread.start = threading.Thread.start, start  # type: ignore[method-assign] # likewise
    threads.install()
    try:
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    finally:
        threads.uninstall()
        threading.Thread.start = start_plainly  # type: ignore[method-assign] # as it was
        threads.install()
    assert seen == [inside]


def test_a_pools_worker_carries_it_for_one_job_only(inside: Flight) -> None:
    """The worker a pool starts inside an exchange does not stay in it."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(CURRENT.get).result() is inside
        token, last = CURRENT.set(None), LAST.set(None)
        try:
            assert pool.submit(CURRENT.get).result() is None
            assert pool.submit(LAST.get).result() is None
        finally:
            CURRENT.reset(token)
            LAST.reset(last)
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 // 0).result()
        assert CURRENT.get() is inside


def test_own_threads_and_threads_of_no_exchange_carry_nothing(inside: Flight) -> None:
    """The library's threads outlive every exchange; others without one stay as they are."""
    seen: list[Flight | None] = []

    def see(_: object) -> None:
        seen.append(CURRENT.get())

    audit.register("zeroret.seen", see)
    own = threading.Thread(target=audit._hook(), args=("zeroret.seen", ()), name="zeroret-test")
    own.start()
    own.join()
    audit.unregister("zeroret.seen", see)
    token, last = CURRENT.set(None), LAST.set(None)
    free = threading.Thread(target=lambda: seen.append(CURRENT.get()))
    free.start()
    free.join()
    CURRENT.reset(token)
    LAST.reset(last)
    assert seen == [None, None]


def test_starting_twice_is_still_an_error(inside: Flight) -> None:
    """What Python refuses stays refused, and the thread is left as it was."""
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    with pytest.raises(RuntimeError):
        thread.start()
    assert "run" not in vars(thread)
