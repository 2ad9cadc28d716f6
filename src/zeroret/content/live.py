"""The live set: every exchange of this process whose content may still be matched.

It is process-wide because finalisers, loop callbacks, pool workers and records written after the
response have no context of their own. Entering and leaving is on the reply's path and costs plain
dict operations under one lock; one daemon thread lets content go when its grace is over.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextvars import Context
from math import inf
from typing import Final, TypeVar

from zeroret.content.flight import Flight

T = TypeVar("T")

HELD_BUDGET: Final = 64 * 2**20
"""Bytes of content the process references before flights in grace are dropped early."""

RESOLUTION: Final = 0.05
"""Seconds within which drops are bundled, so that load wakes the thread twenty times a second."""

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
        self._live: dict[int, Flight] = {}
        self._grace: dict[int, tuple[float, int, Flight]] = {}
        self._grace_held = 0
        self._wake_at = inf
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        renew = weakref.WeakMethod(self._after_fork)
        os.register_at_fork(after_in_child=lambda: _renew(renew))

    @property
    def busy(self) -> bool:
        """True while any flight is running or in grace."""
        return bool(self._live or self._grace)

    @property
    def held(self) -> int:
        """Bytes of content referenced now, by running flights and those in grace."""
        return self._grace_held + sum(flight.held for flight in _snapshot(self._live))

    def enter(self, flight: Flight) -> None:
        """Count *flight* as running."""
        self._live[id(flight)] = flight

    def leave(self, flight: Flight, grace: float) -> None:
        """Let *flight* go after *grace* seconds, at once for 0; leaving twice is harmless."""
        running = self._live.pop(id(flight), None) is not None
        if grace <= 0:
            with self._changed:
                self._discard(id(flight))
            flight.drop()
            return
        if not running or flight.closed:
            return
        now = self._clock()
        held = flight.held
        with self._changed:
            due = now + grace
            self._grace[id(flight)] = (due, held, flight)
            self._grace_held += held
            if held > _LARGE or self._grace_held > self._budget // 2:
                self._shrink()
            if due < self._wake_at and not self._call_thread(due):
                self._discard(id(flight))
                flight.drop()
            elif now > self._wake_at + _OVERDUE:
                # A server that forbids threads never runs ours: traffic does its work then.
                self._wake_at = self._sweep(now)

    def flights(self) -> tuple[Flight, ...]:
        """Return every flight that was not dropped yet, the running ones first."""
        closed = [flight for _, _, flight in _snapshot(self._grace)]
        return (*_snapshot(self._live), *closed)

    def _call_thread(self, due: float) -> bool:
        """Have the thread awake by *due*; False if there can be no thread. Needs the lock."""
        self._wake_at = due
        if self._thread is not None and self._thread.is_alive():
            self._changed.notify()
            return True
        if sys.is_finalizing() or not threading.main_thread().is_alive():
            return False
        thread = threading.Thread(target=self._keep_house, name="zeroret-grace", daemon=True)
        try:
            # In an empty context, so that the thread keeps no exchange alive.
            Context().run(thread.start)
        except RuntimeError:
            self._wake_at = inf
            return False
        self._thread = thread
        return True

    def _sweep(self, now: float) -> float:
        """Drop what is due at *now*; return when the next is due. Needs the lock."""
        due = [key for key, (at, _, _) in self._grace.items() if at <= now]
        for key in due:
            self._expire(key)
        return min((at for at, _, _ in self._grace.values()), default=inf)

    def _keep_house(self) -> None:
        """Drop what is due, for ever; asleep while nothing is."""
        while True:
            with self._changed:
                # Asked for before looking: whoever leaves meanwhile wakes us or is seen.
                self._wake_at = inf
                self._wake_at = self._sweep(self._clock())
                if self._wake_at == inf:
                    self._changed.wait()
                else:
                    self._changed.wait(max(self._wake_at - self._clock(), RESOLUTION))

    def _shrink(self) -> None:
        """Drop the oldest flights in grace until the budget holds. Needs the lock."""
        excess = self.held - self._budget
        for key in list(self._grace):
            if excess <= 0:
                return
            excess -= self._grace[key][1]
            self._expire(key)

    def _expire(self, key: int) -> None:
        flight = self._discard(key)
        if flight is not None:
            flight.drop()

    def _discard(self, key: int) -> Flight | None:
        entry = self._grace.pop(key, None)
        if entry is None:
            return None
        self._grace_held -= entry[1]
        return entry[2]

    def _after_fork(self) -> None:
        """Renew lock and thread; flights in grace are the parent's, a running one may be ours."""
        self._changed = threading.Condition()
        self._thread = None
        self._wake_at = inf
        for key in list(self._grace):
            self._expire(key)
        for flight in self._live.values():
            flight.index = None


def _snapshot(entries: dict[int, T]) -> list[T]:
    """Return the values of a dict that other threads change meanwhile."""
    while True:
        try:
            return list(entries.values())
        except RuntimeError:
            # A finaliser that ran during the copy changed the size: take it again.
            continue


def _renew(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    """Call a method in a fork's child if its object still lives."""
    renew = method()
    if renew is not None:
        renew()


LIVE: Final = LiveSet()
"""The live set of this process."""
