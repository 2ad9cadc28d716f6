"""Records in memory: in order, each once, bounded, by name."""

from __future__ import annotations

from collections.abc import Callable

from zeroret.sinks.memory import MemorySink, get
from zeroret.usage.record import UsageRecord


def test_order_and_ids(make: Callable[..., UsageRecord]) -> None:
    """Records stand in the order of arrival, the first of each id."""
    sink = MemorySink()
    sink.write([make(2), make(1)])
    sink.write([make(2, account="other"), make(3)])
    assert sink.records == [make(2), make(1), make(3)]
    sink.clear()
    assert sink.records == []


def test_bounded(make: Callable[..., UsageRecord]) -> None:
    """Past the limit the oldest go, counted."""
    sink = MemorySink(limit=3)
    sink.write([make(number) for number in range(5)])
    assert sink.records == [make(2), make(3), make(4)]
    assert sink.dropped == 2


def test_names(make: Callable[..., UsageRecord]) -> None:
    """A name is one sink in the process; another name is another."""
    sink = MemorySink.open("memory:test-names", columns=["id", "policy", "usage_source"])
    assert sink is get("test-names")
    assert sink is not get("test-names-2")
    sink.write([make(1)])
    assert sink.records[0].as_dict().keys() == {"id", "policy", "usage_source"}
    sink.close()
