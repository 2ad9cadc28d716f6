"""The SQLite store: types, idempotency, schema, and files that come and go."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from zeroret.errors import ConfigurationError
from zeroret.sinks import sqlite
from zeroret.sinks.sqlite import SqliteSink
from zeroret.sinks.sqlite_schema import timestamp
from zeroret.usage.record import COLUMNS, UsageRecord

MakeRecord = Callable[..., UsageRecord]


def query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of *statement*."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def test_types(tmp_path: Path, make: MakeRecord) -> None:
    """Every column has its type; unknown and removed are NULL, zero is zero."""
    path = tmp_path / "u.db"
    sink = SqliteSink(f"sqlite:///{path}")
    sink.write([make(1, stream=True, cost="0.001", output_tokens=0, images=None)])
    sink.close()
    types = "SELECT typeof(started_at), typeof(duration), typeof(stream), typeof(cost) FROM usage"
    values = "SELECT input_tokens, output_tokens, images, route FROM usage"
    assert query(path, types) == [("text", "real", "integer", "text")]
    assert query(path, values) == [(1, 0, None, None)]
    assert query(path, "SELECT started_at FROM usage") == [("2025-01-31T09:30:00.000000Z",)]
    assert [row[1] for row in query(path, "PRAGMA table_info(usage)")] == list(COLUMNS)
    assert path.stat().st_mode & 0o777 == 0o600


def test_timestamps_sort() -> None:
    """Any time zone becomes UTC; a naive time is taken as UTC; text order is time order."""
    east = datetime(2025, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert timestamp(east) == "2024-12-31T23:00:00.000000Z"
    assert timestamp(datetime(2025, 1, 1)) == timestamp(datetime(2025, 1, 1, tzinfo=UTC))  # noqa: DTZ001 - the naive one is the case


def test_idempotent(tmp_path: Path, make: MakeRecord) -> None:
    """A known id is left as it is; other errors are not swallowed and undo the batch."""
    path = tmp_path / "u.db"
    sink = SqliteSink(f"sqlite:///{path}")
    sink.write([make(1), make(2)])
    sink.write([make(2, account="other"), make(3)])
    assert query(path, "SELECT count(*), count(DISTINCT account) FROM usage") == [(3, 1)]
    with pytest.raises(sqlite3.Error):
        sink.write([make(4), make(5, account=object())])
    with pytest.raises(sqlite3.IntegrityError):
        sink.write([make(4), UsageRecord(id=None, policy="p")])  # type: ignore[arg-type] # NOT NULL must speak up
    assert query(path, "SELECT count(*) FROM usage") == [(3,)]
    sink.write([make(4)])
    sink.close()
    assert query(path, "SELECT count(*) FROM usage") == [(4,)]


def test_policy_columns(tmp_path: Path, make: MakeRecord) -> None:
    """Only kept columns exist; one kept later is added; one removed later is NULL in new rows."""
    path = tmp_path / "u.db"
    few = ("id", "policy", "usage_source", "account")
    for number, columns in enumerate([few, COLUMNS, few]):
        sink = SqliteSink(f"sqlite:///{path}", columns=columns)
        sink.write([make(number)])
        sink.close()
        if not number:
            there = {row[1] for row in query(path, "PRAGMA table_info(usage)")}
            assert there == set(few)
    rows = query(path, "SELECT account, input_tokens FROM usage ORDER BY id")
    assert rows == [("a", None), ("a", 1), ("a", None)]
    indexes = {row[0] for row in query(path, "SELECT name FROM sqlite_master WHERE type='index'")}
    assert {"usage_started_at", "usage_account"} <= indexes


def test_newer_schema(tmp_path: Path, make: MakeRecord) -> None:
    """A file of a newer release is not touched, and the error says so."""
    path = tmp_path / "u.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=3")
    connection.close()
    with pytest.raises(ConfigurationError, match=r"newer zeroret.*upgrade"):
        SqliteSink(f"sqlite:///{path}").write([make(1)])
    assert query(path, "SELECT * FROM sqlite_master") == []


def test_replaced(tmp_path: Path, make: MakeRecord) -> None:
    """A file that is removed or replaced while the sink runs is opened anew."""
    path = tmp_path / "u.db"
    sink = SqliteSink(f"sqlite:///{path}")
    sink.write([make(1)])
    path.unlink()
    sink.write([make(2)])
    assert query(path, "SELECT input_tokens FROM usage") == [(2,)]
    path.rename(tmp_path / "old.db")
    sink.write([make(3)])
    sink.close()
    assert query(path, "SELECT input_tokens FROM usage") == [(3,)]


def test_settings(tmp_path: Path, make: MakeRecord) -> None:
    """The store keeps a write-ahead log, and wipes what is deleted."""
    path = tmp_path / "u.db"
    sink = SqliteSink(f"sqlite:///{path}")
    sink.write([make(1)])
    connection = sink._connection
    assert connection is not None
    pragmas = ("journal_mode", "synchronous", "secure_delete", "user_version")
    values = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert values == ["wal", 1, 1, 2]
    sink.close()
    sink.close()


def test_relative_path_is_fixed(
    tmp_path: Path, make: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is taken where the sink was made, not where the process goes later."""
    monkeypatch.chdir(tmp_path)
    sink = SqliteSink("sqlite:///sub/u.db")
    monkeypatch.chdir("/")
    sink.write([make(1)])
    sink.close()
    assert (tmp_path / "sub" / "u.db").exists()


def test_fork(tmp_path: Path, make: MakeRecord) -> None:
    """A fork closes the connection; parent and child then write through their own."""
    path = tmp_path / "u.db"
    sink = SqliteSink(f"sqlite:///{path}")
    sink.write([make(1)])
    pid = os.fork()
    if not pid:
        try:
            opened = sink._connection
            sink.write([make(2)])
            os._exit(0 if opened is None else 4)
        except BaseException:  # noqa: BLE001 - the child must not go on with the tests
            os._exit(3)
    assert os.waitpid(pid, 0)[1] == 0
    sink.write([make(3)])
    sink.close()
    assert query(path, "SELECT count(*) FROM usage") == [(3,)]


def test_fork_without_hooks(tmp_path: Path, make: MakeRecord) -> None:
    """A connection that came by a fork without hooks is neither used nor closed."""
    sink = SqliteSink(f"sqlite:///{tmp_path / 'u.db'}")
    sink.write([make(1)])
    inherited = sink._connection
    assert inherited is not None
    sink._pid = -1
    sink.write([make(2)])
    assert sink._connection is not inherited
    assert inherited.execute("SELECT count(*) FROM usage").fetchall() == [(2,)]
    inherited.close()
    sink.close()


def test_waits_for_other_writers(
    tmp_path: Path, make: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process writes the sink waits; after its time it raises, and recovers."""
    path = tmp_path / "u.db"
    sink = SqliteSink(f"sqlite:///{path}")
    sink.write([make(1)])
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.1, lambda: other.execute("COMMIT"))
    timer.start()
    sink.write([make(2)])
    timer.join()
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.05)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sink.write([make(3)])
    other.execute("ROLLBACK")
    other.close()
    sink.write([make(3)])
    sink.close()
    assert query(path, "SELECT count(*) FROM usage") == [(3,)]


def test_asking_waits_for_who_has_the_file(tmp_path: Path, make: MakeRecord) -> None:
    """Opening a store while another process migrates or writes is no error, but a wait."""
    path = tmp_path / "usage.db"
    first = SqliteSink(f"sqlite:///{path}", columns=COLUMNS)
    first.write([make(1)])
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    asking = SqliteSink(f"sqlite:///{path}", columns=COLUMNS)
    threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
    assert asking.query("SELECT count(*) FROM usage") == [(1,)]
    for each in (first, asking, other):
        each.close()
