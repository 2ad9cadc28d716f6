"""Records in a SQLite file, by the standard library: the embedded store of one machine.

Table ``usage``: a column per kept column, TEXT, REAL or INTEGER; ``id`` is the primary key;
``started_at`` is ISO 8601 in UTC with microseconds and a final Z, so that it sorts as text.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from contextlib import suppress
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from zeroret.errors import ConfigurationError
from zeroret.sinks.columns import ordered
from zeroret.sinks.location import file_path
from zeroret.usage.record import TOKEN_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeroret.usage.record import UsageRecord

SCHEMA: Final = 1
"""The version of the table, kept in ``PRAGMA user_version``."""

_BUSY_SECONDS: Final = 10.0
_BUSY_POLL: Final = 0.01
_REAL: Final = frozenset({"duration", "time_to_first_token"})
_INTEGER: Final = frozenset({*TOKEN_COLUMNS, "stream", "status", "request_bytes", "response_bytes"})
_INDEXED: Final = ("started_at", "account")

_gate: Final = threading.RLock()
"""Held while SQLite works for a sink, and while the process forks."""

_sinks: Final[weakref.WeakSet[SqliteSink]] = weakref.WeakSet()


class SqliteSink:
    """Inserts each batch in one transaction; an id that is there already is left as it is.

    Opened at the first write, in the writing thread; closed before a fork and opened again after
    it, likewise when the file is replaced. A new file has mode 0600. A column that the policy
    removes stays in an existing table and is NULL in new rows. `write` raises `sqlite3.Error`,
    `OSError`, or `ConfigurationError` when a newer release made the file.
    """

    def __init__(self, uri: str, *, columns: Iterable[str] | None = None) -> None:
        self.path = file_path(uri)
        self._columns = ordered(columns)
        self._values = attrgetter(*self._columns)
        self._started_at = (
            self._columns.index("started_at") if "started_at" in self._columns else None
        )
        names = ", ".join(self._columns)
        marks = ", ".join("?" * len(self._columns))
        self._insert = (
            f"INSERT INTO usage ({names}) VALUES ({marks}) "  # noqa: S608 - names of our own record
            "ON CONFLICT(id) DO NOTHING"
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
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                with _gate:
                    return self._write(rows)
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                if not busy or time.monotonic() >= deadline:
                    raise
            time.sleep(_BUSY_POLL)  # not in SQLite: a fork need not wait for another's lock

    def _write(self, rows: list[list[Any]]) -> None:
        connection = self._connected()
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(self._insert, rows)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._pid == os.getpid():
            connection.close()
        else:
            _never_close(connection)

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
            self._migrate(connection)
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

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._refuse_newer(connection.execute("PRAGMA user_version").fetchone()[0])
            for statement in _schema(connection, self._columns):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={SCHEMA}")
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _refuse_newer(self, version: int) -> None:
        if version > SCHEMA:
            raise ConfigurationError(
                f"{self.path} has schema version {version}, made by a newer zeroret; this one "
                f"knows {SCHEMA}: upgrade zeroret, or give the sink another file"
            )


def timestamp(moment: datetime) -> str:
    """Return *moment* as the column holds it: ``2025-01-31T09:30:00.000000Z``."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def _declaration(name: str) -> str:
    if name == "id":
        return "id TEXT PRIMARY KEY NOT NULL"
    kind = "REAL" if name in _REAL else "INTEGER" if name in _INTEGER else "TEXT"
    return f"{name} {kind}"


def _schema(connection: sqlite3.Connection, columns: Sequence[str]) -> list[str]:
    """Return the statements that give the file the table, its missing columns and the indexes."""
    there = {row[1] for row in connection.execute("PRAGMA table_info(usage)")}
    if there:
        statements = [
            f"ALTER TABLE usage ADD COLUMN {_declaration(name)}"
            for name in columns
            if name not in there
        ]
    else:
        # With a rowid: rows this wide in an index by id would halve the rate of inserts.
        body = ", ".join(_declaration(name) for name in columns)
        statements = [f"CREATE TABLE usage ({body})"]
    return statements + [
        f"CREATE INDEX IF NOT EXISTS usage_{name} ON usage ({name})"
        for name in _INDEXED
        if name in columns
    ]


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
