"""The queue in memory: bounded, each sink at its own pace."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from zeroret.journal.queue import MemoryQueue
from zeroret.usage.record import UsageRecord


@given(st.lists(st.sampled_from(["append", "a", "b"]), max_size=60))
def test_each_sink_gets_all(steps: list[str]) -> None:
    """In any order of appending and reading each sink gets every record once, in order."""
    queue = MemoryQueue()
    queue.attach(["a", "b"])
    got: dict[str, list[str]] = {"a": [], "b": []}
    appended: list[str] = []
    for step in [*steps, *"ab" * 30]:
        if step == "append":
            appended.append(str(len(appended)))
            queue.append(UsageRecord(id=appended[-1], policy="p"))
        elif batch := queue.peek(step, 3):
            got[step] += [record.id for record in batch.records]
            queue.advance(step, batch)
    assert got == {"a": appended, "b": appended}
    assert len(queue) == 0
    assert queue.shed == 0


def test_bounded(make: Callable[..., UsageRecord]) -> None:
    """A sink that does not read costs itself the oldest records, counted; the other loses none."""
    queue = MemoryQueue(limit=3)
    queue.attach(["dead", "well"])
    for number in range(5):
        queue.append(make(number))
        batch = queue.peek("well", 10)
        assert batch is not None
        assert [record.input_tokens for record in batch.records] == [number]
        queue.advance("well", batch)
    late = queue.peek("dead", 10)
    assert late is not None
    assert [record.input_tokens for record in late.records] == [2, 3, 4]
    assert queue.shed == 2


def test_marks(make: Callable[..., UsageRecord]) -> None:
    """A mark is passed once the sink holds what was there when it was made."""
    queue = MemoryQueue()
    queue.attach(["a"])
    assert queue.passed("a", queue.mark())
    queue.append(make(1))
    mark = queue.mark()
    queue.append(make(2))
    assert not queue.passed("a", mark)
    batch = queue.peek("a", 1)
    assert batch is not None
    queue.advance("a", batch)
    assert queue.passed("a", mark)
    assert not queue.passed("a", queue.mark())
