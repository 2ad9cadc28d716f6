"""Questions to a store of tables: totals by account, key, model, route and period; no SQL by hand.

Asked of the hourly totals where the bounds are whole hours, else of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from zeroret.errors import ConfigurationError
from zeroret.sinks import tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from zeroret.types import UsageStore

COLUMNS_BY: Final = {
    "account": ("account",),
    "key": ("key_id",),
    "model": ("response_model", "request_model"),
    "route": ("route",),
    "provider": ("provider",),
    "dialect": ("dialect",),
    "outcome": ("outcome",),
    "source": ("usage_source",),
    "policy": ("policy",),
}
"""What usage can be divided by, and the columns that say it; the first that is known counts."""

PERIODS: Final = ("hour", "day", "month")
"""Periods that usage can be divided by, in UTC."""

MEASURES: Final = (
    "exchanges",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "reasoning_output_tokens",
    "images",
    "cost",
)
"""What is added up, where the store has it; *cost* is in US dollars."""

_BILLION: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Args:
        by: of `COLUMNS_BY` and `PERIODS`, in the order of the answer's columns.
        since: the first moment that counts, with a time zone.
        until: the first moment that counts no more.
        where: of `COLUMNS_BY`: what each must be.
        limit: how many lines at most, those with the most exchanges; periods are all given.
    """

    by: tuple[str, ...] = ("model",)
    since: datetime | None = None
    until: datetime | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Lines under a header; unknown is None, costs are dollars."""

    header: tuple[str, ...]
    lines: list[tuple[Any, ...]]


def ask(store: UsageStore, question: Question) -> Answer:
    """Return what *store* says to *question*.

    Raises:
        ConfigurationError: the store does not keep what is asked for; the text says what it keeps.
    """
    table = _table(store, question)
    there = store.columns(table)
    names = [(name, _expression(store, name, table, there)) for name in question.by]
    measures = [(name, sql) for name in MEASURES if (sql := _measure(name, table, there))]
    conditions, values = _conditions(store, question, table, there)
    groups = ", ".join(str(number + 1) for number in range(len(names)))
    selected = ", ".join([*(sql for _, sql in names), *(sql for _, sql in measures)])
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    grouped = f" GROUP BY {groups}" if groups else ""
    statement = f"SELECT {selected} FROM {table}{where}{grouped}{_order(question)}"  # noqa: S608 - every name is one of ours
    header = tuple(name for name, _ in (*names, *measures))
    lines = [_shown(header, row) for row in store.query(statement, values)]
    return Answer(header, [line for line in lines if line[len(names)]])


def keeps(store: UsageStore) -> list[str]:
    """Return what usage in *store* can be divided by."""
    there = store.columns(tables.HOURLY) or store.columns(tables.USAGE)
    found = [name for name, columns in COLUMNS_BY.items() if set(columns) & set(there)]
    return found + (list(PERIODS) if {"hour", "started_at"} & set(there) else [])


def _table(store: UsageStore, question: Question) -> str:
    bounds = [each for each in (question.since, question.until) if each is not None]
    whole = all(not (each.minute or each.second or each.microsecond) for each in bounds)
    return tables.HOURLY if whole and store.columns(tables.HOURLY) else tables.USAGE


def _expression(store: UsageStore, name: str, table: str, there: Sequence[str]) -> str:
    if name in PERIODS:
        column = "hour" if table == tables.HOURLY else "started_at"
        if column in there:
            label: str = store.grammar.label(column, name)
            return label
    columns = [column for column in COLUMNS_BY.get(name, ()) if column in there]
    if not columns:
        raise ConfigurationError(
            f"this store keeps no {name!r}; usage there can be divided by {', '.join(keeps(store))}"
        )
    return f"COALESCE({', '.join(f'NULLIF({column}, {chr(39) * 2})' for column in columns)}, '')"


def _measure(name: str, table: str, there: Sequence[str]) -> str | None:
    if name == "exchanges":
        counted = "sum(exchanges)" if table == tables.HOURLY else "count(*)"
        return f"CAST({counted} AS BIGINT)"
    if name == "cost" and table == tables.HOURLY:
        return f"CAST(sum({tables.NANOS}) AS BIGINT)" if tables.NANOS in there else None
    if name not in there:
        return None
    if name == "cost":
        return f"CAST(round(sum(CAST(cost AS NUMERIC)) * {_BILLION}) AS BIGINT)"
    return f"CAST(sum({name}) AS BIGINT)"


def _conditions(
    store: UsageStore, question: Question, table: str, there: Sequence[str]
) -> tuple[list[str], list[object]]:
    column = "hour" if table == tables.HOURLY else "started_at"
    conditions: list[str] = []
    values: list[object] = []
    for bound, sign in ((question.since, ">="), (question.until, "<")):
        if bound is not None:
            if column not in there:
                raise ConfigurationError("this store keeps no moments: leave the period out")
            conditions.append(f"{column} {sign} ?")
            values.append(store.moment(bound))
    for name, value in question.where.items():
        conditions.append(f"{_expression(store, name, table, there)} = ?")
        values.append(value)
    return conditions, values


def _order(question: Question) -> str:
    periods = [at + 1 for at, name in enumerate(question.by) if name in PERIODS]
    most = f"{len(question.by) + 1} DESC"
    names = [str(at + 1) for at in range(len(question.by))]
    order = ", ".join([*map(str, periods), most, *names])
    limit = "" if question.limit is None or periods else f" LIMIT {int(question.limit)}"
    return f" ORDER BY {order}{limit}"


def _shown(header: Sequence[str], row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(
        value / _BILLION if name == "cost" and value is not None else value
        for name, value in zip(header, row, strict=True)
    )
