"""What the upstream calls of one exchange used, added up call by call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from zeroret.dialects.usage import COUNTS, Usage
from zeroret.usage.metered import weakest

if TYPE_CHECKING:
    from zeroret.usage.metered import Metered
    from zeroret.usage.record import UsageSource


class UpstreamCalls:
    """Adds up the calls that an exchange's handler made through instrumented clients.

    A call counts when it succeeded: an attempt that failed, and was retried or answered by a
    fallback, used nothing that anybody reports. A count is unknown if a call's is.
    """

    __slots__ = ("_counts", "failed", "model", "sources", "succeeded", "tier")

    def __init__(self) -> None:
        self._counts: dict[str, int | None] = {}
        self.succeeded = 0
        """Calls whose response was a success."""
        self.failed = 0
        """Attempts that failed, whatever came after them."""
        self.model: str | None = None
        """The model that answered last."""
        self.tier: str | None = None
        """The service tier that was told last."""
        self.sources: list[str] = []
        """Where the counts of each call come from."""

    def add(self, metered: Metered) -> None:
        """Add a call that succeeded."""
        first = not self.succeeded
        self.succeeded += 1
        self.model = metered.response_model or metered.request_model or self.model
        self.tier = metered.service_tier or self.tier
        self.sources.append(metered.usage_source)
        for name in COUNTS:
            count = getattr(metered, name)
            if first:
                self._counts[name] = count
                continue
            known = self._counts[name]
            whole = name in {"input_tokens", "output_tokens"}
            if known is None or count is None:
                # Of a part, a call that does not mention it has none; of a whole it is unknown.
                self._counts[name] = None if whole else known if count is None else count
            else:
                self._counts[name] = known + count

    def fail(self) -> None:
        """Note an attempt that failed."""
        self.failed += 1

    @property
    def source(self) -> UsageSource:
        """The weakest source of the calls' counts."""
        return weakest(self.sources)

    def over(self, usage: Usage) -> Usage:
        """Return *usage* with the calls' sums in its place; its own where no call succeeded."""
        if not self.succeeded:
            return usage
        told: Any = dict(self._counts)
        if told["input_tokens"] is None and told["output_tokens"] is None:
            return usage
        return msgspec.structs.replace(Usage(), **told, malformed=usage.malformed)
