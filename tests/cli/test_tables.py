"""What the demo shows: as much as there is room for, and alike faults once."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.table import Table

from zeroret.cli.demo.calls import Call
from zeroret.cli.demo.driver import Heard
from zeroret.cli.demo.tables import (
    WIDE,
    closing_line,
    leak_table,
    say_faults,
    usage_tables,
)
from zeroret.cli.demo.truth import Expected


def shown(*tables: Table, width: int = WIDE) -> str:
    """Return tables as plain text."""
    console = Console(file=(text := StringIO()), width=width)
    for table in tables:
        console.print(table)
    return text.getvalue()


@pytest.fixture
def one() -> tuple[list[Expected], list[Heard]]:
    """Give one exchange of 1,234 tokens in, as it was expected and heard."""
    expected = Expected(
        number=1,
        kind="openai json",
        model="gpt-4o",
        fixed={},
        sources=frozenset({"reported"}),
        counts={"input_tokens": (1234, 1234), "output_tokens": (5, 9)},
    )
    return [expected], [Heard(Call(1, "openai json", "gpt-4o", {}), latency=0.25)]


@pytest.mark.parametrize(("width", "tables"), [(WIDE, 1), (WIDE - 1, 2), (80, 2)])
def test_usage_fits_the_terminal(
    one: tuple[list[Expected], list[Heard]], width: int, tables: int
) -> None:
    """Where there is no room for one table there are two, and nothing is cut off."""
    expected, heard = one
    rows = [{"request_model": "gpt-4o", "input_tokens": 1234, "usage_source": "reported"}]
    made = usage_tables(expected, rows, heard, width)
    assert len(made) == tables
    text = shown(*made, width=width)
    assert "…" not in text
    assert text.count("1,234") == 2
    assert "5-9" in text
    assert "250" in text


def test_usage_shows_what_does_not_fit(one: tuple[list[Expected], list[Heard]]) -> None:
    """A record of a model that nobody asked for stands in the table, and so does a missing one."""
    expected, heard = one
    text = shown(*usage_tables(expected, [{"request_model": "gpt-9"}], heard, WIDE))
    assert "gpt-9 " in text
    assert "gpt-4o" in text
    assert "1,234" in text


def test_leaks_by_surface() -> None:
    """The leak table counts canaries by surface, and each once in the total."""
    bare = {"access log": {"a", "b"}, "tracebacks": {"b"}}
    lines = shown(leak_table(bare, {}, (3, 4))).splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:4]] for line in lines if "│" in line]
    assert ["access log", "2", "0"] in cells
    assert ["tracebacks", "1", "0"] in cells
    assert ["different canaries", "2", "0"] in cells
    assert ["planted", "3", "4"] in cells


def test_faults_alike_are_said_once() -> None:
    """Faults that differ in the exchange's number alone are one line with how often."""
    console = Console(file=(text := StringIO()), width=WIDE)
    say_faults(console, ["exchange 1 (crash) has no record", "exchange 2 (crash) has no record"])
    assert text.getvalue() == "  wrong, 2 x: (crash) has no record\n"


@pytest.mark.parametrize(
    ("problems", "said"),
    [((), "PASS in 1.5 s\n"), (("a", "b"), "FAIL in 1.5 s: a; b\n")],
)
def test_closing_line(problems: tuple[str, ...], said: str) -> None:
    """The last line says whether all is well, why not, and how long it took."""
    console = Console(file=(text := StringIO()), width=WIDE)
    closing_line(console, problems, 1.5)
    assert text.getvalue() == said
