"""The demo itself: both servers driven, killed, started again, stopped; then the verdict."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Barrier
from typing import TYPE_CHECKING, Final

from zeroret.cli.demo import tables
from zeroret.cli.demo.calls import KILLED, deal
from zeroret.cli.demo.driver import Driver, Heard
from zeroret.cli.demo.leaks import Search, merge
from zeroret.cli.demo.processes import Served
from zeroret.cli.demo.rows import read_rows
from zeroret.cli.demo.truth import compare, expect, read_sent
from zeroret.cli.demo.workplace import workplace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

    from zeroret.cli.demo.leaks import Found
    from zeroret.cli.demo.truth import Comparison, Sent

AFTERWARDS: Final = 8
"""Exchanges after the kill and the second start."""

TOGETHER: Final = 20.0
"""Seconds in which the streams that the kill breaks off must all be open."""

LATE: Final = 0.6
"""Seconds to wait before a server ends, so that it writes what it writes after its replies."""


@dataclass
class Side:
    """One of the two servers and what came of it."""

    name: str
    served: Served
    first: int
    heard: list[Heard] = field(default_factory=list)
    found: Found = field(default_factory=dict)
    planted: int = 0


def demonstrate(count: int, *, keep: Path | None) -> int:
    """Run the demo with *count* exchanges a server; return the exit status."""
    started = time.monotonic()
    to = tables.console()
    with workplace(keep) as folder:
        sides, sent = _run(folder, count, to)
        bare, wrapped = sides
        again: list[str] = []
        expected = [expect(one, sent.get(one.call.number), again) for one in wrapped.heard]
        rows = read_rows(wrapped.served.folder / "usage.db")
        comparison = compare(expected, rows)
        to.print()
        tables.say_lines(to, ((side.name, first_prompt(side.served.folder)) for side in sides))
        for table in tables.usage_tables(expected, rows, wrapped.heard, to.width):
            to.print(table)
        tables.say_ranges(to)
        tables.say_faults(to, again + comparison.faults)
        to.print(tables.leak_table(bare.found, wrapped.found, (bare.planted, wrapped.planted)))
        problems = verdict(sides, comparison, again)
    tables.closing_line(to, problems, time.monotonic() - started)
    return 1 if problems else 0


def first_prompt(folder: Path) -> str:
    """Return the first line about a prompt in the application log, without its time."""
    lines = (folder / "app.log").read_text(encoding="utf-8").splitlines()
    found = next((line for line in lines if "reseller: prompt" in line), "")
    return found.partition("reseller: ")[2] or "(none)"


def verdict(sides: tuple[Side, Side], comparison: Comparison, again: list[str]) -> list[str]:
    """Return what speaks against a pass; nothing if all is well."""
    bare, wrapped = sides
    problems = list(again[:1])
    if comparison.faults:
        problems.append(f"{len(comparison.faults)} wrong records")
    if any(wrapped.found.values()):
        problems.append("the wrapped server leaks")
    if not any(bare.found.values()):
        problems.append("the bare server leaks nothing, so nothing is proved")
    broken = [
        one
        for one in bare.heard + wrapped.heard
        if one.error and not one.call.kind.endswith("kill")
    ]
    if broken:
        first = broken[0]
        problems.append(f"{len(broken)} calls failed, first {first.call.kind}: {first.error}")
    return problems


def _run(folder: Path, count: int, to: Console) -> tuple[tuple[Side, Side], dict[int, Sent]]:
    log = folder / "sent.jsonl"
    with ExitStack() as stack:
        upstream = stack.enter_context(
            Served("zeroret.cli.demo.upstream", folder / "upstream", {"DEMO_SENT": str(log)})
        ).launch()
        to.print(f"Starting the fake upstream and two servers, then {count} exchanges with each.")
        sides = _sides(folder, upstream.url, count)
        for side in sides:
            stack.enter_context(side.served).launch()
        for served in (upstream, *(side.served for side in sides)):
            served.wait_until_ready()
        with tables.progress(to) as bar:
            for side in sides:
                task = bar.add_task(f"{side.name:7}", total=count + len(KILLED) + AFTERWARDS)
                _drive(side, count, lambda task=task: bar.advance(task))  # type: ignore[misc]  # mypy cannot infer a lambda's default
                _search_now(side, log)
            for side in sides:
                side.served.launch()
            for side, task in zip(sides, bar.task_ids, strict=True):
                side.served.wait_until_ready()
                _drive_again(side, lambda task=task: bar.advance(task))  # type: ignore[misc]  # as above
                side.served.stop()
                _search_now(side, log)
        upstream.stop()
    return sides, read_sent(log)


def _sides(folder: Path, upstream: str, count: int) -> tuple[Side, Side]:
    environment = {"DEMO_UPSTREAM": upstream}
    module = "zeroret.cli.demo.server"
    database = folder / "wrapped" / "usage.db"
    bare = Served(module, folder / "bare", environment)
    wrapped = Served(
        module, folder / "wrapped", {**environment, "DEMO_USAGE": f"sqlite:///{database}"}
    )
    return Side("bare", bare, 1), Side("wrapped", wrapped, 1 + count + len(KILLED) + AFTERWARDS)


def _drive(side: Side, count: int, advance: Callable[[], object]) -> None:
    """Make the exchanges, then kill the server while streams are open."""
    driver = Driver(side.served.url)
    side.heard += driver.run(deal(count, side.first), advance)
    time.sleep(LATE)
    side.heard += driver.run(
        deal(len(KILLED), side.first + count, KILLED),
        advance,
        meanwhile=Barrier(len(KILLED), side.served.kill, timeout=TOGETHER).wait,
    )
    side.served.kill()  # also if they never came to be open together
    driver.close()


def _drive_again(side: Side, advance: Callable[[], object]) -> None:
    """Make a few exchanges more: the second start adopts what the first left behind."""
    driver = Driver(side.served.url)
    side.heard += driver.run(deal(AFTERWARDS, side.first + len(side.heard)), advance)
    time.sleep(LATE)
    driver.close()


def _search_now(side: Side, log: Path) -> None:
    """Search what stands there now; the server is not running."""
    sent = read_sent(log)
    canaries = {canary for one in side.heard for canary in one.planted}
    for one in side.heard:
        reply = sent.get(one.call.number)
        if reply is not None and reply.canary:
            canaries.add(reply.canary)
    side.planted = len(canaries)
    side.found = merge(side.found, Search(canaries).folder(side.served.folder))
