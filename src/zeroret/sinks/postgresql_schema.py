"""The PostgreSQL store's tables: types, monthly partitions, and how a database gets them.

``usage`` is partitioned by its primary key: UUIDv7 sorts by time, so that the id alone is unique
and a month is a range of ids. What is older than the clock goes by dropping partitions.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from zeroret.errors import ConfigurationError
from zeroret.sinks import tables
from zeroret.usage.identity import issued_at, least_id, parse_id
from zeroret.usage.layout import layout_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zeroret.usage.layout import Layout

SCHEMA: Final = 1
"""The version of the tables, kept in table ``zeroret_schema``."""

LOCK: Final = 0x7A65726F726574  # "zeroret", as a number
"""The advisory lock under which tables and partitions are made."""

OTHERS: Final = "usage_others"
"""The partition of ids that are of no time a server could have."""

_FORMS: Final = {"hour": 'YYYY-MM-DD"T"HH24', "day": "YYYY-MM-DD", "month": "YYYY-MM"}
_MONTH: Final = re.compile(r"usage_(\d{4})_(\d{2})")
_FIRST_YEAR: Final = 2020
_LAST_YEAR: Final = 2199


class PostgresGrammar:
    """PostgreSQL's types; a cost is an exact decimal."""

    moment = "TIMESTAMPTZ"

    def type_of(self, column: str) -> str:
        """Return the type of a record's column."""
        if column == "id":
            return "UUID PRIMARY KEY"
        if column == "started_at":
            return "TIMESTAMPTZ"
        if column == "cost":
            return "NUMERIC"
        if column == "stream":
            return "BOOLEAN"
        if column in tables.REAL:
            return "DOUBLE PRECISION"
        return "BIGINT" if column in tables.INTEGER else "TEXT"

    def truncated(self, column: str, per: str) -> str:
        """Return the moment's hour or day in UTC."""
        return f"date_trunc('{per}', {column}, 'UTC')"

    def label(self, column: str, per: str) -> str:
        """Return the moment in the form that SQLite's text has."""
        return f"to_char({column} AT TIME ZONE 'UTC', '{_FORMS[per]}')"

    def nanos(self, column: str) -> str:
        """Return a cost in billionths, exactly."""
        return f"round({column} * 1000000000)::bigint"


GRAMMAR: Final = PostgresGrammar()


def migrate(connection: Any, layout: Layout, schema: str) -> None:
    """Give the database what it lacks, in one transaction under `LOCK`.

    Raises `ConfigurationError` when a newer release made the tables, or ``psycopg.Error``.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        if not connection.execute(
            "SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)
        ).fetchone():
            connection.execute(f'CREATE SCHEMA "{schema}"')
        connection.execute("CREATE TABLE IF NOT EXISTS zeroret_schema (version INTEGER NOT NULL)")
        found = connection.execute("SELECT max(version) FROM zeroret_schema").fetchone()[0]
        if found is not None and found > SCHEMA:
            raise ConfigurationError(
                f"schema {schema!r} has version {found}, made by a newer zeroret; this one knows "
                f"{SCHEMA}: upgrade zeroret, or name another with ?zeroret_schema="
            )
        if found is None:
            connection.execute("INSERT INTO zeroret_schema VALUES (%s)", (SCHEMA,))
        for statement in _statements(connection, layout):
            connection.execute(statement)
    stage(connection, layout)


def stage(connection: Any, layout: Layout) -> None:
    """Give the connection the temporary table that batches are copied into."""
    declared = ", ".join(
        f"{name} {GRAMMAR.type_of(name).removesuffix(' PRIMARY KEY')}"
        for name in layout_columns(layout)
    )
    with connection.transaction():
        connection.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {tables.FRESH} ({declared}) ON COMMIT DELETE ROWS"
        )


def columns_of(connection: Any, table: str) -> tuple[str, ...]:
    """Return the names of a table's columns; none if there is no such table."""
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 "
        "AND NOT attisdropped ORDER BY attnum",
        (table,),
    ).fetchall()
    return tuple(row[0] for row in rows)


def months(ids: Iterable[str]) -> set[tuple[int, int]]:
    """Return the year and month of each id that is of a time a server could have."""
    moments = {_month(issued_at(parse_id(each))) for each in ids}
    return {each for each in moments if each is not None}


def create_partition(month: tuple[int, int]) -> str:
    """Return the statement that makes the partition of a month."""
    first, after = _bounds(month)
    return (
        f"CREATE TABLE IF NOT EXISTS {_partition(month)} PARTITION OF {tables.USAGE} "
        f"FOR VALUES FROM ('{least_id(first)}') TO ('{least_id(after)}')"
    )


def partitions(connection: Any) -> dict[tuple[int, int], str]:
    """Return the partitions that there are, by month."""
    rows = connection.execute(
        "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid "
        "WHERE inhparent = to_regclass(%s)",
        (tables.USAGE,),
    ).fetchall()
    found = {}
    for (name,) in rows:
        match = _MONTH.fullmatch(name)
        if match is not None:
            found[int(match[1]), int(match[2])] = name
    return found


def is_over(month: tuple[int, int], before: datetime) -> bool:
    """Tell whether everything of *month* is older than *before*."""
    return _bounds(month)[1] <= before


def _statements(connection: Any, layout: Layout) -> Iterator[str]:
    there = columns_of(connection, tables.USAGE)
    if not there:
        declared = ", ".join(f"{name} {GRAMMAR.type_of(name)}" for name in layout.columns)
        yield f"CREATE TABLE {tables.USAGE} ({declared}) PARTITION BY RANGE (id)"
        yield f"CREATE TABLE {OTHERS} PARTITION OF {tables.USAGE} DEFAULT"
    for name in layout.columns if there else ():
        if name not in there:
            yield f"ALTER TABLE {tables.USAGE} ADD COLUMN {name} {GRAMMAR.type_of(name)}"
    if "started_at" in layout.columns:
        # Rows come in about the order of time: a few bytes for each hundred pages are enough.
        yield f"CREATE INDEX IF NOT EXISTS usage_moment ON {tables.USAGE} USING brin (started_at)"
    for table in tables.totals(layout):
        yield from tables.keep_totals(table, columns_of(connection, table.table), GRAMMAR)
    for collection in tables.rows_apart(layout):
        yield tables.create_apart(collection, GRAMMAR)
        name = tables.table_of(collection)
        yield f"CREATE INDEX IF NOT EXISTS {name}_at ON {name} (at)"


def _partition(month: tuple[int, int]) -> str:
    return f"usage_{month[0]:04}_{month[1]:02}"


def _bounds(month: tuple[int, int]) -> tuple[datetime, datetime]:
    year, number = month
    first = datetime(year, number, 1, tzinfo=UTC)
    after = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return first, after


def _month(seconds: float) -> tuple[int, int] | None:
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return (moment.year, moment.month) if _FIRST_YEAR <= moment.year <= _LAST_YEAR else None
