"""A million records through the journal to a store: memory and append times stay flat."""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil
from table import Row, parser, report

from journal import records
from zeroret.journal import Journal
from zeroret.journal.delivery import Delivery
from zeroret.policy import Policy
from zeroret.sinks import open_sink
from zeroret.usage.identity import format_id, new_id

if TYPE_CHECKING:
    from zeroret.usage.record import UsageRecord

TENTHS: Final = 10
_AHEAD: Final = 50_000  # records that delivery may be behind before the writer waits
_WAIT: Final = 120.0


def main() -> None:
    """Append and deliver, and compare the first tenth with the last."""
    made = parser(__doc__, rounds=1, restarts=1)
    made.add_argument("--records", type=int, default=1_000_000)
    arguments = made.parse_args()
    template = records(1)[0]
    memory: list[float] = []
    slow: list[float] = []
    with tempfile.TemporaryDirectory(prefix="zeroret-soak-") as folder:
        journal = Journal(Path(folder) / "journal").open()
        uri = f"sqlite:///{folder}/usage.db"
        sink = open_sink(uri, columns=sorted(Policy.load("usage-only").columns))
        delivery = Delivery(journal, [("sqlite", sink)])
        began = time.perf_counter()
        for tenth in range(TENTHS):
            times = _append(journal, delivery, template, arguments.records // TENTHS, tenth)
            memory.append(psutil.Process().memory_info().rss / 2**20)
            slow.append(times)
            print(f"{tenth + 1}0 %: {memory[-1]:.0f} MB, {times:.1f} µs", file=sys.stderr)
        if not delivery.flush(_WAIT):
            raise RuntimeError("delivery did not catch up")
        seconds = time.perf_counter() - began
        left = sum(path.stat().st_size for path in (Path(folder) / "journal").iterdir())
        delivered = delivery.counters()["sinks"]["sqlite"]["delivered"]
        threads = threading.active_count()
        delivery.close()
    growth, later = memory[-1] - memory[1], slow[-1] / slow[1]
    rows = [
        Row(
            f"soak of {arguments.records:,} records: memory, from the second tenth to the last",
            "flat (≤ 20 MB)",
            f"{growth:+.1f} MB ({memory[1]:.0f} to {memory[-1]:.0f})",
            "met" if growth <= 20 else "missed",  # noqa: PLR2004 - the budget of this row
        ),
        Row(
            "soak: median append, last tenth against the second",
            "flat (≤ 1.3 x)",
            f"{later:.2f} x ({slow[1]:.1f} to {slow[-1]:.1f} µs)",
            "met" if later <= 1.3 else "missed",  # noqa: PLR2004 - likewise
        ),
    ]
    facts = {
        "seconds": round(seconds),
        "delivered": delivered,
        "journal_bytes_left": left,
        "threads": threads,
    }
    report("Soak", rows, facts, arguments.json)


def _append(
    journal: Journal, delivery: Delivery, template: UsageRecord, count: int, tenth: int
) -> float:
    """Append *count* records and return the median time of one, in µs."""
    from msgspec.structs import replace

    times = []
    for number in range(count):
        record = replace(template, id=format_id(new_id(time.time())), input_tokens=tenth)
        began = time.perf_counter()
        journal.append(record)
        times.append(time.perf_counter() - began)
        if number % _AHEAD == 0:
            delivery.flush(_WAIT)
    return statistics.median(times) * 1e6


if __name__ == "__main__":
    main()
