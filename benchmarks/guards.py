"""Each guard's share of an exchange: the same process with all guards, and with all but one.

A guard is taken out and put in again between the turns of one process, so that nothing else
differs; values are compared pair by pair. What a guard costs shows only where an exchange comes by
it: the chat comes by those of every request, its two log records by those of text.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import variants
import workloads
from rounds import Estimate
from table import Row, markdown, parser, report

from zeroret import guarding
from zeroret.guards import logs

if TYPE_CHECKING:
    from collections.abc import Callable

WORKLOADS: Final = ("json", "json_logs")
_EXCHANGES: Final = 150


class Logs:
    """The log guard, in the form of the others."""

    def install(self) -> None:
        """Put it in."""
        logs.install(outside=True)

    def uninstall(self) -> None:
        """Take it out."""
        logs.uninstall(outside=True)


def guards() -> dict[str, Any]:
    """Return every guard by its name."""
    found = {name.rpartition(".")[2]: import_module(name) for name in guarding.GUARDS}
    return {"logs": Logs(), **found}


class Turns:
    """Runs turns of one workload, and returns the CPU seconds of this thread for each exchange."""

    def __init__(self, runner: asyncio.Runner, name: str, wrap: Callable[[Any], Any]) -> None:
        self._runner = runner
        self._workload = workloads.WORKLOADS[name]
        self._app = wrap(workloads.asgi_app(name))

    def turn(self) -> float:
        """Run one."""
        began = time.thread_time()
        self._runner.run(self._exchanges())
        return (time.thread_time() - began) / _EXCHANGES

    async def _exchanges(self) -> None:
        pieces, send = self._workload.pieces(), variants.discard()
        for _ in range(_EXCHANGES):
            await self._app(self._workload.scope(), workloads.Receive(pieces), send)


def shares(turns: Turns, guard: Any, rounds: int) -> Estimate:
    """Return what an exchange takes with *guard* more than without, in microseconds."""
    added = []
    for _ in range(rounds):
        with_it = turns.turn()
        guard.uninstall()
        without = turns.turn()
        guard.install()
        added.append(statistics.mean((with_it, turns.turn())) - without)
    return Estimate.of(added, 1e6)


def start_of(guard: Any) -> float:
    """Return the seconds that it takes to put *guard* in."""
    guard.uninstall()
    began = time.perf_counter()
    guard.install()
    return time.perf_counter() - began


def main() -> None:
    """Measure every guard and print the table."""
    made = parser(__doc__, rounds=15, restarts=1)
    arguments = made.parse_args()
    with tempfile.TemporaryDirectory(prefix="zeroret-benchmark-") as folder:
        wrapped = variants.wrapped("memory", Path(folder))
        with asyncio.Runner() as runner:
            turns = {name: Turns(runner, name, wrapped.runtime.asgi) for name in WORKLOADS}
            for each in turns.values():
                each.turn()
            rows, lines = [], []
            for name, guard in guards().items():
                found = {work: shares(turns[work], guard, arguments.rounds) for work in WORKLOADS}
                began = statistics.median(start_of(guard) for _ in range(3))
                cells = [found[work].show(1, "µs", signed=True) for work in WORKLOADS]
                lines.append([name, *cells, f"{began * 1e3:.1f} ms"])
                rows.append(Row(f"guard {name}, JSON chat", "-", cells[0], "-", "-", "-"))
        wrapped.runtime.close()
    table = markdown(["guard", "JSON chat", "with two log records", "start"], lines)
    print(f"What each guard adds to an exchange:\n\n{table}\n")
    report("Guards", rows, {"table": table}, arguments.json)


if __name__ == "__main__":
    main()
