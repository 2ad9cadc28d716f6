"""The journal in memory: the same interface, no files."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from zeroret.journal import Journal, MemoryJournal
from zeroret.journal.delivery import Delivery
from zeroret.journal.slots import NO_SLOT
from zeroret.sinks.memory import MemorySink
from zeroret.usage.record import UsageRecord


def test_same_interface() -> None:
    """Every public method of the one is a method of the other with the same parameters."""
    for name, method in inspect.getmembers(Journal, inspect.isfunction):
        if not name.startswith("_"):
            other = getattr(MemoryJournal, name)
            assert list(inspect.signature(method).parameters) == list(
                inspect.signature(other).parameters
            )


def test_delivers(make: Callable[..., UsageRecord]) -> None:
    """What is recorded arrives, and the counts have the same names as those of the disk."""
    journal = MemoryJournal().open()
    sink = MemorySink()
    delivery = Delivery(journal, [("m", sink)])
    slot = journal.open_slot(b"k" * 16, 1.0)
    assert slot == NO_SLOT
    journal.note(slot, make(1))
    journal.record(make(1), slot)
    journal.free(slot)
    assert delivery.flush(5)
    assert sink.records == [make(1)]
    assert journal.counters().keys() == Journal("x").counters().keys()
    assert journal.adopt() == 0
    assert delivery.close(5)


def test_bounded(make: Callable[..., UsageRecord]) -> None:
    """Past its limit the oldest record is shed and counted."""
    journal = MemoryJournal(queue_limit=2)
    for number in range(3):
        journal.append(make(number))
    assert journal.shed == 1
    assert journal.counters()["queued"] == 2
