"""Throughput, CPU and latency under uvicorn: 50 keep-alive connections, bare against wrapped."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from rounds import Child, Estimate, Series, rotate, start
from table import Row, markdown, parser, report
from workloads import WORKLOADS

VARIANTS: Final = ("bare", "bare2", "strict", "none")
CONNECTIONS: Final = 50
_LIMIT: Final = 60.0
_SETTLE: Final = 0.3  # seconds after a turn in which background threads finish what it left
_REQUESTS: Final = {"json": 4000, "anthropic": 250, "healthz": 4000}
_BUDGET: Final = 0.80
_NANO: Final = 1e-9


@dataclass
class Load:
    """What the turns of one workload measured."""

    rate: Series = field(default_factory=Series)
    cpu: Series = field(default_factory=Series)
    latencies: dict[str, list[float]] = field(default_factory=dict)

    def percentile(self, variant: str, percent: int) -> float:
        """Return a percentile of the latency of *variant* over all turns, in milliseconds."""
        return statistics.quantiles(self.latencies[variant], n=100)[percent - 1] * 1e3


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that the threads of process *pid* have spent so far."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        spent = (int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks)
        return sum(spent) * _NANO
    except OSError:  # a kernel without scheduler statistics, or a thread that just ended
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)


def turn(load: Child, server: Child, question: dict[str, Any]) -> dict[str, Any]:
    """Drive one turn; return its rate, the server's CPU per request and the latencies."""
    before = cpu_seconds(server.pid)
    answer: dict[str, Any] = load.ask(port=server.hello["port"], limit=_LIMIT, **question)
    if answer["failed"]:
        raise RuntimeError(f"{question['work']}: {answer['failed']}")
    time.sleep(_SETTLE)
    served = len(answer["latencies"])
    return {
        "rate": served / answer["wall"],
        "cpu": (cpu_seconds(server.pid) - before) / served,
        "latencies": answer["latencies"],
    }


def collect(
    chosen: list[str], rounds: int, restarts: int, scale: float
) -> tuple[dict[str, Load], dict[str, Any]]:
    """Run the rounds; return what each workload measured, and the facts of each variant."""
    loads = {name: Load() for name in chosen}
    facts: dict[str, Any] = {}
    for _ in range(restarts):
        with ExitStack() as stack:
            load = stack.enter_context(Child("load.py"))
            servers = start(stack, {v: ("server.py", v) for v in VARIANTS})
            for name, measured in loads.items():
                requests = max(CONNECTIONS, round(_REQUESTS[name] * scale))
                question = {"work": name, "requests": requests, "connections": CONNECTIONS}
                _rounds(load, servers, question, rounds, measured)
            facts = {variant: server.end() for variant, server in servers.items()}
    return loads, facts


def _rounds(
    load: Child, servers: dict[str, Child], question: dict[str, Any], rounds: int, measured: Load
) -> None:
    for number in range(rounds + 1):
        order = rotate(VARIANTS, number)
        found = {variant: turn(load, servers[variant], question) for variant in order}
        if not number:
            continue  # the first round warms up
        measured.rate.add({variant: one["rate"] for variant, one in found.items()})
        measured.cpu.add({variant: one["cpu"] for variant, one in found.items()})
        for variant, one in found.items():
            measured.latencies.setdefault(variant, []).extend(one["latencies"])


def rows(loads: dict[str, Load]) -> list[Row]:
    """Return a row for each wrapped variant and workload."""
    made = []
    for name, measured in loads.items():
        for variant in VARIANTS[2:]:
            estimate = Estimate.of(measured.rate.ratios(variant))
            control = Estimate.of(measured.rate.ratios("bare2"))
            budgeted = name == "json"
            made.append(
                Row(
                    f"uvicorn, {CONNECTIONS} connections, {WORKLOADS[name].what} ({variant})",
                    f"≥ {_BUDGET:.2f} x requests/s" if budgeted else "-",
                    estimate.show(2, "x"),
                    estimate.verdict(_BUDGET, at_least=True) if budgeted else "-",
                    f"{measured.rate.typical('bare'):.0f}/s",
                    control.show(2, "x"),
                )
            )
    return made


def everything(loads: dict[str, Load]) -> str:
    """Return a table of rates, server CPU and latencies of every variant."""
    lines = []
    for name, measured in loads.items():
        for variant in VARIANTS:
            added = Estimate.of(measured.cpu.added(variant), 1e6)
            lines.append(
                (
                    name,
                    variant,
                    f"{measured.rate.typical(variant):.0f}",
                    f"{measured.cpu.typical(variant) * 1e6:.0f}",
                    added.show(0, "µs", signed=True),
                    f"{measured.percentile(variant, 50):.1f}",
                    f"{measured.percentile(variant, 99):.1f}",
                )
            )
    headings = ("workload", "variant", "requests/s", "server CPU µs", "added", "p50 ms", "p99 ms")
    return markdown(headings, lines)


def main() -> None:
    """Run the comparison and print it."""
    made = parser(__doc__, rounds=4, restarts=2)
    made.add_argument("--only", nargs="+", choices=list(_REQUESTS), default=["json", "anthropic"])
    made.add_argument("--scale", type=float, default=1.0, help="times the requests of a turn")
    arguments = made.parse_args()
    loads, facts = collect(arguments.only, arguments.rounds, arguments.restarts, arguments.scale)
    table = everything(loads)
    print(f"{table}\n")
    facts["table"] = table
    report("Under uvicorn", rows(loads), facts, arguments.json)


if __name__ == "__main__":
    main()
