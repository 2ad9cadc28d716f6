"""Counting tokens while a stream passes, per event; and what loading a vocabulary costs."""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import variants
from rounds import Child, Estimate, Series, measure, serve, start
from streams import resident
from table import Row, parser, report
from workloads import EVENTS, SENTENCE

from zeroret.tokens import TokenCounter
from zeroret.tokens.vocabulary import encoding

if TYPE_CHECKING:
    from collections.abc import Callable

_MODEL: Final = "gpt-4o"
_VOCABULARY: Final = "o200k_base"
_STREAMS: Final = 20
_EVENT_LIMIT: Final = 3.0
_WORDS: Final = [f" {word}" for word in SENTENCE.split()]
_DELTAS: Final = [_WORDS[number % len(_WORDS)] for number in range(EVENTS)]


def _incremental(counter: TokenCounter) -> int:
    stream = counter.stream(model=_MODEL)
    for delta in _DELTAS:
        stream.feed(delta)
    return stream.finish()


def _joined(counter: TokenCounter) -> int:
    held = []
    for delta in _DELTAS:
        held.append(delta)  # noqa: PERF402 - events arrive one by one
    return counter.count("".join(held), model=_MODEL)


_WAYS: Final[dict[str, Callable[[TokenCounter], int]]] = {
    "incremental": _incremental,
    "joined": _joined,
}


def _child(way: str) -> None:
    """Count *way*, as asked; or load a vocabulary and say what that cost."""
    before, started, spent = resident(), time.perf_counter(), time.process_time()
    encoding(_VOCABULARY)
    loaded = {
        "wall": time.perf_counter() - started,
        "cpu": time.process_time() - spent,
        "mb": (resident() - before) / 1024,
        "peak_rss_mb": variants.peak_rss(),
    }
    counter = TokenCounter()
    count = _WAYS[way.removesuffix("2")]
    if _incremental(counter) != _joined(counter):
        raise RuntimeError("the incremental count differs from the count of the whole")

    def answer(_: dict[str, Any]) -> dict[str, Any]:
        for _number in range(_STREAMS):
            count(counter)
        return {}

    serve(answer, loaded)


def main() -> None:
    """Measure and print the table."""
    if "--child" in sys.argv:
        _child(sys.argv[-1])
        return
    arguments = parser(__doc__, rounds=9, restarts=3).parse_args()
    ways = ("incremental", "incremental2", "joined")
    series, loads = Series(), []
    for _ in range(arguments.restarts):
        with ExitStack() as stack:
            commands = {way: ("tokens.py", "--child", way) for way in ways}
            children: dict[str, Child] = start(stack, commands)
            loads += [child.hello for child in children.values()]
            measure(children, arguments.rounds, _STREAMS * EVENTS, {}, series)
    estimate = Estimate.of(series.values["incremental"], 1e6)
    control = Estimate.of(series.added("incremental2", "incremental"), 1e6)
    wall, cpu, mb = (statistics.median(one[key] for one in loads) for key in ("wall", "cpu", "mb"))
    rows = [
        Row(
            "tokens counted while a stream passes, per event",
            f"≤ {_EVENT_LIMIT:g} µs with reading",
            estimate.show(2, "µs"),
            estimate.verdict(_EVENT_LIMIT),
            f"{series.typical('joined') * 1e6:.2f} µs (held, counted at the end)",
            control.show(2, "µs", signed=True),
        ),
        Row(
            f"loading the vocabulary {_VOCABULARY}",
            "-",
            f"{cpu * 1e3:.0f} ms of CPU, {wall * 1e3:.0f} ms by the clock, {mb:.0f} MB",
            "-",
        ),
    ]
    report("Tokens", rows, {"peak_rss_mb": loads[-1]["peak_rss_mb"]}, arguments.json)


if __name__ == "__main__":
    main()
