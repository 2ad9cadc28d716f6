"""Interleaved rounds over child processes, and the statistics of what they measured.

Each variant runs in a process of its own. A round asks every child once for the same work, and the
order rotates from round to round; children are restarted several times in a run, since two
processes of the same program differ by a few per cent for as long as they live. Everything is
compared within a round. A child's CPU time is that of all its threads, counted from its last
answer to this one: what a background thread did in between is on the bill.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import ExitStack
    from types import TracebackType

HERE: Final = Path(__file__).parent
_ANSWERS: Final = "ZERORET_BENCHMARK_ANSWERS"
"""The variable that names a child's descriptor for its answers."""

_START_LIMIT: Final = 60.0
_NOTCH: Final = 1.57  # McGill, Tukey and Larsen 1978: half of a median's notch is 1.57 IQR / sqrt n


class Child:
    """A process that runs *script* with *arguments* and answers questions over its pipes."""

    def __init__(self, script: str, *arguments: str) -> None:
        # Not its standard output: what comes out there is guarded, and would be measured with it.
        answers, theirs = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs,),
            env={**os.environ, _ANSWERS: str(theirs)},
            text=True,
        )
        os.close(theirs)
        self._answers = os.fdopen(answers)
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        self.hello = self._answer()
        return self

    def end(self) -> Any:
        """Tell the process that nothing more will be asked, and return its last words."""
        self._stdin.close()
        return self._answer()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stdin.close()
        self._answers.close()
        try:
            self._process.wait(_START_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()

    @property
    def _stdin(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin

    def ask(self, **question: Any) -> Any:
        """Send a question and return its answer."""
        self._stdin.write(json.dumps(question) + "\n")
        self._stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        line = self._answers.readline()
        if not line:
            raise RuntimeError(f"benchmark process ended with {self._process.wait()}")
        return json.loads(line)


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]], hello: Any = None) -> None:
    """Answer the questions on standard input, each with the CPU seconds since the last answer."""
    tell(hello)
    spent = time.process_time()
    for line in sys.stdin:
        reply = answer(json.loads(line))
        now = time.process_time()
        tell({"cpu": now - spent, **reply})
        spent = time.process_time()


def tell(what: Any) -> None:
    """Answer with *what*."""
    out = int(os.environ[_ANSWERS])
    data = json.dumps(what).encode() + b"\n"
    while data:
        data = data[os.write(out, data) :]


@dataclass
class Series:
    """What the rounds of one workload measured: for each variant one value per round."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, round_: dict[str, float]) -> None:
        """Take one round: the value of every variant."""
        for variant, value in round_.items():
            self.values.setdefault(variant, []).append(value)

    def typical(self, variant: str) -> float:
        """Return the median of *variant*."""
        return statistics.median(self.values[variant])

    def ratios(self, variant: str, base: str = "bare") -> list[float]:
        """Return *variant* over *base*, round by round."""
        pairs = zip(self.values[variant], self.values[base], strict=True)
        return [value / other for value, other in pairs]

    def added(self, variant: str, base: str = "bare") -> list[float]:
        """Return *variant* minus *base*, round by round."""
        pairs = zip(self.values[variant], self.values[base], strict=True)
        return [value - other for value, other in pairs]


@dataclass(frozen=True)
class Estimate:
    """A median, and the half width of the interval in which it is known."""

    median: float
    margin: float

    @classmethod
    def of(cls, values: Sequence[float], scale: float = 1.0) -> Self:
        """Return the estimate of *values*, each times *scale*."""
        scaled = [value * scale for value in values]
        if len(scaled) < 4:  # noqa: PLR2004 - fewer have no quartiles worth the name
            return cls(statistics.median(scaled), math.inf)
        low, _, high = statistics.quantiles(scaled, n=4)
        return cls(statistics.median(scaled), _NOTCH * (high - low) / math.sqrt(len(scaled)))

    def show(self, places: int, unit: str, *, signed: bool = False) -> str:
        """Return the estimate as a report shows it, with its margin where that is known."""
        sign = "+" if signed else ""
        margin = f" ± {self.margin:.{places}f}" if math.isfinite(self.margin) else ""
        return f"{self.median:{sign}.{places}f}{margin} {unit}"

    def verdict(self, budget: float, *, at_least: bool = False) -> str:
        """Return whether the budget is met; ``unclear`` if it lies inside the margin."""
        if math.isfinite(self.margin) and abs(self.median - budget) < self.margin:
            return "unclear"
        met = self.median >= budget if at_least else self.median <= budget
        return "met" if met else "not met"


def rotate(variants: Sequence[str], turn: int) -> list[str]:
    """Return *variants* in the order of round *turn*: rotated, and every second time reversed."""
    at = turn % len(variants)
    order = [*variants[at:], *variants[:at]]
    return order[::-1] if turn % 2 else order


def measure(
    children: dict[str, Child], rounds: int, per: float, question: dict[str, Any], series: Series
) -> None:
    """Ask every child *rounds* times and add CPU seconds over *per* to *series*.

    One round more is asked for and thrown away: caches fill and leftovers of other work drain.
    """
    for turn in range(rounds + 1):
        round_ = {
            variant: children[variant].ask(**question)["cpu"] / per
            for variant in rotate(list(children), turn)
        }
        if turn:
            series.add(round_)


def start(stack: ExitStack, commands: Mapping[str, tuple[str, ...]]) -> dict[str, Child]:
    """Start the children of *commands*, variant by variant: a script and its arguments."""
    made = {variant: Child(*command) for variant, command in commands.items()}
    return {variant: stack.enter_context(child) for variant, child in made.items()}
