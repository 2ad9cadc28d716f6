"""The live set: who is in it, for how long, and what remains."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from math import inf

import pytest

from zeroret.content.flight import Flight
from zeroret.content.live import LiveSet
from zeroret.content.matching import shares


class Content(str):
    """A chunk that can be weakly referenced, so that a test sees it go."""

    __slots__ = ("__weakref__",)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time it is now."""
        return self.now


def holding(size: int) -> Flight:
    """Return a flight that holds *size* bytes."""
    flight = Flight()
    flight.hold(b"x" * size)
    return flight


def until(condition: object, seconds: float = 5.0) -> bool:
    """Wait until a condition holds, at most some seconds."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def test_a_running_flight_is_listed_and_makes_the_set_busy() -> None:
    """Whoever entered and did not leave is live."""
    live, flight = LiveSet(), Flight()
    assert not live.busy
    live.enter(flight)
    assert live.busy
    assert live.flights() == (flight,)


def test_without_grace_content_goes_at_once() -> None:
    """Grace 0 drops in the call itself and starts no thread."""
    live, flight = LiveSet(), holding(10)
    live.enter(flight)
    live.leave(flight, 0)
    assert flight.closed
    assert flight.chunks == []
    assert not live.busy
    assert live._thread is None


def test_in_grace_a_flight_is_still_matched_and_goes_without_traffic() -> None:
    """The housekeeping thread alone ends the grace."""
    live, flight = LiveSet(), holding(10)
    live.enter(flight)
    live.leave(flight, 0.2)
    assert live.flights() == (flight,)
    assert not flight.closed
    assert until(lambda: flight.closed)
    assert not live.busy
    assert live.held == 0


def test_grace_ends_by_the_clock_and_not_before() -> None:
    """A flight stays until its due time and is dropped at it, whatever grace others have."""
    clock = Clock()
    live = LiveSet(clock=clock)
    short, long = holding(1), holding(2)
    for flight, grace in ((long, 60.0), (short, 10.0)):
        live.enter(flight)
        live.leave(flight, grace)
    with live._lock:
        assert live._sweep(clock.now + 9.9) == clock.now + 10
        assert not short.closed
        assert live._sweep(clock.now + 10) == clock.now + 60
    assert short.closed
    assert not long.closed
    assert live.held == 2


def test_a_shorter_grace_wakes_a_thread_that_sleeps_longer() -> None:
    """The thread is called earlier when something is due earlier."""
    live, long, short = LiveSet(), Flight(), Flight()
    for flight, grace in ((long, 600.0), (short, 0.05)):
        live.enter(flight)
        live.leave(flight, grace)
    assert until(lambda: short.closed)
    assert live.flights() == (long,)


def test_leaving_twice_and_leaving_unknown_is_harmless() -> None:
    """A second leave neither drops early nor counts bytes twice; with grace 0 it drops."""
    live, flight = LiveSet(), holding(7)
    live.leave(Flight(), 5)
    live.enter(flight)
    live.leave(flight, 600)
    live.leave(flight, 600)
    assert live.flights() == (flight,)
    assert live.held == 7
    live.leave(flight, 0)
    assert not live.busy
    assert live.held == 0


def test_past_the_budget_the_oldest_in_grace_go_first_and_running_ones_stay() -> None:
    """The process-wide budget costs grace, oldest first, never a running exchange."""
    live = LiveSet(budget=1000)
    running = holding(400)
    live.enter(running)
    closed = [holding(300) for _ in range(4)]
    for number, flight in enumerate(closed):
        live.enter(flight)
        live.leave(flight, 600 - number % 2)
    assert [flight.closed for flight in closed] == [True, True, False, False]
    assert not running.closed
    assert live.held == 1000


def test_if_no_thread_can_start_content_goes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather no grace than content that nothing would ever drop."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    live, flight = LiveSet(), holding(5)
    live.enter(flight)
    live.leave(flight, 600)
    assert flight.closed
    assert not live.busy


def test_where_threads_never_run_traffic_ends_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may let threads start and never run them."""
    monkeypatch.setattr(threading.Thread, "start", lambda _: None)
    monkeypatch.setattr(threading.Thread, "is_alive", lambda _: True)
    clock = Clock()
    live, first, second = LiveSet(clock=clock), Flight(), Flight()
    live.enter(first)
    live.leave(first, 1)
    clock.now += 5
    live.enter(second)
    live.leave(second, 1)
    assert first.closed
    assert live.flights() == (second,)


def test_nothing_refers_to_content_after_the_drop() -> None:
    """Neither the set, nor the index, nor the sleeping thread keeps a chunk."""
    live, flight = LiveSet(), Flight()
    chunk = Content("the quick brown fox jumps over the lazy dog again and again")
    flight.hold(chunk)
    gone = weakref.ref(chunk)
    live.enter(flight)
    assert shares("brown fox jumps over the lazy", flight)
    index = weakref.ref(flight.index)
    live.leave(flight, 0.05)
    assert until(lambda: flight.closed)
    del chunk
    gc.collect()
    assert gone() is None
    assert index() is None
    assert flight.index is None


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_its_own_thread_and_not_the_parents_grace() -> None:
    """Running flights stay, those in grace go, and grace works on in the child."""
    live, running, closed = LiveSet(), holding(3), holding(5)
    for flight in (running, closed):
        live.enter(flight)
    live.leave(closed, 600)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert live.flights() == (running,)
            assert closed.closed
            live.leave(running, 0.05)
            code = 0 if until(lambda: running.closed) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert set(live.flights()) == {running, closed}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_lock_held_at_the_fork_does_not_stop_the_child() -> None:
    """Another thread may hold the set's lock when the process forks."""
    live, held, done = LiveSet(), threading.Event(), threading.Event()

    def hold() -> None:
        with live._lock:
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        flight = Flight()
        live.enter(flight)
        live.leave(flight, 0.01)
        os._exit(0 if until(lambda: flight.closed) else 1)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Follower:
    """What follows drops: counts its calls, and wants the next one after some seconds."""

    def __init__(self, again: float = inf) -> None:
        self.calls = 0
        self.again = again

    def __call__(self) -> float:
        """Take a call."""
        self.calls += 1
        return self.again


@pytest.mark.parametrize("grace", [0, 0.02])
def test_what_follows_a_drop_is_bundled(grace: float) -> None:
    """After many drops it comes soon, in the thread, few times, and without further traffic."""
    live, follower = LiveSet(), Follower()
    live.follow(follower)
    threads: list[str] = []

    def note() -> float:
        threads.append(threading.current_thread().name)
        return inf

    live.follow(note)
    for _ in range(200):
        flight = holding(10)
        live.enter(flight)
        live.leave(flight, grace)
    assert follower.calls <= 1
    assert until(lambda: follower.calls and not live.busy)
    time.sleep(0.15)
    assert 1 <= follower.calls <= 3
    assert set(threads) == {"zeroret-grace"}
    live.unfollow(follower)
    calls = follower.calls
    live.enter(flight := holding(1))
    live.leave(flight, 0)
    assert until(lambda: len(threads) > calls)
    assert follower.calls == calls


def test_what_follows_may_ask_to_be_called_again() -> None:
    """It is called when it said, though nothing was dropped, and at once after the next drop."""
    live, follower = LiveSet(), Follower(0.1)
    live.follow(follower)
    live.enter(flight := holding(1))
    live.leave(flight, 0)
    assert until(lambda: follower.calls >= 3)
    follower.again = 1000.0
    calls = follower.calls
    assert until(lambda: follower.calls > calls)
    time.sleep(0.1)
    calls = follower.calls
    live.enter(flight := holding(1))
    live.leave(flight, 0)
    assert until(lambda: follower.calls > calls)


def test_what_follows_may_fail() -> None:
    """An error there ends neither the thread nor the drops."""
    live, follower = LiveSet(), Follower()
    live.follow(lambda: 1 / 0)
    live.follow(follower)
    for calls in (1, 2):
        live.enter(flight := holding(1))
        live.leave(flight, 0.01)
        assert until(lambda calls=calls: follower.calls >= calls)
        assert flight.closed


@pytest.mark.parametrize("grace", [0, 0.5])
def test_without_a_thread_traffic_does_what_follows(
    grace: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no thread can start, or none ever runs, the next exchange sees to it."""
    clock = Clock()
    live, follower = LiveSet(clock=clock), Follower(10.0)
    live.follow(follower)

    def refuse(_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for calls in range(1, 4):
        live.enter(flight := holding(1))
        live.leave(flight, grace)
        clock.now += 5
        assert flight.closed
        assert follower.calls == calls
    monkeypatch.setattr(threading.Thread, "start", lambda _: None)  # "started", and never runs
    monkeypatch.setattr(threading.Thread, "is_alive", lambda _: True)
    for _ in range(4):
        live.enter(flight := holding(1))
        live.leave(flight, grace)
        clock.now += 5
    assert follower.calls > 4
