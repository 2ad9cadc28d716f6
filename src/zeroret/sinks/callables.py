"""A user's own sink: any callable that takes a list of records, or an object with write/close."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroret.sinks.columns import Restriction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from zeroret.usage.record import UsageRecord


class CallableSink:
    """Hands each batch to *function*; not idempotent by itself: a batch may come twice."""

    def __init__(
        self,
        function: Callable[[list[UsageRecord]], object],
        *,
        columns: Iterable[str] | None = None,
        close: Callable[[], object] | None = None,
    ) -> None:
        self._function = function
        self._restriction = Restriction(columns)
        self._close = close

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Call the function with a list of records; what it raises means: not taken."""
        self._function(self._restriction.apply(records))

    def close(self) -> None:
        """Call the object's own close, if it has one."""
        if self._close is not None:
            self._close()
