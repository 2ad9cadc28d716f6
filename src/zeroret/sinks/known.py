"""Ids that were seen lately, for stores that cannot refuse one twice by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroret.usage.record import UsageRecord

REMEMBERED: Final = 100_000
"""How many ids are remembered; the oldest go first."""


class Known:
    """Tells new records from those that came before, within what one process remembers."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._ids: dict[str, None] = {}

    def fresh(self, records: Sequence[UsageRecord]) -> list[UsageRecord]:
        """Return the records whose ids are new, each once, and remember them."""
        found = []
        for record in records:
            if record.id not in self._ids:
                self._ids[record.id] = None
                found.append(record)
        while len(self._ids) > self._limit:
            del self._ids[next(iter(self._ids))]
        return found
