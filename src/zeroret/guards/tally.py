"""The tally: what the guards of this process did, counted by guard and kind, never quoted."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["withheld", "redacted", "failed"]
"""What happened to an event: not shown, shown in part, or dropped because a guard itself failed."""


class Tally:
    """Counters of one process; a forked child starts at zero, so that sums over processes hold."""

    def __init__(self) -> None:
        # Re-entrant: a finaliser that runs inside may itself be guarded and counted.
        self._lock = threading.RLock()
        self._counts: dict[str, int] = {}

    def count(self, guard: str, kind: Kind) -> None:
        """Count one event of *guard*, such as ``("logs", "withheld")``."""
        key = f"{guard}.{kind}"
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1

    def snapshot(self) -> dict[str, int]:
        """Return the counts so far by ``guard.kind``; kinds that never happened are absent."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def renew(self) -> None:
        """Start at zero with a lock of this process: the parent's may be held for ever."""
        self._lock = threading.RLock()
        self._counts = {}


TALLY: Final = Tally()
"""The tally of this process."""

os.register_at_fork(after_in_child=TALLY.renew)


def failed(guard: str) -> None:
    """Count an event that *guard* dropped because it failed itself; never raises."""
    with suppress(Exception):
        TALLY.count(guard, "failed")


count = TALLY.count
snapshot = TALLY.snapshot
