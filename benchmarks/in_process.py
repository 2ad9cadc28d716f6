"""CPU that zeroret adds to an exchange, without a server: every workload against the bare app."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import variants
from rounds import Child, Estimate, Series, measure, start
from table import Row, markdown, parser, report
from workloads import WORKLOADS

if TYPE_CHECKING:
    import argparse

_TURN: Final = 0.02  # seconds of the bare application's work in one turn


@dataclass(frozen=True)
class Budget:
    """The most a variant may add to a workload: microseconds, microseconds an event, or a ratio."""

    workload: str
    limit: float
    unit: str = "us"
    variant: str = "strict"

    def estimate(self, series: Series) -> Estimate:
        """Return what was measured, in the budget's unit."""
        return self.measured(series, self.variant)

    def measured(self, series: Series, variant: str) -> Estimate:
        """Return what *variant* costs, in the budget's unit."""
        if self.unit == "ratio":
            return Estimate.of(series.ratios(variant))
        scale = 1e6 / (WORKLOADS[self.workload].events if self.unit == "event" else 1)
        return Estimate.of(series.added(variant), scale)

    def show(self, estimate: Estimate) -> str:
        """Return *estimate* in the budget's unit."""
        if self.unit == "ratio":
            return estimate.show(2, "x")
        if self.unit == "event":
            return estimate.show(2, "µs/event", signed=True)
        return estimate.show(1, "µs", signed=True)

    def text(self) -> str:
        """Return the budget as a report shows it."""
        if self.unit == "ratio":
            return f"≤ {self.limit:g} x"
        return f"≤ +{self.limit:g} µs" + ("/event" if self.unit == "event" else "")


BUDGETS: Final = (
    Budget("json", 20),
    Budget("json", 12, variant="none"),
    Budget("prompt_100kB", 90),
    Budget("sse", 0.6, "event"),
    Budget("sse_counted", 3, "event"),
    Budget("anthropic", 0.6, "event"),
    Budget("prompt_4MB", 1.3, "ratio"),
    Budget("json_logs", 26),  # the JSON chat's 20 and twice the 3 of a clean log record
    Budget("healthz", 1.1, "ratio"),
    Budget("flask", 1.2, "ratio"),
)


def collect(
    chosen: list[str], names: list[str], rounds: int, restarts: int
) -> tuple[dict[str, Series], dict[str, Any]]:
    """Run the rounds; return the series of each workload and the facts of each variant."""
    series = {name: Series() for name in chosen}
    facts: dict[str, Any] = {}
    for _ in range(restarts):
        with ExitStack() as stack:
            children = start(stack, {variant: ("worker.py", variant) for variant in names})
            for name in chosen:
                for child in children.values():
                    child.ask(work=name, check=True)
                count = _turn(children["bare"], name)
                question = {"work": name, "count": count}
                measure(children, rounds, count, question, series[name])
            facts = {v: child.ask(facts=True)["facts"] for v, child in children.items()}
    return series, facts


def _turn(bare: Child, name: str) -> int:
    """Return how many exchanges take the bare application about one turn."""
    count, spent = 1, 0.0
    while spent < _TURN / 4:
        count *= 2
        spent = bare.ask(work=name, count=count)["wall"]
    return max(1, round(count * _TURN / spent))


def rows(series: dict[str, Series]) -> list[Row]:
    """Return a row for each budget whose workload was run."""
    made = []
    for budget in BUDGETS:
        if budget.workload not in series or budget.variant not in series[budget.workload].values:
            continue
        measured = series[budget.workload]
        estimate = budget.estimate(measured)
        made.append(
            Row(
                f"{WORKLOADS[budget.workload].what} ({budget.variant})",
                budget.text(),
                budget.show(estimate),
                estimate.verdict(budget.limit),
                f"{measured.typical('bare') * 1e6:.0f} µs",
                budget.show(budget.measured(measured, "bare2")),
            )
        )
    return made


def everything(series: dict[str, Series], names: list[str]) -> str:
    """Return a table of every variant: its ratio and, in parentheses, the microseconds it adds."""
    lines = []
    for name, measured in series.items():
        cells = [name, f"{measured.typical('bare') * 1e6:.0f} µs"]
        for variant in names[1:]:
            ratio = Estimate.of(measured.ratios(variant)).median
            cells.append(f"{ratio:.2f} ({Estimate.of(measured.added(variant), 1e6).median:+.1f})")
        lines.append(cells)
    return markdown(["workload", *names], lines)


def _arguments() -> argparse.Namespace:
    made = parser(__doc__, rounds=9, restarts=4)
    made.add_argument("--only", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    made.add_argument("--variants", nargs="+", choices=variants.VARIANTS, default=None)
    return made.parse_args()


def main() -> None:
    """Run the comparison and print it."""
    arguments = _arguments()
    names = arguments.variants or ["bare", "bare2", "floor", "strict", "none", "memory"]
    series, facts = collect(arguments.only, names, arguments.rounds, arguments.restarts)
    table = everything(series, names)
    print(f"CPU ratio to the bare application (added µs an exchange):\n\n{table}\n")
    facts["table"] = table
    report("In process", rows(series), facts, arguments.json)


if __name__ == "__main__":
    main()
