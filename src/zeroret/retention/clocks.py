"""What is due: which table of a store loses what is older than when, by the policy's periods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zeroret.sinks import tables
from zeroret.usage.layout import layout

if TYPE_CHECKING:
    from datetime import datetime

    from zeroret.policy import Policy
    from zeroret.types import Expiring


@dataclass(frozen=True, slots=True)
class Due:
    """Rows of *table* older than *before* are past the period *keep* that the policy states."""

    table: str
    before: datetime
    keep: str


@dataclass(frozen=True, slots=True)
class Expired:
    """How many rows of a table were past their period; they are gone unless it was a dry run."""

    due: Due
    rows: int


def due(policy: Policy, now: datetime) -> list[Due]:
    """Return what every table of *policy* has to lose at *now*; a table without a clock is absent.

    The hourly totals over the usage rows have the rows' clock: they name accounts as the rows do.
    What outlives the rows is what the policy keeps apart, each collection by its own clock.

    Raises:
        ValueError: *now* has no time zone.
    """
    found = []
    before = policy.usage.keep.before(now)
    if before is not None:
        keep = str(policy.usage.keep)
        found += [Due(table, before, keep) for table in (tables.USAGE, tables.HOURLY)]
    collections = {collection.name: collection for collection in layout(policy).apart}
    for clause in policy.apart:
        before = clause.keep.before(now)
        if before is not None:
            table = tables.table_of(collections[clause.name])
            found.append(Due(table, before, str(clause.keep)))
    return found


def expire(
    store: Expiring, policy: Policy, now: datetime, *, dry_run: bool = False
) -> list[Expired]:
    """Delete what *policy* makes due at *now* from *store*; return what was due, table by table.

    Raises what the store raises; what was deleted until then stays deleted.
    """
    return [
        Expired(each, store.expire(each.table, each.before, dry_run=dry_run))
        for each in due(policy, now)
    ]
