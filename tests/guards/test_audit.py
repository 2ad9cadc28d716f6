"""The audit hook: one a process, a table of handlers, nothing left to do when that is empty."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from zeroret.guards import audit

EVENT = "zeroret.tests.event"


def test_handlers_are_told_until_they_are_unregistered() -> None:
    """Each handler is told once an event, however often it was registered."""
    told: list[tuple[Any, ...]] = []
    handler = told.append
    audit.register(EVENT, handler)
    audit.register(EVENT, handler)
    sys.audit(EVENT, 1)
    audit.unregister(EVENT, handler)
    sys.audit(EVENT, 2)
    audit.unregister(EVENT, handler)
    audit.unregister(EVENT, handler)
    sys.audit(EVENT, 3)
    assert told == [(1,), (2,)]
    assert EVENT not in audit._table[0]


def test_handlers_of_one_event_come_in_order_and_the_first_that_raises_stops_it() -> None:
    """What a handler raises is raised in the code that acts."""
    told: list[int] = []

    def refuse(args: tuple[Any, ...]) -> None:
        told.append(1)
        raise PermissionError

    def never(args: tuple[Any, ...]) -> None:
        told.append(2)

    audit.register(EVENT, refuse)
    audit.register(EVENT, never)
    try:
        with pytest.raises(PermissionError):
            sys.audit(EVENT)
    finally:
        audit.unregister(EVENT, never)
        audit.unregister(EVENT, refuse)
    assert told == [1]


def test_a_process_adds_one_hook_and_runtimes_share_it() -> None:
    """Starting and closing runtimes again and again adds one hook, and none before the first."""
    program = """
import sys
added = []
real = sys.addaudithook
sys.addaudithook = lambda hook: (added.append(hook), real(hook))
import zeroret
from zeroret.guards import audit, files
assert added == []
for _ in range(3):
    files.install()
    files.install()
    assert audit.listening()
    files.uninstall()
    files.uninstall()
    files.uninstall()
    assert audit._table[0] == {}, audit._table
print(len(added))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_fork_inherits_the_hook_and_can_register() -> None:
    """The child's hook hears, though a thread of the parent held the lock."""
    told: list[tuple[Any, ...]] = []
    audit.register(EVENT, told.append)
    with audit._lock:
        child = os.fork()
    if child == 0:
        os._exit(0 if audit.listening() else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_hook_that_is_kept_out_is_noticed() -> None:
    """Another hook may refuse ours silently (PEP 578): the posture then claims nothing."""
    program = """
import sys
def other(event, args):
    if event == "sys.addaudithook":
        raise RuntimeError
sys.addaudithook(other)
from zeroret.content.boundary import Boundary
from zeroret.guards import children, files
files.install()
print(files.tiers(Boundary())["files"].grade)
print(children.tiers(Boundary())["children"].grade)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.split("\n")[:2] == ["out of reach", "out of reach"], done.stderr
