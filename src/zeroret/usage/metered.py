"""What metering one exchange found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from zeroret.usage.record import UsageSource  # noqa: TC001 - msgspec resolves the annotation

if TYPE_CHECKING:
    from collections.abc import Iterable


_STRENGTH: Final[dict[str, int]] = {"unknown": -1, "reported": 0, "counted": 1, "estimated": 2}


def weakest(sources: Iterable[str]) -> UsageSource:
    """Return the weakest of the *sources* of counts that are known, ``unknown`` if there is none.

    Nothing is weaker than a guess but no count at all, which has no part in it.
    """
    found: Any = max(sources, key=_STRENGTH.__getitem__, default="unknown")
    return found  # type: ignore[no-any-return] # one of them


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """What one exchange used. Models are as sent: the caller maps them to closed sets.

    *usage_source* is the weakest of the sources of those of *input_tokens* and *output_tokens*
    that are known, ``unknown`` if neither is. *images* are those of a prompt that was counted
    locally. *malformed* is how many parts of request and response could not be read.
    """

    dialect: str | None = None
    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    service_tier: str | None = None
    stream: bool | None = None
    error: bool = False
    usage_source: UsageSource = "unknown"
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    images: int | None = None
    malformed: int = 0
