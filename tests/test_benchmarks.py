"""The benchmarks: each script still runs, at its smallest size, and prints its table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

BENCHMARKS: Final = Path(__file__).parents[1] / "benchmarks"
ONE_ROUND: Final = ("--rounds", "1", "--restarts", "1")
SMALLEST: Final = {
    "in_process.py": (*ONE_ROUND, "--only", "json", "sse", "flask"),
    "uvicorn_load.py": (*ONE_ROUND, "--scale", "0.02"),
    "guards.py": ONE_ROUND,
    "logs.py": ONE_ROUND,
    "journal.py": (*ONE_ROUND, "--records", "100"),
    "streams.py": (*ONE_ROUND, "--streams", "10"),
    "tokens.py": ONE_ROUND,
}


def run(script: str, *arguments: str) -> str:
    """Run a script of the benchmarks' folder and return what it printed."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.parametrize("script", SMALLEST)
def test_a_benchmark_prints_its_table(script: str, tmp_path: Path) -> None:
    """A benchmark prints a row for everything that it writes to its JSON file."""
    target = tmp_path / "rows.json"
    printed = run(script, *SMALLEST[script], "--json", str(target))
    found = json.loads(target.read_text())
    assert f"## {found['title']}" in printed
    assert found["rows"]
    for row in found["rows"]:
        assert f"| {row['work']} | {row['budget']} | {row['measured']} |" in printed


@pytest.mark.long
def test_the_wrapped_variants_deliver_every_record(tmp_path: Path) -> None:
    """What the in-process benchmark measured includes keeping: no record failed or was lost."""
    target = tmp_path / "rows.json"
    run("in_process.py", *ONE_ROUND, "--only", "json", "--json", str(target))
    details = json.loads(target.read_text())["details"]
    for variant in ("strict", "none", "memory"):
        facts = details[variant]
        assert facts["delivered"] == facts["exchanges"] > 0
        assert facts["posture"]["failures"] == {}


@pytest.mark.long
def test_every_benchmark_is_in_the_full_run() -> None:
    """The runner's help names each benchmark, and so does this test."""
    printed = run("run", "--help")
    for script in SMALLEST:
        assert script.removesuffix(".py") in printed
