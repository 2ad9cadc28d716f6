"""The sweeper: one daemon thread that deletes from the stores what the policy's clocks make due."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from contextvars import Context
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from zeroret.errors import SinkError
from zeroret.retention.clocks import expire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zeroret.policy import Policy
    from zeroret.types import Expiring

EVERY: Final = 3600.0
"""Seconds between two sweeps."""

_FIRST: Final = 30.0  # after the start, so that many workers do not all begin with a sweep
_AGAIN: Final = 60.0  # after a store failed
_log: Final = logging.getLogger("zeroret")


def _now() -> datetime:
    return datetime.now(UTC)


class Sweeper:
    """Sweeps the stores once an hour, beginning with the first minute of the process.

    Args:
        policy: whose clocks count.
        stores: by the key of their sink; the sweeper opens its own connections through them.
        clock: the time that the policy's periods are measured to.
        every: seconds between two sweeps.
    """

    def __init__(
        self,
        policy: Policy,
        stores: Mapping[str, Expiring],
        *,
        clock: Callable[[], datetime] = _now,
        every: float = EVERY,
    ) -> None:
        self._policy = policy
        self._stores = dict(stores)
        self._clock = clock
        self._every = every
        self._renew()
        ref = weakref.WeakMethod(self._renew)
        os.register_at_fork(after_in_child=lambda: _call(ref))

    def _renew(self) -> None:
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._state: dict[str, dict[str, Any]] = {
            key: {"deleted": 0, "swept": 0, "last_error": None} for key in self._stores
        }

    def start(self) -> None:
        """Start the thread, if there is anything to sweep; idempotent."""
        if self._thread is not None or not self._stores:
            return
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="zeroret-retention", daemon=True)
        try:
            Context().run(self._thread.start)
        except RuntimeError:  # at interpreter exit
            self._thread = None

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread and close the stores; waits for a deletion at hand."""
        self._stopped.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        for store in self._stores.values():
            store.close()

    def sweep(self) -> bool:
        """Delete what is due now; False if a store failed, which is noted."""
        now = self._clock()
        well = True
        for key, store in self._stores.items():
            state = self._state[key]
            try:
                done = expire(store, self._policy, now)
            except Exception as error:  # noqa: BLE001 - whatever a store throws must not end the clock
                well = False
                known = isinstance(error, SinkError)
                state["last_error"] = str(error) if known else type(error).__name__
                _log.warning("a store could not be swept: %s", type(error).__name__)
            else:
                state["last_error"] = None
                state["swept"] += 1
                state["deleted"] += sum(each.rows for each in done)
        return well

    def counters(self) -> dict[str, dict[str, Any]]:
        """Return for each store how many rows went, in how many sweeps, and its last error."""
        return {key: dict(state) for key, state in self._state.items()}

    def _run(self) -> None:
        wait = min(_FIRST, self._every) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads workers, guards nothing
        while not self._stopped.wait(wait):
            began = time.monotonic()
            every = self._every if self.sweep() else min(_AGAIN, self._every)
            wait = max(every - (time.monotonic() - began), 0.0)


def _call(ref: weakref.WeakMethod[Callable[[], None]]) -> None:
    method = ref()
    if method is not None:
        method()
