"""Records in PostgreSQL: batches by COPY, months as partitions, totals in the same transaction.

Extra ``zeroret[postgresql]``, by psycopg 3. The tables stand in a schema of their own.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from zeroret.errors import MissingExtraError, RecordRefusedError, SinkError
from zeroret.sinks import postgresql_schema, tables
from zeroret.sinks.postgresql_schema import GRAMMAR
from zeroret.sinks.postgresql_uri import Address
from zeroret.usage.layout import layout_columns, of_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from zeroret.usage.layout import Layout
    from zeroret.usage.record import UsageRecord

_CONNECT_SECONDS: Final = 10
_LOCK_WAIT: Final = "5s"
_DELETED_AT_ONCE: Final = 5_000
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})

_abandoned: Final[list[Any]] = []
"""Connections that a fork inherited: closing one would end the parent's, on the same socket."""


class PostgresSink:
    """Copies each batch into a staging table, then inserts what is new and adds it to the totals.

    All in one transaction, so that a record that comes twice counts once everywhere; any number of
    processes and hosts may write to one database. Rows of totals are taken in the order of their
    keys, so that writers do not deadlock. Its methods raise `SinkError` with a sentence where the
    server cannot be used, else ``psycopg.Error``; `RecordRefusedError` for a batch that holds
    something the tables never take.
    """

    batch: Final = 2_000
    """Records of a batch: a transaction costs the server as much as some hundred rows."""

    grammar: Final = GRAMMAR

    keeps_tables: Final = True
    """Takes ``layout=`` instead of columns; with ``migrates=False`` it only reads and deletes."""

    def __init__(
        self,
        uri: str,
        *,
        columns: Iterable[str] | None = None,
        layout: Layout | None = None,
        migrates: bool = True,
    ) -> None:
        self.address = Address.of(uri)
        self._layout = layout = layout or of_columns(columns)
        self._migrates = migrates
        recorded = layout_columns(layout)
        self._values = attrgetter(*recorded)
        self._copy = f"COPY {tables.FRESH} ({', '.join(recorded)}) FROM STDIN (NULL '')"
        kept = ", ".join(layout.columns)
        fresh = tables.FRESH
        # What another transaction has inserted meanwhile leaves the staging table here.
        insert = (
            f"WITH taken AS (INSERT INTO {tables.USAGE} ({kept}) SELECT {kept} FROM {fresh} "  # noqa: S608 - names of our own record
            f"ORDER BY id ON CONFLICT (id) DO NOTHING RETURNING id) DELETE FROM {fresh} "
            f"WHERE NOT EXISTS (SELECT 1 FROM taken WHERE taken.id = {fresh}.id)"
        )
        self._steps = (
            insert,
            *(tables.add_totals(table, GRAMMAR) for table in tables.totals(layout)),
            *(tables.add_apart(each, GRAMMAR) for each in tables.rows_apart(layout)),
        )
        self._months: set[tuple[int, int]] = set()
        self._connection: Any = None
        self._pid = 0

    @staticmethod
    def check(uri: str) -> None:
        """Raise `ConfigurationError` if *uri* is no address, or one without verified TLS.

        Raises `MissingExtraError` where psycopg is not installed.
        """
        _psycopg()
        Address.of(uri)

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Insert the records whose ids are new, all or none."""
        if not records:
            return
        unique = {record.id: record for record in records}
        data = "".join(map(self._line, unique.values())).encode()
        with self._connected() as connection:
            self._make_partitions(connection, unique)
            with connection.transaction():
                with connection.cursor().copy(self._copy) as copy:
                    copy.write(data)
                for statement in self._steps:
                    connection.execute(statement)

    def expire(self, table: str, before: datetime, *, dry_run: bool = False) -> int:
        """Delete the rows of *table* that are older than *before*; return how many there are.

        Whole months go by dropping their partition, the rest in bounded transactions.
        """
        with self._connected() as connection:
            columns = postgresql_schema.columns_of(connection, table)
            if not columns:
                return 0
            column, value = tables.older(table, columns, before)
            where = f"{column} < %s{'::uuid' * (column == 'id')}"
            count: int = connection.execute(
                f"SELECT count(*) FROM {table} WHERE {where}",  # noqa: S608 - names of our own
                (value,),
            ).fetchone()[0]
            if dry_run or not count:
                return count
            if table == tables.USAGE:
                self._drop_months(connection, before)
            for each in self._holders(connection, table):
                statement = (
                    f"DELETE FROM {each} WHERE ctid = ANY(ARRAY("  # noqa: S608 - names of our own
                    f"SELECT ctid FROM {each} WHERE {where} LIMIT {_DELETED_AT_ONCE}))"
                )
                while connection.execute(statement, (value,)).rowcount:
                    pass
            return count

    def rebuild(self) -> int:
        """Make the hourly totals anew from the rows that are there; return how many totals stand.

        Hours that no row is left of keep what they have.
        """
        totals = [each for each in tables.totals(self._layout) if each.table == tables.HOURLY]
        if not totals:
            return 0
        hour = GRAMMAR.truncated("started_at", "hour")
        with self._connected() as connection, connection.transaction():
            # No row may come in between what is deleted and what is counted.
            connection.execute(f"LOCK TABLE {tables.USAGE} IN SHARE MODE")
            connection.execute(
                f"DELETE FROM {tables.HOURLY} WHERE hour IN "  # noqa: S608 - names of our own
                f"(SELECT DISTINCT {hour} FROM {tables.USAGE})"
            )
            connection.execute(tables.add_totals(totals[0], GRAMMAR, source=tables.USAGE))
            count: int = connection.execute(
                f"SELECT count(*) FROM {tables.HOURLY}"  # noqa: S608 - likewise
            ).fetchone()[0]
            return count

    def query(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a reading statement, whose marks are ``?``."""
        with self._connected() as connection:
            rows: list[tuple[Any, ...]] = connection.execute(
                statement.replace("?", "%s"), tuple(values)
            ).fetchall()
            return rows

    def columns(self, table: str) -> tuple[str, ...]:
        """Return the columns that *table* has now; none if it is not there."""
        with self._connected() as connection:
            return postgresql_schema.columns_of(connection, table)

    def moment(self, moment: datetime) -> datetime:
        """Return *moment* as this store compares it."""
        return moment

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._pid == os.getpid():
            connection.close()
        else:
            _abandoned.append(connection)

    def _line(self, record: UsageRecord) -> str:
        # COPY's text format: https://www.postgresql.org/docs/current/sql-copy.html
        texts = [
            "" if value is None or value is UNSET else str(value) for value in self._values(record)
        ]
        line = "\t".join(texts)
        if "\\" in line or "\n" in line or "\r" in line or line.count("\t") >= len(texts):
            line = "\t".join([text.translate(_ESCAPES) for text in texts])
        return line + "\n"

    def _make_partitions(self, connection: Any, ids: Iterable[str]) -> None:
        missing = postgresql_schema.months(ids) - self._months
        if not missing:
            return
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (postgresql_schema.LOCK,))
            for month in sorted(missing):
                connection.execute(postgresql_schema.create_partition(month))
        self._months |= missing

    def _drop_months(self, connection: Any, before: datetime) -> None:
        for month, name in sorted(postgresql_schema.partitions(connection).items()):
            if postgresql_schema.is_over(month, before):
                with connection.transaction():
                    connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
                    connection.execute(f"DROP TABLE {name}")
                self._months.discard(month)

    def _holders(self, connection: Any, table: str) -> list[str]:
        """Return the tables that hold the rows of *table*: a ctid is unique in one of them only."""
        if table != tables.USAGE:
            return [table]
        return [*postgresql_schema.partitions(connection).values(), postgresql_schema.OTHERS]

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        psycopg = _psycopg()
        try:
            yield self._open()
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise RecordRefusedError(type(error).__name__) from None
        except psycopg.Error as error:
            sentence = self.address.explain(error)
            if sentence is None:
                raise
            raise SinkError(sentence) from None
        finally:
            if self._connection is not None and self._connection.closed:
                self.close()

    def _open(self) -> Any:
        connection = self._connection
        if connection is not None and self._pid == os.getpid() and not connection.closed:
            return connection
        self.close()
        connection = _psycopg().connect(
            self.address.conninfo,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            application_name="zeroret",
        )
        try:
            connection.execute(f'SET search_path TO "{self.address.schema}"')
            connection.execute(f"SET synchronous_commit TO {self.address.synchronous_commit}")
            connection.execute("SET timezone TO 'UTC'")
            if self._migrates:
                postgresql_schema.migrate(connection, self._layout, self.address.schema)
        except BaseException:
            with suppress(Exception):
                connection.close()
            raise
        self._connection, self._pid = connection, os.getpid()
        self._months = set()
        return connection


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError:
        raise MissingExtraError("the postgresql: sink", "postgresql") from None
    return psycopg
