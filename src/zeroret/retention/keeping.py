"""The retention of one runtime: which of its sinks are swept, and what the posture says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroret.retention.sweeper import Sweeper
from zeroret.sinks import expires, open_sink, sink_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroret.policy import Policy
    from zeroret.usage.layout import Layout


class Retention:
    """Sweeps the sinks that can delete, if the policy promises that rows go by themselves.

    Args:
        policy: whose clocks count.
        specs: the sinks as the operator gave them.
        columns: of the usage rows.
        layout: of the stores that keep tables.
    """

    def __init__(
        self, policy: Policy, specs: Sequence[Any], columns: Sequence[str], layout: Layout
    ) -> None:
        self._policy = policy
        self._specs = {sink_key(spec, index): spec for index, spec in enumerate(specs)}
        self._columns = columns
        self._layout = layout
        self._sweeper = Sweeper(policy, {})

    def start(self) -> None:
        """Begin to sweep, each sink through a connection of its own."""
        if self._policy.usage.deletion != "automatic":
            return
        stores: dict[str, Any] = {
            key: self._opened(spec) for key, spec in self._specs.items() if expires(spec)
        }
        self._sweeper = Sweeper(self._policy, stores)
        self._sweeper.start()

    def stop(self) -> None:
        """End the sweeping."""
        self._sweeper.stop()

    def posture(self) -> dict[str, Any]:
        """Return the clock of the rows, and for each sink whether it is swept, and how it went."""
        keep = self._policy.usage.keep
        swept = self._sweeper.counters()
        return {
            "keep": str(keep),
            "deletion": self._policy.usage.deletion,
            "sinks": {
                key: swept[key] if key in swept else self._unswept(spec)
                for key, spec in self._specs.items()
            },
        }

    def _unswept(self, spec: Any) -> str:
        if not self._policy.usage.keep.clocked:
            return "the policy sets no clock"
        if expires(spec):
            return "zeroret purge deletes by command"
        return "cannot delete: what it holds is the operator's to remove"

    def _opened(self, spec: Any) -> Any:
        if not isinstance(spec, str):
            return spec
        return open_sink(spec, columns=self._columns, layout=self._layout)
