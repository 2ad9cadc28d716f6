"""SIGKILL at random moments: every acknowledged record arrives exactly once."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from zeroret.journal import Journal
from zeroret.journal.delivery import Delivery
from zeroret.sinks import open_sink
from zeroret.usage.record import COLUMNS, UsageRecord

ROUNDS = 20

PROGRAM = """
    journal = Journal("j", durability=Durability(segment_bytes=20_000)).open()
    delivery = Delivery(journal, [("s", open_sink("sqlite:///u.db", columns=COLUMNS))],
                        interval=0.002)
    delivery.start()
    number = int(sys.argv[1]) * 1_000_000
    while True:
        number += 1
        slot = journal.open_slot(number.to_bytes(16), time.time())
        os.write(1, b"open %d\\n" % number)
        journal.note(slot, make(number, input_tokens=1))
        journal.record(make(number, input_tokens=2), slot)
        os.write(1, b"done %d\\n" % number)
        if number % 50 == 0: time.sleep(0.001)
"""


def test_kill(
    run: Callable[..., subprocess.Popen[str]], make: Callable[..., UsageRecord], tmp_path: Path
) -> None:
    """Twenty processes are killed: no record is lost or doubled, no exchange is without one."""
    chance = random.Random(1)  # noqa: S311 - moments to kill at
    opened: set[int] = set()
    done: set[int] = set()
    for number in range(ROUNDS):
        process = run(PROGRAM, number)
        assert process.stdout is not None
        head = process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.06))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        for line in (head + out).splitlines():
            word, _, value = line.partition(" ")
            (done if word == "done" else opened).add(int(value))
    journal = Journal(tmp_path / "j").open()
    sinks = [("s", open_sink(f"sqlite:///{tmp_path}/u.db", columns=COLUMNS))]
    delivery = Delivery(journal, sinks)
    journal.adopt()
    assert delivery.flush(20)
    assert delivery.close(5)
    assert list((tmp_path / "j").iterdir()) == []
    connection = sqlite3.connect(tmp_path / "u.db")
    rows = connection.execute("SELECT id, outcome, input_tokens FROM usage").fetchall()
    connection.close()
    found = {int(UUID(row[0])): row[1:] for row in rows}
    assert len(found) == len(rows)
    assert len(done) > ROUNDS
    assert {found[each] for each in done} == {("completed", 2)}
    assert opened <= found.keys()
    rest = [found[each] for each in found.keys() - done]
    assert set(rest) <= {("completed", 2), ("killed", 1), ("killed", None)}
