"""What stores of tables promise: once, totals in step, clocks, collections apart, rebuilding."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services import postgres_url
from zeroret.errors import ConfigurationError
from zeroret.policy import Policy
from zeroret.sinks import open_sink, open_store
from zeroret.types import UsageStore
from zeroret.usage.identity import format_id, new_id
from zeroret.usage.layout import Layout, layout
from zeroret.usage.record import UsageRecord

Open: TypeAlias = Callable[..., UsageStore]

START = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
USAGE_ONLY = layout(Policy.load("usage-only"))
CROFAI = layout(Policy.load("crofai"))


@pytest.fixture(params=["sqlite", "postgresql"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URI of an empty store of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/usage.db"
        return
    import psycopg

    schema = f"t_{uuid.uuid4().hex[:12]}"
    yield f"{postgres_url()}?zeroret_schema={schema}"
    with psycopg.connect(postgres_url(), autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def store(uri: str) -> Iterator[Open]:
    """Give ``store(layout)``, which opens the store under that layout."""
    opened: list[UsageStore] = []

    def open_(of: Layout = USAGE_ONLY) -> UsageStore:
        opened.append(open_store(uri, of))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def record(minutes: float, number: int = 0, of: Layout = USAGE_ONLY, **columns: Any) -> UsageRecord:
    """Return a record that began *minutes* after `START`, with the columns of a layout."""
    began = START + timedelta(minutes=minutes)
    values: dict[str, Any] = {
        "started_at": began,
        "account": f"account-{number % 3}",
        "key_id": "k",
        "route": "/v1/chat/completions",
        "outcome": "completed",
        "request_model": "gpt-4o",
        "response_model": None,
        "input_tokens": number,
        "output_tokens": 2,
        "cost": "0.000000001",
        "client_ip": "192.0.2.7",
        "client": "curl",
        "status": 200,
        "stream": True,
        "duration": 0.25,
    } | columns
    kept = {name: value for name, value in values.items() if name in of.recorded}
    return UsageRecord(
        id=format_id(new_id(began.timestamp())), policy="p@1", usage_source="reported", **kept
    )


def test_types_come_back(store: Open) -> None:
    """Numbers are numbers, unknown is NULL, zero is zero, and a cost is exact."""
    opened = store()
    opened.write([record(0, input_tokens=0, cost="12.000000001")])
    columns = "input_tokens, response_model, duration, cost, status"
    ((tokens, model, duration, cost, status),) = opened.query(f"SELECT {columns} FROM usage")
    assert (tokens, model, duration, status) == (0, None, 0.25, 200)
    assert str(cost) == "12.000000001"


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    batches=st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=6),
    minutes=st.lists(st.integers(0, 3000), min_size=31, max_size=31),
)
def test_totals_count_each_record_once(
    uri: str, batches: list[list[int]], minutes: list[int]
) -> None:
    """However records are batched, repeated and mixed up, totals equal the sums over the rows."""
    opened = open_store(uri, USAGE_ONLY)
    records = [record(minutes[number], number) for number in range(31)]
    known = opened.query("SELECT count(*) FROM usage")[0][0] if opened.columns("usage") else 0
    for batch in batches:
        opened.write([records[number] for number in batch])
    written = {number for batch in batches for number in batch}
    assert opened.query("SELECT count(*) FROM usage")[0][0] - known == len(written)
    sums = "count(*), COALESCE(sum(input_tokens), 0), COALESCE(sum(output_tokens), 0)"
    totals = sums.replace("count(*)", "COALESCE(sum(exchanges), 0)")
    for view in ("usage_hourly", "usage_daily"):
        assert opened.query(f"SELECT {totals} FROM {view}") == opened.query(
            f"SELECT {sums} FROM usage"
        )
    opened.close()


def test_totals_divide_by_what_stands_together(store: Open) -> None:
    """An hour has one total for each account, key, route, model, outcome and source."""
    opened = store()
    opened.write(
        [record(0, 0), record(1, 3), record(2, 1), record(40, 0), record(3, outcome="error")]
    )
    rows = opened.query(
        "SELECT account, outcome, exchanges, input_tokens FROM usage_hourly ORDER BY 1, 2, 3"
    )
    assert rows == [
        ("account-0", "completed", 1, 0),
        ("account-0", "completed", 2, 3),
        ("account-0", "error", 1, 0),
        ("account-1", "completed", 1, 1),
    ]
    assert opened.query("SELECT response_model FROM usage_hourly LIMIT 1") == [("",)]


def test_collections_stand_apart(store: Open) -> None:
    """Crofai's rows hold no address, its security table no id, its totals no account."""
    opened = store(CROFAI)
    opened.write([record(0, 4, CROFAI), record(1, 5, CROFAI), record(31, 6, CROFAI)])
    assert set(opened.columns("usage")) == set(CROFAI.columns)
    assert opened.columns("apart_security") == ("at", "account", "client_ip", "client")
    assert opened.query("SELECT DISTINCT client_ip, client FROM apart_security") == [
        ("192.0.2.7", "curl")
    ]
    totals = set(opened.columns("apart_hourly_totals"))
    assert {"hour", "request_model", "exchanges", "input_tokens"} <= totals
    assert not totals & {"account", "key_id", "id", "policy"}
    rows = opened.query("SELECT exchanges, input_tokens FROM apart_hourly_totals ORDER BY hour")
    assert rows == [(2, 9), (1, 6)]


def test_a_record_that_comes_twice_counts_once_everywhere(store: Open) -> None:
    """Redelivery changes neither rows, nor totals, nor any collection apart."""
    opened = store(CROFAI)
    records = [record(number, number, CROFAI) for number in range(5)]
    opened.write(records)
    opened.write([*records[2:], *records])
    tables = ("usage", "apart_security")
    assert [opened.query(f"SELECT count(*) FROM {name}")[0][0] for name in tables] == [5, 5]
    assert opened.query("SELECT sum(exchanges) FROM apart_hourly_totals")[0][0] == 5


@pytest.mark.parametrize("table", ["usage", "usage_hourly", "apart_security"])
def test_the_clock_takes_what_is_older(store: Open, table: str) -> None:
    """A dry run says how many; then exactly those are gone, and no other table lost a row."""
    opened = store(CROFAI)
    days = (0, 1, 40, 80, 81)
    opened.write([record(day * 1440, day, CROFAI) for day in days])
    names = ("usage", "usage_hourly", "apart_security", "apart_hourly_totals")
    before = {name: opened.query(f"SELECT count(*) FROM {name}")[0][0] for name in names}
    limit = START + timedelta(days=80)
    assert opened.expire(table, limit, dry_run=True) == 3
    assert {name: opened.query(f"SELECT count(*) FROM {name}")[0][0] for name in names} == before
    assert opened.expire(table, limit) == 3
    assert opened.expire(table, limit) == 0
    after = {name: opened.query(f"SELECT count(*) FROM {name}")[0][0] for name in names}
    assert after == before | {table: before[table] - 3}
    opened.write([record(82 * 1440, 1, CROFAI), record(0, 1, CROFAI)])  # late ones are still taken


def test_records_of_a_clock_that_is_off_are_kept(store: Open) -> None:
    """A host that lives years before or after the others loses nothing, nor takes others along."""
    sink = store()
    years = 365 * 24 * 60
    sink.write([record(0), record(3 * years), record(-4 * years), record(-50 * years)])
    assert sink.query("SELECT count(*) FROM usage") == [(4,)]
    assert sink.query("SELECT sum(exchanges) FROM usage_hourly") == [(4,)]
    assert sink.expire("usage", START - timedelta(days=30)) == 2
    assert sink.query("SELECT count(*) FROM usage") == [(2,)]


def test_nothing_to_expire_where_there_is_no_table(store: Open) -> None:
    """A table that the store does not have loses nothing."""
    opened = store()
    opened.write([record(0)])
    assert opened.expire("apart_security", START + timedelta(days=9000)) == 0


def test_totals_are_rebuilt_from_rows(store: Open) -> None:
    """Wrong totals are made right from the rows; an hour without rows keeps what it has."""
    opened = store()
    opened.write([record(number * 20, number) for number in range(12)])
    right = opened.query("SELECT * FROM usage_hourly ORDER BY 1, 3")
    gone = START + timedelta(minutes=90)
    opened.expire("usage", gone)
    opened.write([])
    assert opened.rebuild() == len(right)
    hours = "SELECT * FROM usage_hourly WHERE hour > ? ORDER BY 1, 3"
    kept = [row for row in right if row in opened.query(hours, [opened.moment(gone)])]
    assert kept == opened.query(hours, [opened.moment(gone)])


def test_a_wider_policy_adds_columns(store: Open) -> None:
    """A store that held less gets the missing columns, and its totals are divided anew."""
    narrow = Layout(("id", "policy", "usage_source", "started_at", "account"))
    first = store(narrow)
    first.write([record(0, of=narrow)])
    first.close()
    second = store(USAGE_ONLY)
    second.write([record(1)])
    rows = second.query("SELECT input_tokens FROM usage ORDER BY started_at")
    assert rows == [(None,), (0,)]
    assert second.query("SELECT route, exchanges FROM usage_hourly ORDER BY 1") == [
        ("", 1),
        ("/v1/chat/completions", 1),
    ]


def test_writers_at_once_neither_deadlock_nor_double(store: Open) -> None:
    """Four writers of overlapping batches in different orders: each record is there once."""
    opened = store()
    opened.write([record(0)])
    records = [record(number, number) for number in range(400)]
    errors: list[BaseException] = []

    def write(offset: int) -> None:
        own = store()
        order = records[offset:] + records[:offset]
        if offset % 200:
            order.reverse()
        try:
            for at in range(0, len(order), 50):
                own.write(order[at : at + 50])
        except BaseException as error:  # noqa: BLE001 - told to the main thread
            errors.append(error)

    threads = [threading.Thread(target=write, args=(offset,)) for offset in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert opened.query("SELECT count(*) FROM usage")[0][0] == 401
    assert opened.query("SELECT sum(exchanges) FROM usage_hourly")[0][0] == 401


def test_a_store_opened_to_ask_changes_nothing(uri: str) -> None:
    """Without a layout no table is made or altered."""
    reading = open_store(uri)
    assert reading.columns("usage") == ()
    sink = open_sink(uri, columns=("id", "policy", "usage_source"))
    sink.write([record(0)])
    sink.close()
    assert reading.columns("usage") == ("id", "policy", "usage_source")
    reading.close()


def test_only_stores_can_be_asked(tmp_path: Path) -> None:
    """A sink without tables says which ones have them."""
    with pytest.raises(ConfigurationError, match=r"keeps no tables.*sqlite:, postgresql:"):
        open_store(f"jsonl:///{tmp_path}/x")
