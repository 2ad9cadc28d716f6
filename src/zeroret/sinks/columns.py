"""The policy's columns at the sink: what it removes is not written, whoever computed it."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import replace

from zeroret.usage.layout import ordered
from zeroret.usage.record import FIELDS, UsageRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Restriction:
    """Takes the columns that a policy does not keep out of records made under another one."""

    def __init__(self, columns: Iterable[str] | None) -> None:
        kept = FIELDS if columns is None else ordered(columns)
        self._removed = tuple(name for name in FIELDS if name not in kept)
        # Two names more, so that the getter always returns a tuple.
        self._get = attrgetter("id", "id", *self._removed)

    def apply(self, records: Sequence[UsageRecord]) -> list[UsageRecord]:
        """Return *records* without the removed columns."""
        if not self._removed:
            return list(records)
        return [self._restrict(record) for record in records]

    def _restrict(self, record: UsageRecord) -> UsageRecord:
        values = self._get(record)[2:]
        if all(value is UNSET for value in values):
            return record
        return replace(record, **dict.fromkeys(self._removed, UNSET))
