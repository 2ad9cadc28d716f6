"""The layout of a store that keeps tables: what a policy lets stand together, and what apart.

The usage rows have the policy's columns. Beside them stand hourly totals over the same columns, and
the collections that the policy keeps apart. A collection never holds the id of an exchange: it
cannot be joined back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from zeroret.usage.record import ALWAYS, COLUMNS, FIELDS, PRICE_VERSION, TOKEN_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeroret.policy import Policy

Per: TypeAlias = Literal["exchange", "hour", "day"]

DIMENSIONS: Final[tuple[str, ...]] = (
    "policy",
    "account",
    "key_id",
    "route",
    "dialect",
    "provider",
    "request_model",
    "response_model",
    "outcome",
    "usage_source",
)
"""Columns that totals are kept by, where the policy keeps them."""

MEASURES: Final[tuple[str, ...]] = (*TOKEN_COLUMNS, "request_bytes", "response_bytes", "cost")
"""Columns that totals add up, where the policy keeps them; the exchanges are counted, too."""

_CLIENT_WORDS: Final = {"browser": "client", "device": "client"}


@dataclass(frozen=True, slots=True)
class Collection:
    """What stands apart from the usage rows, in a table of its own.

    Args:
        name: as the policy has it.
        columns: the record's columns that it holds, in the record's order.
        per: what one row stands for; ``hour`` and ``day`` are totals.
        with_account: whether its rows name the account.
    """

    name: str
    columns: tuple[str, ...]
    per: Per
    with_account: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """The tables of one policy.

    Args:
        columns: of the usage rows, in the record's order.
        apart: the collections beside them.
    """

    columns: tuple[str, ...] = COLUMNS
    apart: tuple[Collection, ...] = ()

    @property
    def recorded(self) -> frozenset[str]:
        """Every column that some table needs; a record has to carry them all."""
        found = set(self.columns)
        for collection in self.apart:
            found |= set(collection.columns) | {"started_at"}
            found |= {"account"} if collection.with_account else set()
        return frozenset(found)


def layout(policy: Policy, *, priced: bool = False) -> Layout:
    """Return the layout of *policy*'s stores; *priced* has the price version beside the cost."""
    return Layout(
        ordered({*policy.columns, *priced_columns(policy, priced=priced)}),
        tuple(
            Collection(
                each.name,
                ordered(_CLIENT_WORDS.get(column, column) for column in each.columns),
                each.per,
                with_account=each.with_account,
            )
            for each in policy.apart
        ),
    )


def priced_columns(policy: Policy, *, priced: bool) -> frozenset[str]:
    """Return what stands beside a cost where prices compute it: the version of the prices."""
    return frozenset({PRICE_VERSION} if priced and "cost" in policy.columns else ())


def of_columns(columns: Iterable[str] | None) -> Layout:
    """Return the layout of usage rows with these *columns* and nothing apart; None is all."""
    return Layout() if columns is None else Layout(ordered({*columns, *ALWAYS}))


def layout_columns(layout: Layout) -> tuple[str, ...]:
    """Return every column that a record carries for *layout*, in the record's order."""
    return ordered(layout.recorded)


def ordered(columns: Iterable[str]) -> tuple[str, ...]:
    """Return *columns* in the record's order; names that are none are dropped."""
    kept = frozenset(columns)
    return tuple(name for name in FIELDS if name in kept)
