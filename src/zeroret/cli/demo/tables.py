"""What the demo shows: a progress bar, the usage table, the leak table and one closing line."""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from zeroret.cli.demo.leaks import SURFACES
from zeroret.cli.demo.requests import is_stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeroret.cli.demo.driver import Heard
    from zeroret.cli.demo.leaks import Found
    from zeroret.cli.demo.truth import Expected, Row

PLAIN_WIDTH: Final = 120
"""Columns of the tables where the output is no terminal."""

WIDE: Final = 112
"""Columns from which on counts and latencies stand in one table."""

MOST_FAULTS: Final = 12
"""Faults that are spelled out; the rest is counted."""

KILLED: Final = "(killed)"
"""Stands for the model of exchanges under way at the kill, of which a record may know less."""

_COUNTED: Final = ("requests", "input", "output", "cached", "source")
_TIMED: Final = ("p50 ms", "p95 ms", "first ms")
_SUMMED: Final = ("input_tokens", "output_tokens", "cache_read_input_tokens")
_NUMBER: Final = re.compile(r"exchange \d+ ")


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


def usage_tables(
    expected: Iterable[Expected], rows: Iterable[Row], heard: Iterable[Heard], width: int
) -> list[Table]:
    """Return usage by model, the truth beneath; latencies apart where *width* is too small.

    Every record and every exchange is in it, whether they fit each other or not.
    """
    spoken = {one.call.number: one for one in heard}
    wanted: defaultdict[str, list[Expected]] = defaultdict(list)
    for one in expected:
        wanted[KILLED if one.may_be_unknown else one.model].append(one)
    had: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        killed = row.get("outcome") == "killed"
        had[KILLED if killed else str(row.get("request_model"))].append(row)
    counts = _table("Usage by model: what was recorded, and the truth", _COUNTED)
    latencies = _table("Latency by model: at the server, and at the client", _TIMED)
    both = _table("Usage by model: what was recorded, and the truth", _COUNTED + _TIMED)
    for model in sorted({*wanted, *had}):
        recorded, timed = _recorded(had[model]), _recorded_times(had[model])
        truth = _truth(wanted[model])
        waited = _heard_times([spoken[one.number] for one in wanted[model]])
        for table, first, second in (
            (counts, recorded, truth),
            (latencies, timed, waited),
            (both, recorded + timed, truth + waited),
        ):
            table.add_row(model, *first)
            table.add_row("  truth", *second, style="dim")
    return [both] if width >= WIDE else [counts, latencies]


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


def say_lines(to: Console, lines: Iterable[tuple[str, str]]) -> None:
    """Print one log line of each server, shortened."""
    to.print("The first prompt in each application log:")
    for name, line in lines:
        to.print(f"  {name:8} {line}", markup=False, no_wrap=True, overflow="ellipsis")
    to.print()


def say_ranges(to: Console) -> None:
    """Explain what a range in the row of the truth means."""
    to.print(
        "A range is an answer broken off: the client heard at least so much, the upstream sent at "
        "most so much.\nAfter a kill a record may know less. `other` is any model nobody has heard "
        "of.",
        style="dim",
    )
    to.print()


def say_faults(to: Console, faults: Iterable[str]) -> None:
    """Print the faults, those that differ in the exchange alone as one; of many the first."""
    alike = Counter(_NUMBER.sub("", fault) for fault in faults)
    for fault, times in list(alike.items())[:MOST_FAULTS]:
        to.print(f"  wrong, {times} x: {fault}", style="red", markup=False)
    if len(alike) > MOST_FAULTS:
        to.print(f"  and {len(alike) - MOST_FAULTS} others", style="red")


def closing_line(to: Console, problems: Sequence[str], seconds: float) -> None:
    """Print PASS or FAIL with the reasons and the time it took."""
    if problems:
        to.print(f"FAIL in {seconds:.1f} s: {'; '.join(problems)}", style="bold red", markup=False)
    else:
        to.print(f"PASS in {seconds:.1f} s", style="bold green")


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, pad_edge=False)
    table.add_column("model", no_wrap=True, min_width=22)
    for name in columns:
        table.add_column(name, justify="left" if name == "source" else "right")
    return table


def _recorded(rows: list[Row]) -> list[str]:
    sources = Counter(str(row.get("usage_source")) for row in rows)
    return [
        f"{len(rows):,}",
        *(f"{sum(row.get(name) or 0 for row in rows):,}" for name in _SUMMED),
        ", ".join(f"{count} {name}" for name, count in sources.most_common()),
    ]


def _recorded_times(rows: list[Row]) -> list[str]:
    first = [row.get("time_to_first_token") for row in rows]
    return [*_latencies([row.get("duration") for row in rows]), _milliseconds(_median(first))]


def _truth(wanted: list[Expected]) -> list[str]:
    origins = Counter(_origin(one) for one in wanted)
    return [
        f"{len(wanted):,}",
        *(_bounds([_allowed(one, name) for one in wanted]) for name in _SUMMED),
        ", ".join(f"{count} {name}" for name, count in origins.most_common()),
    ]


def _heard_times(heard: list[Heard]) -> list[str]:
    first = [one.first_token for one in heard if is_stream(one.call)]
    return [*_latencies([one.latency for one in heard]), _milliseconds(_median(first))]


def _allowed(one: Expected, name: str) -> tuple[int, int] | None:
    bounds = one.counts.get(name)
    return (0, bounds[1]) if bounds and one.may_be_unknown else bounds


def _origin(one: Expected) -> str:
    """Say where the truth about one exchange comes from."""
    if one.kind.endswith(("hang-up", "kill")):
        return "range"
    if "uncounted" in one.kind:
        return "tiktoken"
    return "SDK" if "reported" in one.sources else "no usage"


def _bounds(column: Sequence[tuple[int, int] | None]) -> str:
    low = sum(bounds[0] for bounds in column if bounds)
    high = sum(bounds[1] for bounds in column if bounds)
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


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
