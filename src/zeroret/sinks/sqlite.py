"""Records in a SQLite file, by the standard library: the embedded store of one machine.

Table ``usage``: a column per kept column, TEXT, REAL or INTEGER; ``id`` is the primary key;
``started_at`` is ISO 8601 in UTC with microseconds and a final Z, so that it sorts as text.
`zeroret.sinks.tables` says what stands beside it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec import UNSET

from zeroret.sinks import tables
from zeroret.sinks.location import file_path
from zeroret.sinks.sqlite_schema import GRAMMAR, columns_of, migrate, timestamp
from zeroret.usage.layout import layout_columns, of_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from zeroret.usage.layout import Layout
    from zeroret.usage.record import UsageRecord

Result = TypeVar("Result")

_BUSY_SECONDS: Final = 10.0
_BUSY_POLL: Final = 0.01
_DELETED_AT_ONCE: Final = 5_000

_gate: Final = threading.RLock()
"""Held while SQLite works for a sink, and while the process forks."""

_sinks: Final[weakref.WeakSet[SqliteSink]] = weakref.WeakSet()


class SqliteSink:
    """Inserts each batch in one transaction; an id that is there already is left as it is.

    Totals and the collections apart grow in the same transaction, by the new records only, so that
    a record that comes twice counts once in them, too.

    Opened at the first use, in the using thread; closed before a fork and opened again after it,
    likewise when the file is replaced. A new file has mode 0600. A column that the policy removes
    stays in an existing table and is NULL in new rows. Its methods raise `sqlite3.Error`,
    `OSError`, or `ConfigurationError` when a newer release made the file.
    """

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
        self.path = file_path(uri)
        self._layout = layout = layout or of_columns(columns)
        self._migrates = migrates
        recorded = layout_columns(layout)
        self._values = attrgetter(*recorded)
        self._started_at = recorded.index("started_at") if "started_at" in recorded else None
        marks = ", ".join("?" * len(recorded))
        kept = ", ".join(layout.columns)
        fresh = tables.FRESH
        self._stage = (
            f"INSERT INTO temp.{fresh} VALUES ({marks}) "  # noqa: S608 - names of our own
            "ON CONFLICT(id) DO NOTHING"
        )
        self._steps = (
            f"DELETE FROM temp.{fresh} WHERE id IN (SELECT id FROM usage)",  # noqa: S608 - likewise
            f"INSERT INTO usage ({kept}) SELECT {kept} FROM temp.{fresh}",  # noqa: S608 - likewise
            *(tables.add_totals(table, GRAMMAR) for table in tables.totals(layout)),
            *(tables.add_apart(each, GRAMMAR) for each in tables.rows_apart(layout)),
            f"DELETE FROM temp.{fresh}",  # noqa: S608 - likewise
        )
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._file: os.stat_result | None = None
        _sinks.add(self)

    @staticmethod
    def check(uri: str) -> None:
        """Raise `ConfigurationError` if *uri* names no file."""
        file_path(uri)

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Insert the records whose ids are new, all or none; waits 10 s for other writers."""
        rows = [self._row(record) for record in records]

        def insert(connection: sqlite3.Connection) -> None:
            connection.executemany(self._stage, rows)
            for statement in self._steps:
                connection.execute(statement)

        self._transact(insert)

    def expire(self, table: str, before: datetime, *, dry_run: bool = False) -> int:
        """Delete the rows of *table* that are older than *before*; return how many there are.

        In bounded transactions; the bytes are overwritten, and the write-ahead log is emptied into
        the file as soon as no reader stands in the way.
        """
        with self._reading() as connection:
            columns = columns_of(connection, table)
            if not columns:
                return 0
            column, bound = tables.older(table, columns, before)
            where = f"{column} < ?"
            value = bound if isinstance(bound, str) else timestamp(bound)
            count: int = connection.execute(
                f"SELECT count(*) FROM {table} WHERE {where}",  # noqa: S608 - names of our own
                (value,),
            ).fetchone()[0]
        if dry_run or not count:
            return count
        statement = (
            f"DELETE FROM {table} WHERE rowid IN "  # noqa: S608 - names of our own
            f"(SELECT rowid FROM {table} WHERE {where} LIMIT {_DELETED_AT_ONCE})"
        )
        deleted = 0
        while gone := self._transact(lambda one: one.execute(statement, (value,)).rowcount):
            deleted += gone
        with self._reading() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return deleted

    def rebuild(self) -> int:
        """Make the hourly totals anew from the rows that are there; return how many totals stand.

        Hours that no row is left of keep what they have.
        """
        totals = [each for each in tables.totals(self._layout) if each.table == tables.HOURLY]
        if not totals:
            return 0
        hour = GRAMMAR.truncated("started_at", "hour")

        def again(connection: sqlite3.Connection) -> int:
            connection.execute(
                f"DELETE FROM {tables.HOURLY} WHERE hour IN (SELECT {hour} FROM usage)"  # noqa: S608 - names of our own
            )
            connection.execute(tables.add_totals(totals[0], GRAMMAR, source=tables.USAGE))
            count: int = connection.execute(
                f"SELECT count(*) FROM {tables.HOURLY}"  # noqa: S608 - likewise
            ).fetchone()[0]
            return count

        return self._transact(again)

    def query(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a reading statement, whose marks are ``?``."""
        with self._reading() as connection:
            return connection.execute(statement, tuple(values)).fetchall()

    def columns(self, table: str) -> tuple[str, ...]:
        """Return the columns that *table* has now; none if it is not there."""
        with self._reading() as connection:
            return columns_of(connection, table)

    def moment(self, moment: datetime) -> str:
        """Return *moment* as this store compares it."""
        return timestamp(moment)

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._pid == os.getpid():
            connection.close()
        else:
            _never_close(connection)

    def _transact(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do *work* in one transaction; waits for other writers."""
        return self._patiently(lambda: _in_transaction(self._connected(), work))

    def _patiently(self, work: Callable[[], Result]) -> Result:
        """Do *work*, again and again while others have the file; waits outside of SQLite."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                with _gate:
                    return work()
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                if not busy or time.monotonic() >= deadline:
                    raise
            time.sleep(_BUSY_POLL)  # not in SQLite: a fork need not wait for another's lock

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        self._patiently(self._connected)  # opening may have to wait, reading does not
        with _gate:
            yield self._connected()

    def _row(self, record: UsageRecord) -> list[Any]:
        row: list[Any] = [None if value is UNSET else value for value in self._values(record)]
        at = self._started_at
        if at is not None and row[at] is not None:
            row[at] = timestamp(row[at])
        return row

    def _connected(self) -> sqlite3.Connection:
        connection = self._connection
        if connection is not None and self._pid == os.getpid() and self._in_place():
            return connection
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite gives its side files the mode of the file itself.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("PRAGMA temp_store=MEMORY")
            if self._migrates:
                migrate(connection, self._layout, self.path)
        except BaseException:
            connection.close()
            raise
        self._pid = os.getpid()
        self._file = self.path.stat()
        self._connection = connection
        return connection

    def _in_place(self) -> bool:
        try:
            return self._file is not None and os.path.samestat(self.path.stat(), self._file)
        except FileNotFoundError:
            return False


def _in_transaction(
    connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Result]
) -> Result:
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return done


def _never_close(connection: sqlite3.Connection) -> None:
    """Keep a connection that was inherited by a fork without hooks from being closed in the child.

    Closing it could wait for a lock that a thread of the parent held, and drop the parent's
    write-ahead log (https://www.sqlite.org/howtocorrupt.html, 2.6): one reference stays for ever.
    """
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _before_fork() -> None:
    """Close every connection: what SQLite knows of its own locks must not get into the child.

    A child would take the parent's locks for its own, and wait for a transaction in progress for
    ever (https://www.sqlite.org/howtocorrupt.html, 2.6).
    """
    _gate.acquire()
    for sink in list(_sinks):
        with suppress(Exception):
            sink.close()


os.register_at_fork(
    before=_before_fork, after_in_parent=_gate.release, after_in_child=_gate.release
)
