"""Memory of an open stream: kB of resident memory for each of a thousand stopped halfway."""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import variants
from rounds import Child
from table import Row, parser, report
from workloads import WORKLOADS, Receive, asgi_app

VARIANTS: Final = ("bare", "bare2", "strict")
STREAMS: Final = 1000
_STOP_AT: Final = 250
_LIMIT: Final = 4  # kB beside the chunks that are referenced
_PAGE_KB: Final = 4


def resident() -> int:
    """Return this process's resident memory in kB."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_KB


async def _hold_open(app: Any, count: int) -> int:
    """Open *count* streams, stop each at its 250th chunk; return the kB they take together."""
    workload = WORKLOADS["sse"]
    stop = asyncio.Event()
    arrived = asyncio.Semaphore(0)

    async def one() -> None:
        seen = 0

        async def send(_: Any) -> None:
            nonlocal seen
            seen += 1
            if seen == _STOP_AT:
                arrived.release()
                await stop.wait()

        await app(workload.scope(), Receive([bytes(bytearray(workload.body))]), send)

    async def until(count: int) -> None:
        for _ in range(count):
            await arrived.acquire()

    warm = [asyncio.create_task(one()) for _ in range(50)]
    await until(len(warm))
    gc.collect()
    before = resident()
    tasks = [asyncio.create_task(one()) for _ in range(count)]
    await until(count)
    gc.collect()
    after = resident()
    stop.set()
    await asyncio.gather(*warm, *tasks)
    return after - before


def child(variant: str, count: int) -> None:
    """Measure one variant in this process, and say what it ran with."""
    with tempfile.TemporaryDirectory(prefix="zeroret-benchmark-") as folder:
        made = variants.wrapped(variant, Path(folder)) if variant in variants.OPTIONS else None
        app: Any = asgi_app("sse")
        kb = asyncio.run(_hold_open(app if made is None else made.runtime.asgi(app), count))
        facts = {"peak_rss_mb": variants.peak_rss()} if made is None else made.facts()
        from rounds import serve

        serve(lambda _: {}, {"kb": kb / count, "facts": facts})
        if made is not None:
            made.runtime.close()


def main() -> None:
    """Measure every variant and print the table."""
    if "--child" in sys.argv:
        child(sys.argv[-2], int(sys.argv[-1]))
        return
    made = parser(__doc__, rounds=1, restarts=5)
    made.add_argument("--streams", type=int, default=STREAMS)
    arguments = made.parse_args()
    found: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    facts: dict[str, Any] = {}
    for _ in range(arguments.restarts):
        for variant in VARIANTS:
            with Child("streams.py", "--child", variant, str(arguments.streams)) as process:
                found[variant].append(process.hello["kb"])
                facts[variant] = process.hello["facts"]
    bare, again, strict = (statistics.median(found[variant]) for variant in VARIANTS)
    row = Row(
        f"memory of an open stream, {arguments.streams} stopped at chunk {_STOP_AT} (strict)",
        f"≤ +{_LIMIT} kB and the chunks",
        f"{strict - bare:+.1f} kB",
        "met" if strict - bare <= _LIMIT else "not met",
        f"{bare:.1f} kB",
        f"{again - bare:+.1f} kB",
    )
    report("Open streams", [row], facts, arguments.json)


if __name__ == "__main__":
    main()
