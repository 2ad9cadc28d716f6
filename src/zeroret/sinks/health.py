"""The health of journal and delivery as metrics: names, kinds and units in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Counters: TypeAlias = Callable[[], "Mapping[str, Any]"]
"""What `zeroret.journal.delivery.Delivery.counters` is."""


class Reading(NamedTuple):
    """One figure: its name without prefix, the value, the key of the sink it is about."""

    name: str
    value: float
    sink: str
    grows: bool
    unit: str
    about: str


_JOURNAL: Final = (
    ("errors", True, "{record}", "Appends that the disk did not take"),
    ("shed", True, "{record}", "Records lost because disk and memory were full"),
    ("queued", False, "{record}", "Records that wait in memory"),
    ("torn", True, "{line}", "Damaged lines"),
    ("killed", True, "{exchange}", "Exchanges recorded for processes that died"),
    ("dead", True, "{record}", "Records put aside because a sink refuses them"),
    ("live", False, "{exchange}", "Exchanges in flight"),
)
_SINKS: Final = (
    ("delivered", True, "{record}", "Records that a sink has"),
    ("retries", True, "{batch}", "Batches that a sink did not take"),
    ("lag", False, "s", "For how long a sink has lacked something"),
)


def readings(counters: Mapping[str, Any]) -> Iterator[Reading]:
    """Give every figure of *counters*."""
    journal = counters["journal"]
    for name, grows, unit, about in _JOURNAL:
        yield Reading(f"journal.{name}", journal[name], "", grows, unit, about)
    for key, figures in counters["sinks"].items():
        for name, grows, unit, about in _SINKS:
            yield Reading(f"delivery.{name}", figures[name], key, grows, unit, about)
