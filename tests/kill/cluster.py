"""Servers under load that are killed: what the clients saw, and what the store has afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import zeroret
from zeroret.sinks import open_store

SERVER: Final = Path(__file__).with_name("server.py")
NEVER: Final = 10**9
"""Passes of a failpoint that no run reaches."""


@dataclass
class Seen:
    """What one client saw of its exchange."""

    account: str
    streamed: bool
    head: bool = False
    whole: bool = False


@dataclass
class Worker:
    """One server process."""

    process: subprocess.Popen[str]
    port: int
    host: str = "127.0.0.1"


@dataclass
class Truth:
    """All that clients saw over the runs of one test, and the check against the store."""

    seen: list[Seen] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def check(self, rows: list[tuple[str | None, str]]) -> None:
        """Hold the store's rows (account, outcome) against everything that clients saw."""
        by_account = Counter(account for account, _ in rows if account is not None)
        assert max(by_account.values(), default=0) <= 1, "a record was doubled"
        outcome_of = dict(rows)
        self.outcomes.clear()
        for one in self.seen:
            if one.whole:
                assert outcome_of.get(one.account) == "completed", one
            elif one.streamed and one.head:
                assert one.account in by_account, f"{one} has no record"
            self.outcomes[str(outcome_of.get(one.account))] += one.head
        # A JSON call killed before its record is known by its live slot only: id and start.
        heads = sum(one.head for one in self.seen)
        nameless = sum(account is None for account, _ in rows)
        assert len(by_account) + nameless >= heads, "an exchange has no record"


def start(  # noqa: PLR0913 - what a test may choose
    folder: Path,
    sink: str,
    *,
    failpoint: str = "none",
    passes: int = NEVER,
    host: str = "127.0.0.1",
    prefix: tuple[str, ...] = (),
) -> Worker:
    """Start a server; *prefix* is put before its command line."""
    arguments = [str(folder), failpoint, str(passes), sink, host]
    process = subprocess.Popen(
        [*prefix, sys.executable, str(SERVER), *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return Worker(process, int(process.stdout.readline()), host)


def end(workers: list[Worker]) -> None:
    """Kill what still runs."""
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.communicate()


async def ask(worker: Worker, seen: Seen, count: int) -> None:
    """Make one call and note how much of the reply came."""
    body = json.dumps({"model": "gpt-4o", "stream": seen.streamed, "n": count, "messages": []})
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {seen.account}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    writer: asyncio.StreamWriter | None = None
    try:
        reader, writer = await asyncio.open_connection(worker.host, worker.port)
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        seen.head = True
        if seen.streamed:
            await reader.readuntil(b"data: [DONE]\n\n")
        else:
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        seen.whole = True
    except (OSError, EOFError):
        pass  # the server is dead: what came before is what counts
    finally:
        if writer is not None:
            writer.close()


async def load(
    workers: list[Worker], run: str, *, streams: int, seconds: float, watched: Worker | None = None
) -> list[Seen]:
    """Keep *streams* open and JSON calls coming for a while, or until *watched* dies."""
    seen = [Seen(f"{run}-{number}", streamed=True) for number in range(streams)]
    pending = {
        asyncio.create_task(ask(workers[number % len(workers)], one, random.randint(8, 40)))  # noqa: S311 - a spread of lengths, no secret
        for number, one in enumerate(seen)
    }
    for number in range(round(seconds / 0.01)):
        if watched is not None and watched.process.poll() is not None:
            break
        one = Seen(f"{run}-j{number}", streamed=False)
        seen.append(one)
        pending.add(asyncio.create_task(ask(workers[number % len(workers)], one, 3)))
        await asyncio.sleep(0.01)
    await asyncio.wait(pending, timeout=15)
    return seen


def recovered(folder: Path, sink: str, timeout: float = 60) -> list[tuple[str | None, str]]:
    """Start anew on what the dead servers left; return account and outcome of every record."""
    with zeroret.ZeroRetention(sinks=[sink], journal=folder / "journal") as zr:
        assert zr.flush(timeout)
    store = open_store(sink)
    with contextlib.closing(store):
        rows = store.query("SELECT account, outcome FROM usage")
        totals = store.query("SELECT COALESCE(sum(exchanges), 0) FROM usage_hourly")
    assert int(totals[0][0]) == len(rows), "the totals are not the rows'"
    return [(account, outcome) for account, outcome in rows]
