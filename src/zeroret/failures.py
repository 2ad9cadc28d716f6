"""Failures of our own parts, and of the operator's hooks: counted by place, told once."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from typing import Final

from zeroret.guards import exceptions
from zeroret.guards.values import server_made

_log: Final = logging.getLogger("zeroret")


class Failures:
    """Counts failures of one runtime; the first of each place is logged, by its class alone."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def note(self, place: str, error: BaseException) -> None:
        """Count *error* at *place*. Never raises, whatever the operator's log handlers do."""
        self._counts[place] += 1
        if self._counts[place] > 1:
            return
        with suppress(Exception):
            _log.warning(
                "%s failed: %s", server_made(place), server_made(exceptions.error_type(error))
            )

    def counts(self) -> dict[str, int]:
        """Return how often each place failed."""
        return dict(self._counts)
