"""SIGKILL under load: every exchange keeps exactly one record, whole replies are ``completed``."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Final

import pytest

from kill.cluster import Truth, end, load, recovered, start

FAILPOINTS: Final = ("parsed", "appended", "sent", "peeked", "committed", "advanced")
DELIVERY: Final = frozenset({"peeked", "committed", "advanced"})
LONG: Final = os.environ.get("ZERORET_LONG") == "1"
KILLS: Final = 20 if LONG else 1
WORKERS: Final = 4 if LONG else 2
STREAMS: Final = 112


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_no_kill_loses_or_doubles_a_record(failpoint: str, tmp_path: Path) -> None:
    """Wherever a kill falls, each exchange has one record, and each whole reply a completed one.

    Several workers share journal and store; one dies at its failpoint and is inherited by another
    that goes on, which is killed at the end of the run, too.
    """
    sink = f"sqlite:///{tmp_path}/usage.db"
    truth = Truth()
    for number in range(KILLS):
        # Deliveries are few and large, records many: spread the kills over each one's range.
        passes = random.randint(0, 6 if failpoint in DELIVERY else 60)  # noqa: S311 - a spread of moments
        victim = start(tmp_path, sink, failpoint=failpoint, passes=passes)
        workers = [victim, *(start(tmp_path, sink) for _ in range(WORKERS - 1))]
        try:
            truth.seen += asyncio.run(
                load(workers, f"r{number}", streams=STREAMS, seconds=4, watched=victim)
            )
            fell = victim.process.poll()
        finally:
            end(workers)
        assert fell == -9, f"{failpoint} was not reached: {fell}"
        truth.check(recovered(tmp_path, sink))
    print(f"\n{failpoint}: {KILLS} kills; clients' exchanges by outcome: {dict(truth.outcomes)}")  # noqa: T201 - the histogram is part of the evidence
