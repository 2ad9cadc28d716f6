"""The service tier that an answer was served in: a closed set, since it decides the price.

What providers call them: OpenAI and Groq ``service_tier``, Anthropic ``usage.service_tier``, Gemini
``usageMetadata.trafficType``, Bedrock ``serviceTier.type``.
"""

from __future__ import annotations

from typing import Final

OTHER: Final = "other"
"""What is recorded of a tier outside the set."""

STANDARD: Final = frozenset({"auto", "default", "on_demand", "standard"})
"""The tiers at the list price."""

TIERS: Final = STANDARD | {
    "batch", "fast", "flex", "performance", "priority", "provisioned_throughput", "reserved",
    "scale",
}  # fmt: skip
"""Every tier that is named; upper case counts as lower."""


def tier_of(value: object) -> str | None:
    """Return *value* as it may be recorded; None for what names no tier."""
    if not isinstance(value, str) or not value:
        return None
    lowered = value.lower() if len(value) <= max(map(len, TIERS)) else ""
    return lowered if lowered in TIERS else OTHER
