"""``zeroret demo --exchanges``: recorded answers through a proxy, bare and wrapped.

The truth is the file's own: what was read of each provider's usage block when it was recorded.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx
from rich.table import Table

from zeroret.cli.demo import tables
from zeroret.cli.demo.processes import Served
from zeroret.cli.demo.recorded import DIALECTS, Recorded, read
from zeroret.cli.demo.rows import read_rows
from zeroret.cli.demo.workplace import workplace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from zeroret.cli.demo.truth import Row

COLUMNS: Final = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_write_input_tokens": "cache_write_tokens",
    "reasoning_output_tokens": "reasoning_tokens",
    "audio_input_tokens": "input_audio_tokens",
    "audio_output_tokens": "output_audio_tokens",
}
"""A record's columns and the names that the file's truth has for them."""


@dataclass
class Verdict:
    """What came of a replay; counters are by dialect."""

    total: Counter[str] = field(default_factory=Counter)
    reported: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    unreported: Counter[str] = field(default_factory=Counter)
    not_claimed: Counter[str] = field(default_factory=Counter)
    bare: Counter[str] = field(default_factory=Counter)
    wrapped: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def replay(file: Path, *, count: int | None, keep: Path | None) -> int:
    """Replay the exchanges of *file* (the first *count* of them) and return the exit status."""
    started = time.monotonic()
    to = tables.console()
    exchanges = read(file)[:count]
    with workplace(keep) as folder:
        to.print(
            f"Replaying {len(exchanges)} recorded exchanges through a proxy, bare and wrapped."
        )
        unchanged = _run(folder, file, exchanges, to)
        verdict = judge(exchanges, read_rows(folder / "wrapped" / "usage.db"))
    for name, same in unchanged.items():
        getattr(verdict, name).update(same)
        if same.total() < len(exchanges):
            verdict.faults.append(f"{len(exchanges) - same.total()} bodies changed, {name}")
    to.print(_table(verdict))
    tables.say_faults(to, verdict.faults)
    problems = [f"{len(verdict.faults)} faults"] if verdict.faults else []
    tables.closing_line(to, problems, time.monotonic() - started)
    return 1 if problems else 0


def judge(exchanges: Sequence[Recorded], rows: Sequence[Row]) -> Verdict:
    """Compare *rows*, oldest first, with the truth of *exchanges*, in the order they were made."""
    verdict = Verdict()
    if len(rows) != len(exchanges):
        verdict.faults.append(f"{len(rows)} records for {len(exchanges)} exchanges")
    for one, row in zip(exchanges, rows, strict=False):
        verdict.total[one.dialect] += 1
        faults = [
            f"{name} is {row.get(name)!r}, should be {value!r}"
            for name, value in (("dialect", one.dialect), ("status", one.status))
            if row.get(name) != value
        ]
        if one.truth is not None:
            verdict.reported[one.dialect] += 1
            faults += _differences(one.truth, row)
            verdict.equal[one.dialect] += not faults
        else:
            verdict.unreported[one.dialect] += 1
            if row.get("usage_source") == "reported":
                faults.append("usage_source is 'reported', but nobody reported any")
            verdict.not_claimed[one.dialect] += not faults
        if faults:
            verdict.faults.append(f"{one.id} ({one.dialect}): {'; '.join(faults)}")
    return verdict


def _differences(truth: dict[str, Any], row: Row) -> list[str]:
    found = [
        f"{name} is {row.get(name)}, should be {truth.get(theirs)}"
        for name, theirs in COLUMNS.items()
        if row.get(name) != truth.get(theirs)
    ]
    if row.get("usage_source") != "reported":
        found.append(f"usage_source is {row.get('usage_source')!r}, should be 'reported'")
    return found


def _run(
    folder: Path, file: Path, exchanges: Sequence[Recorded], to: Any
) -> dict[str, Counter[str]]:
    """Return how many bodies came through unchanged, by server and dialect."""
    unchanged = {}
    with ExitStack() as stack:
        upstream = stack.enter_context(
            Served(
                "zeroret.cli.demo.recorded_upstream",
                folder / "upstream",
                {"DEMO_EXCHANGES": str(file.resolve())},
            )
        ).launch()
        environment = {"DEMO_UPSTREAM": upstream.url}
        database = folder / "wrapped" / "usage.db"
        proxies = {
            "bare": environment,
            "wrapped": {**environment, "DEMO_USAGE": f"sqlite:///{database}"},
        }
        servers = {
            name: stack.enter_context(
                Served("zeroret.cli.demo.proxy", folder / name, variables)
            ).launch()
            for name, variables in proxies.items()
        }
        for served in (upstream, *servers.values()):
            served.wait_until_ready()
        with tables.progress(to) as bar:
            for name, served in servers.items():
                task = bar.add_task(f"{name:7}", total=len(exchanges))
                unchanged[name] = _post(served.url, exchanges, lambda task=task: bar.advance(task))  # type: ignore[misc]  # mypy cannot infer a lambda's default
                served.stop()
    return unchanged


def _post(url: str, exchanges: Sequence[Recorded], advance: Callable[[], object]) -> Counter[str]:
    """Post each request, one after the other, and count the bodies that came back unchanged."""
    unchanged: Counter[str] = Counter()
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for one in exchanges:
            headers = {"x-demo-exchange": one.id}
            if one.request_content_type:
                headers["content-type"] = one.request_content_type
            answer = client.post(one.path, content=one.request_body.encode(), headers=headers)
            same = answer.content == one.response_body.encode()
            unchanged[one.dialect] += same and answer.status_code == one.status
            advance()
    return unchanged


def _table(verdict: Verdict) -> Table:
    table = Table(title="Recorded answers, by dialect", title_justify="left")
    table.add_column("dialect", no_wrap=True)
    for name in (
        "exchanges",
        "usage sent",
        "records equal",
        "none sent",
        "none made up",
        "bare unchanged",
        "wrapped unchanged",
    ):
        table.add_column(name, justify="right")
    counters = (
        verdict.total,
        verdict.reported,
        verdict.equal,
        verdict.unreported,
        verdict.not_claimed,
        verdict.bare,
        verdict.wrapped,
    )
    for dialect in DIALECTS:
        table.add_row(dialect, *(f"{counter[dialect]:,}" for counter in counters))
    table.add_section()
    table.add_row("all", *(f"{counter.total():,}" for counter in counters))
    return table
