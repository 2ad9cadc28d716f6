"""SIGKILL under load: every exchange keeps exactly one record, whole replies are ``completed``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

import zeroret

FAILPOINTS: Final = ("parsed", "appended", "sent", "delivered")
STREAMS: Final = 110
LONG: Final = os.environ.get("ZERORET_LONG") == "1"
KILLS: Final = 20 if LONG else 2
_SERVER: Final = Path(__file__).with_name("server.py")


@dataclass
class Seen:
    """What one client saw of its exchange."""

    account: str
    streamed: bool
    head: bool = False
    whole: bool = False


async def ask(port: int, seen: Seen, count: int) -> None:
    """Make one call and note how much of the reply came."""
    body = json.dumps({"model": "gpt-4o", "stream": seen.streamed, "n": count, "messages": []})
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {seen.account}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    writer: asyncio.StreamWriter | None = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
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


async def load(port: int, run: str, server: subprocess.Popen[str]) -> list[Seen]:
    """Keep many streams open and JSON calls coming until the server dies; at most 20 seconds."""
    seen = [Seen(f"{run}-{number}", streamed=True) for number in range(STREAMS)]
    pending = {asyncio.create_task(ask(port, one, random.randint(8, 40))) for one in seen}  # noqa: S311 - a spread of lengths, no secret
    for number in range(400):
        if server.poll() is not None:
            break
        one = Seen(f"{run}-j{number}", streamed=False)
        seen.append(one)
        pending.add(asyncio.create_task(ask(port, one, 3)))
        await asyncio.sleep(0.01)
    await asyncio.wait(pending, timeout=15)
    return seen


def killed_once(folder: Path, failpoint: str, run: str, passes: int) -> list[Seen]:
    """Run a server until its failpoint kills it; return what the clients saw."""
    arguments = [sys.executable, str(_SERVER), str(folder), failpoint, str(passes)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            seen = asyncio.run(load(port, run, server))
        finally:
            fell = server.poll()
            server.kill()
    assert fell == -9, f"{failpoint} was not reached: {fell}"
    return seen


def recovered(folder: Path) -> list[tuple[str | None, str]]:
    """Start anew on what the dead servers left; return account and outcome of every record."""
    database = folder / "usage.db"
    with zeroret.ZeroRetention(sinks=[f"sqlite:///{database}"], journal=folder / "journal") as zr:
        assert zr.flush(30)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT account, outcome FROM usage").fetchall()


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_no_kill_loses_or_doubles_a_record(failpoint: str, tmp_path: Path) -> None:
    """Wherever a kill falls, each exchange has one record, and each whole reply a completed one."""
    outcomes: Counter[str] = Counter()
    fallen = nameless_before = 0
    for number in range(KILLS):
        # Deliveries are few and large, records many: spread the kills over each one's range.
        passes = random.randint(0, 6 if failpoint == "delivered" else 150)  # noqa: S311 - a spread of moments
        seen = killed_once(tmp_path, failpoint, f"r{number}", passes)
        fallen += 1
        rows = recovered(tmp_path)
        by_account = Counter(account for account, _ in rows if account is not None)
        assert max(by_account.values(), default=0) == 1, "a record was doubled"
        outcome_of = dict(rows)
        mid_body = [one for one in seen if one.streamed and one.head and not one.whole]
        outcomes["streams mid-body at the kill"] += len(mid_body)
        for one in seen:
            if one.whole:
                assert outcome_of.get(one.account) == "completed", one
            elif one.streamed and one.head:
                assert one.account in by_account, f"{one} has no record"
            outcomes[str(outcome_of.get(one.account))] += one.head
        # A JSON call killed before its record is known by its live slot only: id and start.
        heads = sum(one.head for one in seen)
        nameless = sum(account is None for account, _ in rows) - nameless_before
        mine = sum(str(account).startswith(f"r{number}-") for account in by_account)
        assert mine + nameless >= heads, "an exchange has no record"
        nameless_before += nameless
    print(f"\n{failpoint}: {fallen} kills; clients' exchanges by outcome: {dict(outcomes)}")  # noqa: T201 - the histogram is part of the evidence
