"""The SQLite store's tables: what its grammar says in its own way, and how a file gets them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from zeroret.errors import ConfigurationError
from zeroret.sinks import tables
from zeroret.usage.layout import layout_columns

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from zeroret.usage.layout import Layout

SCHEMA: Final = 2
"""The version of the tables, kept in ``PRAGMA user_version``. 2 added totals and collections."""

_LENGTHS: Final = {"hour": 13, "day": 10, "month": 7}
_INDEXED: Final = ("started_at", "account")


class SqliteGrammar:
    """SQLite's types are affinities; a moment is text that sorts."""

    moment = "TEXT"

    def type_of(self, column: str) -> str:
        """Return the affinity of a record's column."""
        if column in tables.REAL:
            return "REAL"
        return "INTEGER" if column in tables.INTEGER or column == "stream" else "TEXT"

    def truncated(self, column: str, per: str) -> str:
        """Return the moment's hour or day as text in the form of `timestamp`."""
        if per == "hour":
            return f"substr({column}, 1, 13) || ':00:00.000000Z'"
        return f"substr({column}, 1, 10) || 'T00:00:00.000000Z'"

    def label(self, column: str, per: str) -> str:
        """Return the beginning of the moment's text."""
        return f"substr({column}, 1, {_LENGTHS[per]})"

    def nanos(self, column: str) -> str:
        """Return a cost in billionths; exact to 9 million dollars, as doubles are."""
        return f"CAST(round(CAST({column} AS REAL) * 1000000000) AS INTEGER)"


GRAMMAR: Final = SqliteGrammar()


def timestamp(moment: datetime) -> str:
    """Return *moment* as the column holds it: ``2025-01-31T09:30:00.000000Z``."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def migrate(connection: sqlite3.Connection, layout: Layout, path: Path) -> None:
    """Give the file what it lacks, in one transaction, and the connection its temporary table.

    Raises `ConfigurationError` when a newer release made the file, or `sqlite3.Error`.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA:
        raise ConfigurationError(
            f"{path} has schema version {version}, made by a newer zeroret; this one "
            f"knows {SCHEMA}: upgrade zeroret, or give the sink another file"
        )
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements(connection, layout):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={SCHEMA}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(Exception):
            connection.execute("ROLLBACK")
        raise
    fresh = ", ".join(_declaration(name) for name in layout_columns(layout))
    connection.execute(f"CREATE TEMP TABLE {tables.FRESH} ({fresh})")


def columns_of(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    """Return the names of a table's columns; none if there is no such table."""
    return tuple(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))


def _statements(connection: sqlite3.Connection, layout: Layout) -> Iterator[str]:
    # With a rowid: rows this wide in an index by id would halve the rate of inserts.
    yield from _table(connection, tables.USAGE, [_declaration(name) for name in layout.columns])
    for name in _INDEXED:
        if name in layout.columns:
            yield f"CREATE INDEX IF NOT EXISTS usage_{name} ON usage ({name})"
    for table in tables.totals(layout):
        yield from tables.keep_totals(table, columns_of(connection, table.table), GRAMMAR)
    for collection in tables.rows_apart(layout):
        yield tables.create_apart(collection, GRAMMAR)
        name = tables.table_of(collection)
        yield f"CREATE INDEX IF NOT EXISTS {name}_at ON {name} (at)"


def _table(connection: sqlite3.Connection, table: str, declared: list[str]) -> Iterator[str]:
    there = columns_of(connection, table)
    if not there:
        yield f"CREATE TABLE {table} ({', '.join(declared)})"
        return
    for declaration in declared:
        if declaration.partition(" ")[0] not in there:
            yield f"ALTER TABLE {table} ADD COLUMN {declaration}"


def _declaration(name: str) -> str:
    if name == "id":
        return "id TEXT PRIMARY KEY NOT NULL"
    return f"{name} {GRAMMAR.type_of(name)}"
