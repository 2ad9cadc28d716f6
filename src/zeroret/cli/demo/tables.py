"""What the demo shows: a progress bar, the usage table, the leak table and one closing line."""

from __future__ import annotations

import sys
from collections import Counter
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from zeroret.cli.demo.leaks import SURFACES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeroret.cli.demo.driver import Heard
    from zeroret.cli.demo.leaks import Found
    from zeroret.cli.demo.truth import Comparison, Expected, Row

PLAIN_WIDTH: Final = 120
"""Columns of the tables where the output is no terminal."""

MOST_FAULTS: Final = 12
"""Faults that are spelled out; the rest is counted."""


def console() -> Console:
    """Return the console; plain text of a fixed width where stdout is no terminal."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width, highlight=False, soft_wrap=False)


def progress(to: Console) -> Progress:
    """Return a progress bar, which is silent where the output is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=to, disable=not to.is_terminal)


def usage_table(comparison: Comparison, heard: Iterable[Heard]) -> Table:
    """Return usage by model: what the records say, and below it the truth."""
    table = Table(title="Usage by model: the records, and the truth beneath", title_justify="left")
    table.add_column("model", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in ("requests", "input", "output", "cached", "p50 ms", "p95 ms", "first ms"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("source")
    spoken = {one.call.number: one for one in heard}
    for model in sorted({expected.model for expected, _ in comparison.pairs}):
        pairs = [pair for pair in comparison.pairs if pair[0].model == model]
        _add_records(table, model, [row for _, row in pairs])
        wanted = [expected for expected, _ in pairs]
        _add_truth(table, wanted, [spoken[one.number] for one in wanted])
    return table


def leak_table(bare: Found, wrapped: Found, planted: tuple[int, int]) -> Table:
    """Return canaries found by surface; *planted* is how many, bare and wrapped."""
    table = Table(title="Canaries found by surface", title_justify="left")
    table.add_column("surface", no_wrap=True)
    table.add_column("bare", justify="right")
    table.add_column("wrapped", justify="right")
    for surface in SURFACES:
        counts = (len(bare.get(surface, ())), len(wrapped.get(surface, ())))
        table.add_row(surface, f"{counts[0]:,}", _alarm(counts[1]))
    table.add_section()
    totals = (len(_all(bare)), len(_all(wrapped)))
    table.add_row("different canaries", f"{totals[0]:,}", _alarm(totals[1]))
    table.add_row("planted", f"{planted[0]:,}", f"{planted[1]:,}")
    return table


def say_faults(to: Console, faults: Sequence[str]) -> None:
    """Print the first faults, and how many more there are."""
    for fault in faults[:MOST_FAULTS]:
        to.print(f"  wrong: {fault}", style="red", markup=False)
    if len(faults) > MOST_FAULTS:
        to.print(f"  and {len(faults) - MOST_FAULTS} more", style="red")


def closing_line(to: Console, problems: Sequence[str], seconds: float) -> None:
    """Print PASS or FAIL with the reasons and the time it took."""
    if problems:
        to.print(f"FAIL in {seconds:.1f} s: {'; '.join(problems)}", style="bold red", markup=False)
    else:
        to.print(f"PASS in {seconds:.1f} s", style="bold green")


def _add_records(table: Table, model: str, rows: list[Row]) -> None:
    sources = Counter(str(row.get("usage_source")) for row in rows)
    table.add_row(
        model,
        "recorded",
        f"{len(rows):,}",
        *(_sum(row.get(name) for row in rows) for name in _SUMMED),
        *_latencies([row.get("duration") for row in rows]),
        _milliseconds(_median([row.get("time_to_first_token") for row in rows])),
        ", ".join(f"{name} {count}" for name, count in sorted(sources.items())),
    )


def _add_truth(table: Table, wanted: list[Expected], heard: list[Heard]) -> None:
    bounds = [[one.counts.get(name) for one in wanted] for name in _SUMMED]
    table.add_row(
        "",
        "truth",
        f"{len(wanted):,}",
        *(_bounds(column) for column in bounds),
        *_latencies([one.latency for one in heard]),
        _milliseconds(_median([one.first_token for one in heard if "stream" in one.call.kind])),
        ", ".join(sorted({_truth_of(one) for one in wanted})),
        style="dim",
        end_section=True,
    )


_SUMMED: Final = ("input_tokens", "output_tokens", "cache_read_input_tokens")


def _truth_of(one: Expected) -> str:
    """Say where the truth about one exchange comes from."""
    if one.kind.endswith(("hang-up", "kill")):
        return "heard ≤ n ≤ sent"
    if "uncounted" in one.kind:
        return "tiktoken"
    return "SDK" if "reported" in one.sources else "no usage"


def _bounds(column: Sequence[tuple[int, int] | None]) -> str:
    low = sum(bounds[0] for bounds in column if bounds)
    high = sum(bounds[1] for bounds in column if bounds)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _sum(values: Iterable[Any]) -> str:
    return f"{sum(value or 0 for value in values):,}"


def _latencies(values: Iterable[float | None]) -> tuple[str, str]:
    known = [value for value in values if value is not None]
    if len(known) < 2:  # noqa: PLR2004 - a spread needs two
        return _milliseconds(_median(known)), "-"
    return _milliseconds(median(known)), _milliseconds(quantiles(known, n=20)[-1])


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.0f}"


def _alarm(count: int) -> str:
    return f"[red bold]{count:,}[/]" if count else "0"


def _all(found: Found) -> set[str]:
    return {canary for canaries in found.values() for canary in canaries}
