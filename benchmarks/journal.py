"""The journal's append, and how fast delivery carries records to each kind of store."""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import variants
from rounds import Child, Estimate, Series, measure, serve, start
from table import Row, parser, report

from zeroret.errors import ZeroRetentionError
from zeroret.journal import Journal
from zeroret.journal.delivery import Delivery
from zeroret.journal.lines import frame
from zeroret.policy import Policy
from zeroret.sinks import open_sink
from zeroret.usage.identity import format_id, new_id
from zeroret.usage.record import COLUMNS, UsageRecord, encode

if TYPE_CHECKING:
    from collections.abc import Callable

APPENDS: Final = 3000
RECORDS: Final = 20_000
_APPEND_LIMIT: Final = 6.0
_ROWS_LIMIT: Final = 25_000
_SERVERS: Final = {
    "PostgreSQL": (
        "ZERORET_POSTGRES_URL",
        "postgresql://postgres@127.0.0.1:5432/postgres",
        "zeroret_schema=zeroret_benchmark",
        40_000,
    ),
    "Redis": ("ZERORET_REDIS_URL", "redis://127.0.0.1:6379/9", "stream=zeroret:benchmark", 50_000),
    "NATS": ("ZERORET_NATS_URL", "nats://127.0.0.1:4222", "stream=ZERORET_BENCHMARK", 15_000),
}
"""Stores with a server: the variable of their URL, where they are without it, the place in them for
a benchmark, and how many rows a second by the clock are to be reached."""

_WAIT: Final = 60.0
_STARTED: Final = datetime(2026, 1, 1, tzinfo=UTC)


def records(count: int) -> list[UsageRecord]:
    """Return *count* records of the built-in policy, as a chat leaves them."""
    policy = Policy.load("usage-only")
    values: dict[str, Any] = {
        "duration": 1.234567,
        "time_to_first_token": 0.123456,
        "account": "acct_0123456789",
        "key_id": "b1946ac92492d2347c6235b4d2611184",
        "route": "/v1/chat/completions",
        "method": "POST",
        "dialect": "openai.chat",
        "provider": "openai",
        "request_model": "gpt-4o-2024-08-06",
        "response_model": "gpt-4o-2024-08-06",
        "stream": True,
        "status": 200,
        "outcome": "completed",
        "input_tokens": 57,
        "output_tokens": 496,
        "request_bytes": 300,
        "response_bytes": 135000,
    }
    kept: dict[str, Any] = {name: values.get(name) for name in COLUMNS if name in policy.columns}
    made = []
    for number in range(count):
        kept.update(
            id=format_id(new_id(time.time())),
            policy=policy.stamp,
            usage_source="reported",
            started_at=_STARTED + timedelta(milliseconds=number),
        )
        made.append(UsageRecord(**kept))
    return made


def _child(way: str) -> None:
    """Append records *way*, as asked: ``write`` is the bare system call of a finished line."""
    made = records(APPENDS)
    with tempfile.TemporaryDirectory(prefix="zeroret-benchmark-") as folder:
        journal = Journal(Path(folder) / "journal").open()
        journal.open_slot(bytes(16), 0.0)
        descriptor = os.open(Path(folder) / "lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        line = frame(encode(made[0]))
        ways: dict[str, Callable[[], None]] = {
            "write": lambda: _write(descriptor, line),
            "append": lambda: _append(journal, made),
            "exchange": lambda: _exchange(journal, made),
        }

        def answer(_: dict[str, Any]) -> dict[str, Any]:
            ways[way.removesuffix("2")]()
            return {}

        serve(answer)
        os.close(descriptor)


def _write(descriptor: int, line: bytes) -> None:
    for _ in range(APPENDS):
        os.write(descriptor, line)


def _append(journal: Journal, made: list[UsageRecord]) -> None:
    for record in made:
        journal.append(record)


def _exchange(journal: Journal, made: list[UsageRecord]) -> None:
    for record in made:
        journal.record(record, journal.open_slot(bytes(16), 0.0))


def appends(rounds: int, restarts: int) -> list[Row]:
    """Measure appending and return its rows."""
    ways = ("write", "write2", "append", "exchange")
    series = Series()
    for _ in range(restarts):
        with ExitStack() as stack:
            children: dict[str, Child] = start(
                stack, {way: ("journal.py", "--child", way) for way in ways}
            )
            measure(children, rounds, APPENDS, {}, series)
    what = {
        "append": "journal append (encode, checksum, write)",
        "exchange": "journal append and live slot",
    }
    control = Estimate.of(series.added("write2", "write"), 1e6)
    made = []
    for way, text in what.items():
        estimate = Estimate.of(series.values[way], 1e6)
        made.append(
            Row(
                text,
                f"≤ {_APPEND_LIMIT:g} µs",
                estimate.show(1, "µs"),
                estimate.verdict(_APPEND_LIMIT),
                f"{series.typical('write') * 1e6:.1f} µs (bare write)",
                control.show(1, "µs", signed=True),
            )
        )
    return made


def _deliver(made: list[UsageRecord], folder: Path) -> tuple[float, float, dict[str, Any]]:
    """Return rows a second by the clock, the same by CPU, and the counters."""
    uri = f"sqlite:///{folder / 'usage.db'}"
    journal = Journal(folder / "journal").open()
    for record in made:
        journal.append(record)
    columns = sorted(Policy.load("usage-only").columns)
    delivery = Delivery(journal, [("sqlite", open_sink(uri, columns=columns))])
    wall, cpu = time.perf_counter(), time.process_time()
    if not delivery.flush(_WAIT):
        raise RuntimeError("delivery did not catch up")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    size = sum(path.stat().st_size for path in (folder / "journal").iterdir())
    facts = {"counters": delivery.counters(), "journal_bytes": size}
    delivery.close()
    return len(made) / wall, len(made) / cpu, facts


def _plain(made: list[UsageRecord], folder: Path) -> float:
    """Return rows a second of SQLite's own bulk insert, by CPU: the limit."""
    first = [value for value in made[0].as_dict().values() if isinstance(value, (str, int, float))]
    connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    names = ", ".join(f"c{number}" for number in range(len(first)))
    connection.execute(f"create table plain (id text primary key, {names}) without rowid")
    marks = ", ".join("?" * (len(first) + 1))
    cpu = time.process_time()
    for at in range(0, len(made), 500):
        rows = [(record.id, *first) for record in made[at : at + 500]]
        connection.execute("begin immediate")
        connection.executemany(f"insert into plain values ({marks})", rows)  # noqa: S608 - marks only
        connection.execute("commit")
    cpu = time.process_time() - cpu
    connection.close()
    return len(made) / cpu


def to_servers(times: int, count: int) -> list[Row]:
    """Measure delivery to each server that is there, from the journal to its acknowledgement."""
    rows = []
    for name, (variable, standard, place, limit) in _SERVERS.items():
        uri = f"{os.environ.get(variable, standard)}?{place}"
        try:
            rates = [_to_server(uri, count) for _ in range(times)]
        except (OSError, RuntimeError) as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        median = statistics.median(rates)
        rows.append(
            Row(
                f"delivery of {count} records to {name}, {times} times",
                f"≥ {limit // 1000}k rows/s",
                f"{median / 1e3:.0f}k ({min(rates) / 1e3:.0f} to {max(rates) / 1e3:.0f})",
                Estimate(median, 0.0).verdict(limit, at_least=True),
                "by the clock, one client",
            )
        )
    return rows


def _to_server(uri: str, count: int) -> float:
    """Return how many records a second go from a journal to the store at *uri*."""
    sink = open_sink(uri, columns=sorted(Policy.load("usage-only").columns))
    try:
        sink.write(records(1))  # connects, and makes what is missing
    except ZeroRetentionError as error:
        raise RuntimeError(str(error)) from None
    with tempfile.TemporaryDirectory(prefix="zeroret-benchmark-") as folder:
        journal = Journal(Path(folder) / "journal").open()
        for record in records(count):
            journal.append(record)
        delivery = Delivery(journal, [("store", sink)])
        began = time.perf_counter()
        if not delivery.flush(_WAIT):
            raise RuntimeError("delivery did not catch up")
        rate = count / (time.perf_counter() - began)
        delivery.close()
    return rate


def deliveries(times: int, count: int) -> tuple[list[Row], dict[str, Any]]:
    """Measure delivery and return its row and what it ran with."""
    walls, cpus, plain = [], [], []
    facts: dict[str, Any] = {}
    for _ in range(times):
        made = records(count)
        with tempfile.TemporaryDirectory(prefix="zeroret-benchmark-") as folder:
            wall, cpu, facts = _deliver(made, Path(folder))
            plain.append(_plain(made, Path(folder)))
        walls.append(wall)
        cpus.append(cpu)
    estimate = Estimate.of(cpus)
    spread = f"{min(cpus) / 1e3:.0f} to {max(cpus) / 1e3:.0f}"
    clock = f"{statistics.median(walls) / 1e3:.0f}k by the clock"
    row = Row(
        f"delivery of {count} records to SQLite, {times} times",
        f"≥ {_ROWS_LIMIT // 1000}k rows a CPU second",
        f"{estimate.median / 1e3:.0f}k ({spread}); {clock}",
        Estimate(estimate.median, 0.0).verdict(_ROWS_LIMIT, at_least=True),
        f"{statistics.median(plain) / 1e3:.0f}k (plain executemany)",
    )
    return [row], {**facts, "peak_rss_mb": variants.peak_rss()}


def main() -> None:
    """Measure both and print the table."""
    if "--child" in sys.argv:
        _child(sys.argv[-1])
        return
    made = parser(__doc__, rounds=9, restarts=3)
    made.add_argument("--records", type=int, default=RECORDS, help="how many to deliver at once")
    arguments = made.parse_args()
    rows = appends(arguments.rounds, arguments.restarts)
    delivered, facts = deliveries(arguments.restarts, arguments.records)
    delivered += to_servers(arguments.restarts, arguments.records)
    report("Journal and delivery", [*rows, *delivered], facts, arguments.json)


if __name__ == "__main__":
    main()
