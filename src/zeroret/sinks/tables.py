"""The tables of a store that speaks SQL: their names, columns and statements; nothing runs here.

``usage`` has a row per exchange. ``usage_hourly`` has totals by everything the policy keeps that
divides them; ``usage_daily`` is a view of it. Every collection apart has a table ``apart_<name>``.
In totals an unknown dimension is the empty text, so that it takes part in the primary key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from zeroret.usage.identity import least_id
from zeroret.usage.layout import DIMENSIONS, MEASURES, Collection, Layout
from zeroret.usage.record import TOKEN_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

USAGE: Final = "usage"
HOURLY: Final = "usage_hourly"
DAILY: Final = "usage_daily"
FRESH: Final = "usage_fresh"
"""The temporary table that holds, within a write, the records the store does not have yet."""

REAL: Final = frozenset({"duration", "time_to_first_token"})
INTEGER: Final = frozenset({*TOKEN_COLUMNS, "status", "request_bytes", "response_bytes"})

NANOS: Final = "cost_nanos"
"""Totals of costs: billionths of a US dollar, whole numbers."""


class Grammar(Protocol):
    """What one SQL store says in its own way."""

    def type_of(self, column: str) -> str:
        """Return the type of a record's column, with its constraints."""

    def truncated(self, column: str, per: str) -> str:
        """Return an expression for the ``hour`` or ``day`` (UTC) of a moment in *column*."""

    def nanos(self, column: str) -> str:
        """Return an expression for a decimal column times a billion, as a whole number."""

    def label(self, column: str, per: str) -> str:
        """Return an expression for a moment's ``hour``, ``day`` or ``month`` (UTC) as text."""

    @property
    def moment(self) -> str:
        """The type of a moment."""


@dataclass(frozen=True, slots=True)
class Totals:
    """A table of totals: by what, per what, and what is added up."""

    table: str
    per: str
    by: tuple[str, ...]
    sums: tuple[str, ...]


def totals(layout: Layout) -> list[Totals]:
    """Return the tables of totals that *layout* has."""
    found = []
    if "started_at" in layout.columns:
        found.append(Totals(HOURLY, "hour", *_divided(layout.columns)))
    for collection in layout.apart:
        if collection.per != "exchange":
            columns = ("account", *collection.columns) if collection.with_account else None
            by, sums = _divided(columns or collection.columns)
            found.append(Totals(table_of(collection), collection.per, by, sums))
    return found


def rows_apart(layout: Layout) -> list[Collection]:
    """Return the collections apart that have a row per exchange."""
    return [collection for collection in layout.apart if collection.per == "exchange"]


def table_of(collection: Collection) -> str:
    """Return the name of a collection's table."""
    return "apart_" + collection.name.replace("-", "_")


def _divided(columns: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    kept = frozenset(columns)
    return (
        tuple(name for name in DIMENSIONS if name in kept),
        tuple(name for name in MEASURES if name in kept),
    )


def create_totals(table: Totals, grammar: Grammar) -> str:
    """Return the statement that makes a table of totals."""
    columns = [f"{table.per} {grammar.moment} NOT NULL"]
    columns += [f"{name} TEXT NOT NULL" for name in table.by]
    columns += ["exchanges BIGINT NOT NULL"]
    columns += [f"{sum_name(name)} BIGINT NOT NULL" for name in table.sums]
    key = ", ".join((table.per, *table.by))
    return f"CREATE TABLE IF NOT EXISTS {table.table} ({', '.join(columns)}, PRIMARY KEY ({key}))"


def keep_totals(table: Totals, there: Sequence[str], grammar: Grammar) -> Iterator[str]:
    """Give the statements that make a table of totals of one that has the columns *there*.

    What another policy divided otherwise is made anew from the rows, or put aside without them.
    """
    of_usage = table.table == HOURLY
    if there and not {table.per, *table.by, "exchanges"} <= set(there):
        if of_usage:
            yield f"DROP VIEW IF EXISTS {DAILY}"
            yield f"DROP TABLE {table.table}"
        else:
            yield f"ALTER TABLE {table.table} RENAME TO {table.table}_before_{len(there)}"
        there = ()
    yield create_totals(table, grammar)
    for column in map(sum_name, table.sums) if there else ():
        if column not in there:
            yield f"ALTER TABLE {table.table} ADD COLUMN {column} BIGINT NOT NULL DEFAULT 0"
    if of_usage:
        if not there:
            yield add_totals(table, grammar, source=USAGE)
        yield f"DROP VIEW IF EXISTS {DAILY}"
        yield create_daily(table, grammar)


def create_daily(table: Totals, grammar: Grammar) -> str:
    """Return the statement that makes the view of days over the hourly totals."""
    by = "".join(f", {name}" for name in table.by)
    sums = "".join(f", CAST(sum({name}) AS BIGINT) AS {name}" for name in map(sum_name, table.sums))
    groups = ", ".join(str(number + 1) for number in range(len(table.by) + 1))
    return (
        f"CREATE VIEW {DAILY} AS SELECT {grammar.truncated('hour', 'day')} AS day{by}, "  # noqa: S608 - names of our own record
        f"CAST(sum(exchanges) AS BIGINT) AS exchanges{sums} FROM {HOURLY} GROUP BY {groups}"
    )


def create_apart(collection: Collection, grammar: Grammar) -> str:
    """Return the statement that makes the table of a collection with a row per exchange."""
    columns = [f"at {grammar.moment} NOT NULL", *(["account TEXT"] * collection.with_account)]
    columns += [
        f"{name} {grammar.type_of(name)}"
        for name in collection.columns
        if name not in {"account", "started_at"}
    ]
    return f"CREATE TABLE IF NOT EXISTS {table_of(collection)} ({', '.join(columns)})"


def add_totals(table: Totals, grammar: Grammar, *, source: str = FRESH) -> str:
    """Return the statement that adds the records in *source* to a table of totals.

    Rows are taken in the order of the key, so that two writers never wait for each other in turn.
    """
    names = (table.per, *table.by, "exchanges", *map(sum_name, table.sums))
    values = [
        grammar.truncated("started_at", table.per),
        *(f"COALESCE({name}, '')" for name in table.by),
        "count(*)",
        *(f"COALESCE(sum({_summed(name, grammar)}), 0)" for name in table.sums),
    ]
    key = (table.per, *table.by)
    order = ", ".join(str(number + 1) for number in range(len(key)))
    added = ", ".join(
        f"{name} = {table.table}.{name} + excluded.{name}" for name in names if name not in key
    )
    return (
        f"INSERT INTO {table.table} ({', '.join(names)}) SELECT {', '.join(values)} "  # noqa: S608 - names of our own record
        f"FROM {source} WHERE started_at IS NOT NULL GROUP BY {order} ORDER BY {order} "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {added}"
    )


def add_apart(collection: Collection, grammar: Grammar) -> str:
    """Return the statement that adds the fresh records to a collection with a row per exchange.

    Without an account the moment is cut to the hour: else it would say which usage row it was.
    """
    moment = "started_at" if collection.with_account else grammar.truncated("started_at", "hour")
    columns = [name for name in collection.columns if name not in {"account", "started_at"}]
    names = ["at", *(["account"] * collection.with_account), *columns]
    values = [moment, *(["account"] * collection.with_account), *columns]
    return (
        f"INSERT INTO {table_of(collection)} ({', '.join(names)}) "  # noqa: S608 - names of our own record
        f"SELECT {', '.join(values)} FROM {FRESH} WHERE started_at IS NOT NULL"
    )


def older(table: str, columns: Sequence[str], before: datetime) -> tuple[str, datetime | str]:
    """Return a column of *table*, and the value below which its rows are older than *before*.

    Totals are older when all of their hour or day is; rows without a moment are told by their id.
    """
    if "hour" in columns:
        return "hour", before.replace(minute=0, second=0, microsecond=0)
    if "day" in columns:
        return "day", before.replace(hour=0, minute=0, second=0, microsecond=0)
    if table == USAGE and "started_at" not in columns:
        return "id", least_id(before)
    return "at" if "at" in columns else "started_at", before


def sum_name(name: str) -> str:
    """Return the name of a measure in a table of totals."""
    return NANOS if name == "cost" else name


def _summed(name: str, grammar: Grammar) -> str:
    return grammar.nanos(name) if name == "cost" else name
