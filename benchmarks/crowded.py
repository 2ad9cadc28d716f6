"""CPU of log records beside a thousand live exchanges, whoever writes them.

The exchanges hold prompts of 1 to 100 kB, most of 3 to 15 kB, as chat requests with one system
prompt and words of their own. Each record's text differs from the one before it. What a record
costs is the thread's CPU time for the whole logging call, formatting and a null device included;
``bare`` is the same call while nothing is live.
"""

from __future__ import annotations

import gc
import json
import random
import tempfile
import time
import tracemalloc
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import variants
from rounds import Estimate
from table import Row
from workloads import quiet_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.content.flight import Flight, LogGuard

LIVE_COUNT: Final = 1000
BUDGET: Final = 50
"""Microseconds that a record may cost beside `LIVE_COUNT` live exchanges."""

_TURN: Final = 200
_VOCABULARY: Final = 20_000
_LINE: Final = 90
_MEDIAN: Final = 8.8
_SPREAD: Final = 0.8
_VALUE: Final = "the nightly export of every region took job %d, then went to worker %s"
_random: Final = random.Random(7)  # noqa: S311 - any text will do


class Crowd:
    """Live exchanges of a process with a started runtime, and the records written beside them."""

    def __init__(self) -> None:
        syllables = [a + b for a in "bcdfglmnprstv" for b in "aeiou"]
        sizes = _random.choices([1, 2, 2, 3, 3, 4], k=_VOCABULARY)
        self._words = ["".join(_random.choices(syllables, k=size)) for size in sizes]
        self._weights = list(accumulate(1 / (rank + 3) for rank in range(_VOCABULARY)))
        self._system = f"You are a helpful assistant. {self._text(1200)}"
        self.prompts: list[str] = []
        self.flights = [self._flight() for _ in range(LIVE_COUNT)]
        self._coming = [self._flight() for _ in range(200)]
        self.log = quiet_logger()

    @property
    def held(self) -> int:
        """Bytes that the exchanges hold."""
        return sum(flight.held for flight in self.flights)

    def enter(self) -> None:
        """Let all exchanges be live."""
        from zeroret.content.live import LIVE

        for flight in self.flights:
            LIVE.enter(flight)

    def come_and_go(self) -> None:
        """Let the oldest exchange be dropped, and another one come."""
        from zeroret.content.live import LIVE

        coming = self._coming.pop() if self._coming else self._flight()
        LIVE.leave(self.flights.pop(0), 0)
        LIVE.enter(coming)
        self.flights.append(coming)

    def own_words(self, number: int) -> None:
        """Write a record of the program's words and two numbers."""
        self.log.info(
            "the queue of background work was drained and its connection was handed back to the "
            "pool; %d jobs in %.1f seconds",
            number,
            0.1 * number,
        )

    def value(self, number: int) -> None:
        """Write a record of which 60 bytes are not known to be the program's."""
        self.log.info("the background worker went on with its work: %s", self._value(number)[:60])

    def unknown(self, number: int) -> None:
        """Write a record of 200 bytes of which none is known to be the program's."""
        self.log.info((self._value(number) * 3)[:200])

    def content(self, number: int) -> None:
        """Write a record that quotes 150 bytes of a prompt."""
        prompt = self.prompts[number % LIVE_COUNT]
        self.log.info("went on with: %s", prompt[100:250])

    def _value(self, number: int) -> str:
        return _VALUE % (number, _random.getrandbits(40))

    def _text(self, size: int) -> str:
        words = _random.choices(self._words, cum_weights=self._weights, k=size // 3)
        text = " ".join(words)[:size]
        return "\n".join(text[at : at + _LINE] for at in range(0, size, _LINE))

    def _flight(self) -> Flight:
        from zeroret.content.flight import Flight

        flight = Flight("match")
        prompt = self._text(int(_random.lognormvariate(_MEDIAN, _SPREAD)))
        messages = [
            {"role": "system", "content": self._system},
            {"role": "user", "content": prompt},
        ]
        flight.hold(json.dumps({"model": "gpt-4o", "messages": messages}).encode())
        if len(self.prompts) < LIVE_COUNT:
            self.prompts.append(prompt)
        return flight


def cpu(work: Callable[[int], None], count: int = _TURN) -> float:
    """Return the thread's CPU seconds for one of *count* calls."""
    begun = time.thread_time()
    for number in range(count):
        work(number)
    return (time.thread_time() - begun) / count


def rows(rounds: int) -> tuple[list[Row], dict[str, Any]]:
    """Return a row for each kind of record, and what reading all content took."""
    quiet_logger()  # known before the runtime starts, as an application's loggers are
    with tempfile.TemporaryDirectory(prefix="zeroret-benchmark-") as folder:
        made = variants.wrapped("match", Path(folder))
        try:
            return _rows(rounds)
        finally:
            made.runtime.close()


def _rows(rounds: int) -> tuple[list[Row], dict[str, Any]]:
    from zeroret.content.live import LIVE

    crowd = Crowd()
    works: dict[str, Callable[[int], None]] = {
        "background, the program's words and two numbers": crowd.own_words,
        "background, 60 unknown bytes": crowd.value,
        "background, 200 unknown bytes": crowd.unknown,
        "background, 150 bytes of a prompt": crowd.content,
    }
    bare = {name: cpu(work) for name, work in works.items()}
    crowd.enter()
    facts = _read(crowd)
    found = {name: [cpu(work) for _ in range(rounds)] for name, work in works.items()}
    for guard in ("strict", "match"):
        name = f"inside an exchange ({guard}), 60 unknown bytes"
        found[name] = _inside(crowd, guard, rounds)
        bare[name] = bare["background, 60 unknown bytes"]
    name = "background, 60 unknown bytes, and one exchange comes and goes for each"
    found[name], facts["come_and_go_us"] = _changing(crowd, rounds * 20)
    bare[name] = bare["background, 60 unknown bytes"]
    for flight in crowd.flights:
        LIVE.leave(flight, 0)
    return [_row(name, values, bare[name]) for name, values in found.items()], facts


def _inside(crowd: Crowd, guard: LogGuard, rounds: int) -> list[float]:
    """Return what records cost that one of the exchanges writes."""
    from zeroret.content.flight import CURRENT

    flight = crowd.flights[LIVE_COUNT // 2]
    before, flight.log_guard = flight.log_guard, guard
    token = CURRENT.set(flight)
    try:
        crowd.value(0)
        return [cpu(crowd.value) for _ in range(rounds)]
    finally:
        CURRENT.reset(token)
        flight.log_guard = before


def _changing(crowd: Crowd, count: int) -> tuple[list[float], float]:
    """Return what each record costs while exchanges come and go, and what that takes itself."""
    found = []
    made = 0.0
    for _ in range(count):
        begun = time.thread_time()
        crowd.come_and_go()
        made += time.thread_time() - begun
        found.append(cpu(crowd.value, 1))
    return found, round(made / count * 1e6, 1)


def _row(name: str, values: list[float], bare: float) -> Row:
    estimate = Estimate.of(values, 1e6)
    return Row(
        f"log record beside {LIVE_COUNT} live exchanges: {name}",
        f"≤ {BUDGET} µs",
        estimate.show(1, "µs"),
        estimate.verdict(BUDGET),
        f"{bare * 1e6:.1f} µs",
    )


def _read(crowd: Crowd) -> dict[str, Any]:
    """Have all content read, and return what that took."""
    from zeroret.content.live import LIVE

    gc.collect()
    begun = time.thread_time()
    LIVE.crowd.catch_up()
    taken = time.thread_time() - begun
    tracemalloc.start()
    LIVE.crowd.renew()
    LIVE.crowd.catch_up()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return {
        "held_mb": round(crowd.held / 1e6, 1),
        "reading_us_per_kb": round(taken * 1e9 / crowd.held, 1),
        "state_bytes_per_held_byte": round(size / crowd.held, 1),
    }
