"""``zeroret usage``: the same answers from both stores, in every form, equal to the rows."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services import postgres_url
from zeroret.cli import main
from zeroret.policy import Policy
from zeroret.sinks import open_store
from zeroret.usage.identity import format_id, new_id
from zeroret.usage.layout import layout
from zeroret.usage.record import UsageRecord

START = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)


def record(minutes: int, account: str, model: str, tokens: int | None) -> UsageRecord:
    """Return the record of a chat."""
    began = START + timedelta(minutes=minutes)
    return UsageRecord(
        id=format_id(new_id(began.timestamp())),
        policy="usage-only@1",
        usage_source="unknown" if tokens is None else "reported",
        started_at=began,
        account=account,
        key_id="k1",
        route="/v1/chat/completions",
        request_model="gpt-4o",
        response_model=model,
        input_tokens=tokens,
        output_tokens=5,
        outcome="completed",
        cost="0.5",
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give a store with five records: two accounts, two models, two months."""
    schema = f"t_{uuid.uuid4().hex[:12]}"
    place = (
        f"sqlite:///{tmp_path}/usage.db"
        if request.param == "sqlite"
        else f"{postgres_url()}?zeroret_schema={schema}"
    )
    store = open_store(place, layout(Policy.load("usage-only")))
    store.write(
        [
            record(0, "acme", "gpt-4o-1", 10),
            record(1, "acme", "gpt-4o-1", None),
            record(2, "globex", "gpt-4o-1", 1),
            record(40, "acme", "gpt-4o-2", 100),
            record(200, "acme", "gpt-4o-2", 1000),
        ]
    )
    store.close()
    yield place
    if request.param == "postgresql":
        import psycopg

        with psycopg.connect(postgres_url(), autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Return the answer in JSON."""
    assert main(["usage", *arguments, "--format", "json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def few(lines: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Return some columns of an answer."""
    return [tuple(line[name] for name in names) for line in lines]


def test_by_model(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The model is the one served; the most used comes first; costs are dollars."""
    lines = asked(capsys, uri)
    assert few(lines, "model", "exchanges", "input_tokens", "output_tokens", "cost") == [
        ("gpt-4o-1", 3, 11, 15, 1.5),
        ("gpt-4o-2", 2, 1100, 10, 1.0),
    ]


@pytest.mark.parametrize(
    ("period", "labels"),
    [
        ("hour", ["2026-03-31T22", "2026-03-31T23", "2026-04-01T01"]),
        ("day", ["2026-03-31", "2026-04-01"]),
        ("month", ["2026-03", "2026-04"]),
    ],
)
def test_by_period(
    uri: str, period: str, labels: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Periods are UTC's, in order."""
    assert [line[period] for line in asked(capsys, uri, "--by", period)] == labels


def test_bounds_and_conditions(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole hours ask the totals, other moments the rows; both say the same."""
    hours = ["--since", "2026-03-31T22:00Z", "--until", "2026-03-31T23:00Z"]
    exact = ["--since", "2026-03-31T22:30:30Z", "--until", "2026-03-31T23:15Z"]
    by = ["--by", "account,route"]
    assert few(asked(capsys, uri, *by, *hours), "account", "exchanges", "input_tokens") == [
        ("acme", 2, 10),
        ("globex", 1, 1),
    ]
    assert few(asked(capsys, uri, *by, *exact), "account", "exchanges", "cost") == [
        ("acme", 2, 1.0),
        ("globex", 1, 0.5),
    ]
    only = asked(capsys, uri, "--by", "account,month", "--where", "model=gpt-4o-2")
    assert few(only, "account", "month") == [("acme", "2026-03"), ("acme", "2026-04")]
    assert len(asked(capsys, uri, "--by", "account", "--limit", "1")) == 1
    assert asked(capsys, uri, "--where", "account=nobody") == []
    assert asked(capsys, uri, "--last", "24h") == []


def test_forms(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Table with bars, CSV and Parquet hold the same numbers."""
    assert main(["usage", uri, "--by", "account"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split()[:3] == ["account", "exchanges", "input_tokens"]
    assert "acme" in out
    assert "█" in out
    assert "5 exchanges" in out
    for form in ("csv", "parquet"):
        file = tmp_path / f"usage.{form}"
        assert main(["usage", uri, "--format", form, "--output", str(file)]) == 0
    rows = list(csv.DictReader((tmp_path / "usage.csv").read_text().splitlines()))
    from pyarrow import parquet

    lines = parquet.read_table(tmp_path / "usage.parquet").to_pylist()
    assert [int(row["input_tokens"]) for row in rows] == [11, 1100]
    assert [line["input_tokens"] for line in lines] == [11, 1100]
    assert [line["cost"] for line in lines] == [1.5, 1.0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--by", "colour"], "allowed are account, key, model"),
        (["--where", "acme"], "write one like account=acme"),
        (["--last", "soon"], "write one like 24h"),
        (["--last", "1d", "--since", "2026-01-01"], "a period by itself"),
        (["--format", "parquet"], "needs --output"),
        (["--follow", "--format", "json"], "leave --format"),
        (["--since", "yesterday"], "is no moment"),
    ],
)
def test_mistakes_are_told(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong question is a sentence, and exit status 2."""
    uri = f"sqlite:///{tmp_path}/usage.db"
    store = open_store(uri, layout(Policy.load("usage-only")))
    store.write([record(0, "acme", "gpt-4o", 1)])
    store.close()
    assert main(["usage", uri, *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_what_the_policy_removed_cannot_be_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store without models says what it can be divided by."""
    uri = f"sqlite:///{tmp_path}/usage.db"
    store = open_store(uri, layout(Policy.load("crofai")))
    store.write([record(0, "acme", "gpt-4o", 1)])
    store.close()
    assert main(["usage", uri]) == 2
    assert "keeps no 'model'; usage there can be divided by account, key" in capsys.readouterr().err
    assert few(asked(capsys, uri, "--by", "account"), "account", "exchanges") == [("acme", 1)]


def test_following_shows_what_comes(tmp_path: Path) -> None:
    """A second look has what was written meanwhile; the keyboard ends it."""
    uri = f"sqlite:///{tmp_path}/usage.db"
    store = open_store(uri, layout(Policy.load("usage-only")))
    store.write([record(0, "acme", "gpt-4o", 1)])
    process = subprocess.Popen(
        [sys.executable, "-m", "zeroret", "usage", uri, "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    seen = ""
    deadline = time.monotonic() + 60
    while "1 exchanges" not in seen and time.monotonic() < deadline:
        seen += process.stdout.readline()
    store.write([record(1, "acme", "gpt-4o", 1)])
    while "2 exchanges" not in seen and time.monotonic() < deadline:
        seen += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "2 exchanges" in seen
    assert (process.returncode, errors) == (130, "zeroret: interrupted\n")
    store.close()


def test_totals_are_rebuilt_by_one_command(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Totals that somebody spoilt are right again after it."""
    right = asked(capsys, uri, "--by", "account,hour")
    store = open_store(uri)
    if uri.startswith("sqlite"):
        import sqlite3

        connection: Any = sqlite3.connect(uri.removeprefix("sqlite:///"))
        connection.execute("UPDATE usage_hourly SET exchanges = 99")
        connection.commit()
    else:
        import psycopg

        connection = psycopg.connect(postgres_url(), autocommit=True)
        connection.execute(f"UPDATE {uri.rpartition('=')[2]}.usage_hourly SET exchanges = 99")
    connection.close()
    assert asked(capsys, uri, "--by", "account,hour") != right
    assert main(["rebuild", uri, "--policy", "usage-only"]) == 0
    assert "hourly totals stand" in capsys.readouterr().out
    assert asked(capsys, uri, "--by", "account,hour") == right
    store.close()
