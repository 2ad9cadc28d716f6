"""Rows beside their budgets, as Markdown and as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HEADINGS: Final = ("work", "budget", "measured", "bare", "A/A control", "verdict")


@dataclass(frozen=True)
class Row:
    """One line of a report: what was measured, and whether its budget is met."""

    work: str
    budget: str
    measured: str
    verdict: str
    bare: str = "-"
    control: str = "-"

    def cells(self) -> tuple[str, ...]:
        """Return the cells in the order of `HEADINGS`."""
        return (self.work, self.budget, self.measured, self.bare, self.control, self.verdict)


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def parser(description: str | None, *, rounds: int, restarts: int) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--rounds", type=int, default=rounds, help="rounds after each restart")
    made.add_argument("--restarts", type=int, default=restarts, help="how often processes restart")
    made.add_argument("--json", type=Path, metavar="FILE", help="write rows and details here")
    return made


def report(
    title: str, rows: Sequence[Row], details: dict[str, Any], target: Path | None = None
) -> None:
    """Print a benchmark's table and what it ran with; write both to *target* as JSON."""
    print(f"## {title}\n")
    print(markdown(HEADINGS, [row.cells() for row in rows]), flush=True)
    shown = {name: value for name, value in details.items() if name != "table"}
    if shown:
        print(f"\nran with: {json.dumps(shown)}\n", flush=True)
    if target is not None:
        data = {"title": title, "rows": [asdict(row) for row in rows], "details": details}
        target.write_text(json.dumps(data), encoding="utf-8")


def machine() -> str:
    """Return the class of this machine, without its name."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores, {platform.system()}, {python}"
