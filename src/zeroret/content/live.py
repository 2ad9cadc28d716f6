"""The live set: every exchange of this process whose content may still be matched.

It is process-wide because finalisers, loop callbacks, pool workers and records written after the
response have no context of their own. Entering and leaving is on the reply's path and costs a few
dict and deque operations; one daemon thread lets content go when its grace is over.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from contextvars import Context
from math import inf
from typing import TYPE_CHECKING, Final

from zeroret.content.company import Company
from zeroret.content.crowd import WORK, Crowd

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.content.flight import Flight

HELD_BUDGET: Final = 64 * 2**20
"""Bytes of content the process references before flights in grace are dropped early."""

RESOLUTION: Final = 0.05
"""Seconds within which drops, and what follows them, are bundled: twenty times a second at most."""

_LARGE: Final = 64 * 2**10
_OVERDUE: Final = 1.0


class LiveSet:
    """The flights whose content may be matched: the running ones and those in grace.

    Args:
        clock: Seconds, monotonic.
        budget: Bytes of content referenced process-wide; past it the oldest flights in grace go
            first. Running flights are never dropped: each has its own budget.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, budget: int = HELD_BUDGET
    ) -> None:
        self._clock = clock
        self._budget = budget
        self._running: dict[Flight, None] = {}
        self.crowd = Crowd()
        """Their content in blocks, read when a text asks."""
        self._arrived = self.crowd.arrived
        self.everyone = Company(self, lambda _: True)
        """All flights, matched at once."""
        self.logged = Company(self, lambda flight: flight.log_guard != "none")
        """Those whose logs are guarded."""
        # One queue for each grace in use, (due, bytes held, flight): the oldest is always first.
        self._grace: dict[float, deque[tuple[float, int, Flight]]] = {}
        self._grace_held = 0
        self._wake_at = inf
        self.drops = 0
        """How often content was dropped."""
        self._followers: tuple[Callable[[], float], ...] = ()
        self._reading = False
        self._follow_at = inf
        self._thread: threading.Thread | None = None
        # Re-entrant: a finaliser that runs inside may itself close an exchange.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        renew = weakref.WeakMethod(self._after_fork)
        os.register_at_fork(after_in_child=lambda: _renew(renew))

    @property
    def busy(self) -> bool:
        """True while any flight is running or in grace."""
        return bool(self._running or self._grace)

    @property
    def held(self) -> int:
        """Bytes of content referenced now, by running flights and those in grace."""
        return self._grace_held + sum(flight.held for flight in self._snapshot())

    def enter(self, flight: Flight) -> None:
        """Count *flight* as running."""
        self._running[flight] = self._arrived[flight] = None

    def leave(self, flight: Flight, grace: float) -> None:
        """Let *flight* go after *grace* seconds, at once for 0; leaving twice is harmless."""
        running = self._running.pop(flight, flight) is None
        if grace <= 0:
            self._drop(flight)
            if not running:
                self._forget(flight)
            if self._followers:
                self._follow_soon()
            return
        if not running or flight.closed:
            if flight.closed:
                self.crowd.leave(flight)
            return
        now = self._clock()
        due = now + grace
        held = flight.held
        with self._lock:
            queue = self._grace.get(grace)
            if queue is None:
                queue = self._grace[grace] = deque()
            queue.append((due, held, flight))
            self._grace_held += held
            if held > _LARGE or self._grace_held > self._budget // 2:
                self._shrink()
            if due < self._wake_at:
                self._call_thread(due)
            elif now > self._wake_at + _OVERDUE:
                # A server that forbids threads never runs ours: traffic does its work then.
                self._work_off(now)

    def flights(self) -> tuple[Flight, ...]:
        """Return every flight that was not dropped yet, the running ones first."""
        if not self._grace:
            return tuple(self._snapshot())
        with self._lock:
            closed = [entry[2] for queue in self._grace.values() for entry in queue]
        return (*self._snapshot(), *closed)

    def follow(self, work: Callable[[], float]) -> None:
        """Have *work* called soon after content was dropped, off the reply's path and bundled.

        It returns the seconds after which to call it once more although nothing was dropped,
        `math.inf` for not at all; what it raises is ignored.
        """
        with self._lock:
            self._followers = (*self._followers, work)

    def unfollow(self, work: Callable[[], float]) -> None:
        """Undo one `follow`."""
        with self._lock:
            self._followers = tuple(each for each in self._followers if each != work)

    def read_on(self) -> None:
        """Have the crowd read what is new, bit by bit, off the path of whoever writes."""
        with self._lock:
            if not self._reading:
                self._reading = True
                self.follow(self._read_on)
        self._follow_soon()

    def _read_on(self) -> float:
        if not (self.crowd.full or self.crowd.catch_up(WORK // 2)):
            return RESOLUTION
        with self._lock:
            self._reading = False
            self.unfollow(self._read_on)
        return inf

    def _snapshot(self) -> list[Flight]:
        while True:
            try:
                return list(self._running)
            except RuntimeError:  # pragma: no cover - a finaliser changed the size meanwhile
                continue

    def _call_thread(self, due: float) -> None:
        """Have the thread awake by *due*, or drop at once if there can be none. Needs the lock."""
        self._wake_at = due
        if self._thread is not None and self._thread.is_alive():
            self._changed.notify()
            return
        if not sys.is_finalizing() and threading.main_thread().is_alive():
            thread = threading.Thread(target=self._keep_house, name="zeroret-grace", daemon=True)
            try:
                # In an empty context, so that the thread keeps no exchange alive.
                Context().run(thread.start)
            except RuntimeError:
                pass
            else:
                self._thread = thread
                return
        self._work_off(inf)

    def _keep_house(self) -> None:
        """Drop what is due, and do what follows, for ever; asleep while nothing is."""
        while True:
            with self._lock:
                now = self._clock()
                self._wake_at = min(self._sweep(now), self._follow_at)
                if now < self._follow_at:
                    left = self._wake_at - now
                    self._changed.wait(None if left == inf else max(left, RESOLUTION))
                    continue
            self._call_followers()

    def _work_off(self, now: float) -> None:
        """Do the thread's work for *now* here, since there is no thread. Needs the lock."""
        self._sweep(now)
        if self._follow_at <= now:
            self._call_followers()
        self._wake_at = min(self._sweep(now), self._follow_at)

    def _follow_soon(self) -> None:
        """Have what follows a drop done within `RESOLUTION`, if it is not to be already."""
        now = self._clock()
        if now - _OVERDUE < self._follow_at <= now + RESOLUTION:
            return
        with self._lock:
            if self._follow_at <= now:
                self._work_off(now)
                return
            self._follow_at = now + RESOLUTION
            if self._follow_at < self._wake_at:
                self._call_thread(self._follow_at)

    def _call_followers(self) -> None:
        self._follow_at = inf  # first: what is dropped meanwhile is followed anew
        for work in self._followers:
            again = inf
            with suppress(Exception):  # content must go on being dropped
                again = self._clock() + work()
            with self._lock:
                self._follow_at = min(self._follow_at, again)

    def _sweep(self, now: float) -> float:
        """Drop what is due at *now*; return when the next is due. Needs the lock."""
        for grace, queue in list(self._grace.items()):
            while queue and queue[0][0] <= now:
                self._drop_first(queue)
            if not queue:
                del self._grace[grace]
        return min((queue[0][0] for queue in self._grace.values()), default=inf)

    def _shrink(self) -> None:
        """Drop the oldest flights in grace until the budget holds. Needs the lock."""
        excess = self.held - self._budget
        while excess > 0:
            closed = [(queue[0][0] - grace, grace) for grace, queue in self._grace.items() if queue]
            if not closed:
                return
            excess -= self._drop_first(self._grace[min(closed)[1]])

    def _drop_first(self, queue: deque[tuple[float, int, Flight]]) -> int:
        _, held, flight = queue.popleft()
        self._grace_held -= held
        self._drop(flight)
        if self._followers:
            self._follow_at = min(self._follow_at, self._clock() + RESOLUTION)
        return held

    def _drop(self, flight: Flight) -> None:
        flight.drop()
        self.crowd.leave(flight)
        self.drops += 1

    def _forget(self, flight: Flight) -> None:
        """Take a flight that was dropped early out of its queue."""
        with self._lock:
            for grace, queue in list(self._grace.items()):
                for entry in [entry for entry in queue if entry[2] is flight]:
                    queue.remove(entry)
                    self._grace_held -= entry[1]
                if not queue:
                    del self._grace[grace]

    def _after_fork(self) -> None:
        """Renew lock and thread; flights in grace are the parent's, a running one may be ours."""
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread = None
        self.crowd.renew()
        self._reading = False
        self.unfollow(self._read_on)
        with self._lock:
            self._wake_at = self._sweep(inf)
            self._follow_at = inf  # the next drop of the child's own sees to it
        self._grace_held = 0
        for flight in self._running:
            # Its lock may have been held by a thread that the child does not have.
            flight.index = None


def _renew(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    """Call a method in a fork's child if its object still lives."""
    renew = method()
    if renew is not None:
        renew()


LIVE: Final = LiveSet()
"""The live set of this process."""
