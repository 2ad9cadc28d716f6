"""The policy's columns at the sink."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from zeroret.sinks.columns import Restriction
from zeroret.usage.layout import ordered
from zeroret.usage.record import ALWAYS, COLUMNS, UsageRecord


@given(st.sets(st.sampled_from(COLUMNS)))
def test_only_kept_columns(kept: set[str]) -> None:
    """Whatever a record holds, no other than the kept columns come out, with their values."""
    record = UsageRecord(id="i", policy="p", account="a", input_tokens=1, status=200, cost="0")
    columns = ordered(kept | ALWAYS)
    (out,) = Restriction(columns).apply([record])
    whole = record.as_dict()
    assert out.as_dict() == {name: whole[name] for name in columns if name in whole}
    assert list(columns) == [name for name in COLUMNS if name in kept | ALWAYS]


def test_untouched(make: Callable[..., UsageRecord]) -> None:
    """Records that hold no removed column pass as they are."""
    record = make(1)
    assert Restriction(None).apply([record])[0] is record
    assert Restriction(set(COLUMNS) - {"cost"}).apply([record])[0] is record
