"""Clocks: each built-in policy's periods, moved through time, act on every table that has one."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from zeroret.cli import main
from zeroret.policy import Policy
from zeroret.retention import clocks
from zeroret.sinks import open_store
from zeroret.usage.identity import format_id, new_id
from zeroret.usage.layout import layout
from zeroret.usage.record import UsageRecord

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("policy", "table", "before"),
    [
        ("usage-only", "usage", datetime(2026, 8, 23, 12, tzinfo=UTC)),
        ("noorapi", "usage_hourly", datetime(2026, 8, 23, 12, tzinfo=UTC)),
        ("wallet", "usage", datetime(2026, 8, 23, 12, tzinfo=UTC)),
        ("crouter", "usage", datetime(2025, 11, 21, 12, tzinfo=UTC)),
        ("crofai", "usage", datetime(2019, 11, 21, 12, tzinfo=UTC)),
        ("crofai", "apart_security", datetime(2026, 8, 23, 12, tzinfo=UTC)),
        ("crofai", "apart_hourly_totals", datetime(2019, 11, 21, 12, tzinfo=UTC)),
    ],
)
def test_each_promise_has_its_clock(policy: str, table: str, before: datetime) -> None:
    """7 years, 12 months and 90 days are counted by the calendar from now."""
    found = {due.table: due.before for due in clocks.due(Policy.load(policy), NOW)}
    assert found[table] == before


def test_a_policy_without_a_clock_makes_nothing_due() -> None:
    """Kriora keeps its rows as law needs: time alone deletes none."""
    assert clocks.due(Policy.load("kriora"), NOW) == []


def record(began: datetime, account: str) -> UsageRecord:
    """Return a record of crofai's that began then."""
    return UsageRecord(
        id=format_id(new_id(began.timestamp())),
        policy="crofai@1",
        started_at=began,
        account=account,
        key_id="k",
        status=200,
        outcome="completed",
        client_ip="192.0.2.7",
        client="curl",
        request_model="gpt-4o",
        response_model="gpt-4o",
        input_tokens=3,
    )


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """Give a store of crofai's with a record of each of the last 120 days."""
    uri = f"sqlite:///{tmp_path}/usage.db"
    store = open_store(uri, layout(Policy.load("crofai")))
    store.write([record(NOW - timedelta(days=day), f"account-{day}") for day in range(120)])
    store.close()
    return uri


def count(uri: str, table: str) -> int:
    """Return how many rows a table has."""
    store = open_store(uri)
    number: int = store.query(f"SELECT count(*) FROM {table}")[0][0]
    store.close()
    return number


def test_collections_go_by_their_own_clock(uri: str) -> None:
    """With the clock moved, security data of 90 days goes and the rows of 7 years stay."""
    store = open_store(uri)
    expired = {
        each.due.table: each.rows for each in clocks.expire(store, Policy.load("crofai"), NOW)
    }
    store.close()
    assert expired == {
        "usage": 0,
        "usage_hourly": 0,
        "apart_security": 29,
        "apart_hourly_totals": 0,
    }
    assert (count(uri, "usage"), count(uri, "apart_security")) == (120, 91)


def test_a_moved_clock_empties_everything_but_what_law_keeps(
    uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In 2034 crofai's rows are due, its totals too; a dry run only says so."""
    later = ["--now", "2034-01-01"]
    assert main(["purge", uri, "--policy", "crofai", "--dry-run", *later]) == 0
    out = capsys.readouterr().out
    assert "usage: 120 rows older than 2027-01-01 00:00 UTC (7 years) would go" in out
    assert count(uri, "usage") == 120
    assert main(["purge", uri, "--policy", "crofai", *later]) == 0
    assert "apart_security: 120 rows" in capsys.readouterr().out
    tables = ("usage", "usage_hourly", "apart_security", "apart_hourly_totals")
    assert [count(uri, table) for table in tables] == [0, 0, 0, 0]
    assert main(["purge", uri, "--policy", "kriora"]) == 0
    assert "has no clock: nothing is ever due" in capsys.readouterr().out


def test_the_bytes_are_gone(uri: str, tmp_path: Path) -> None:
    """After a purge no byte of a deleted row is left in the file, its log or any other file."""
    store = open_store(uri, layout(Policy.load("crofai")))  # a writer that goes on beside it
    store.write([record(datetime(2033, 12, 1, tzinfo=UTC), "account-of-the-future")])
    secret = b"account-77"
    assert any(secret in path.read_bytes() for path in tmp_path.iterdir())
    assert main(["purge", uri, "--policy", "crofai", "--now", "2033-12-25T00:00:00Z"]) == 0
    assert not [path.name for path in tmp_path.iterdir() if secret in path.read_bytes()]
    assert any(b"account-of-the-future" in path.read_bytes() for path in tmp_path.iterdir())
    store.close()
    check = sqlite3.connect(tmp_path / "usage.db")
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sqlite:///nothing.db"], "there is no file"),
        (["jsonl:///x.jsonl"], "keeps no tables that could be asked"),
        (["sqlte:///x.db"], "did you mean 'sqlite:///usage.db'"),
        (["{uri}", "--now", "tomorrow"], "'tomorrow' is no moment: write one like 2026-01-31"),
        (["{uri}", "--policy", "nobody"], "allowed: crofai"),
    ],
)
def test_mistakes_are_told(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    arguments: list[str],
    sentence: str,
    uri: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A wrong store, moment or policy is a sentence and exit status 2, and makes no file."""
    monkeypatch.chdir(tmp_path)
    given = [each.format(uri=uri) for each in arguments]
    policy = [] if "--policy" in given else ["--policy", "usage-only"]
    assert main(["purge", *given, *policy]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "nothing.db").exists()


def test_another_programs_file_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A SQLite file without a usage table is refused."""
    sqlite3.connect(tmp_path / "other.db").close()
    (tmp_path / "other.db").touch()
    uri = f"sqlite:///{tmp_path}/other.db"
    assert main(["purge", uri, "--policy", "usage-only"]) == 2
    assert "has no usage table" in capsys.readouterr().err
