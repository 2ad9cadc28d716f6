"""The usage record: the one content-free row that every exchange leaves."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - the decoder reads the annotation at run time
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

Outcome: TypeAlias = Literal["completed", "aborted", "error", "timeout", "rejected", "killed"]
"""How an exchange ended; see ``docs/usage-record.md``."""

UsageSource: TypeAlias = Literal["reported", "counted", "estimated", "unknown"]
"""Where the counts come from: upstream or handler, an exact local count, a guess, nobody."""


class UsageRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content-free metadata of one exchange.

    A field is *UNSET* when the policy removes it: then it was never computed, and it has no column.
    ``None`` is unknown, ``0`` is a known zero. Token counts follow OpenTelemetry's GenAI terms:
    *input_tokens* is all input, cache reads and writes included; *output_tokens* is all output,
    reasoning included; the parts are subsets and are never added again. Durations are seconds,
    sizes are bytes of the bodies as they passed, *cost* is a decimal string in US dollars, and
    *price_version* names the prices it was computed by, and stands beside it where there are any.
    """

    id: str
    policy: str
    usage_source: UsageSource = "unknown"
    started_at: datetime | UnsetType = UNSET
    duration: float | UnsetType | None = UNSET
    time_to_first_token: float | UnsetType | None = UNSET
    account: str | UnsetType | None = UNSET
    key_id: str | UnsetType | None = UNSET
    route: str | UnsetType | None = UNSET
    method: str | UnsetType | None = UNSET
    dialect: str | UnsetType | None = UNSET
    provider: str | UnsetType | None = UNSET
    request_model: str | UnsetType | None = UNSET
    response_model: str | UnsetType | None = UNSET
    service_tier: str | UnsetType | None = UNSET
    stream: bool | UnsetType | None = UNSET
    status: int | UnsetType | None = UNSET
    outcome: Outcome | UnsetType = UNSET
    error_type: str | UnsetType | None = UNSET
    input_tokens: int | UnsetType | None = UNSET
    output_tokens: int | UnsetType | None = UNSET
    cache_read_input_tokens: int | UnsetType | None = UNSET
    cache_write_input_tokens: int | UnsetType | None = UNSET
    reasoning_output_tokens: int | UnsetType | None = UNSET
    audio_input_tokens: int | UnsetType | None = UNSET
    audio_output_tokens: int | UnsetType | None = UNSET
    images: int | UnsetType | None = UNSET
    request_bytes: int | UnsetType | None = UNSET
    response_bytes: int | UnsetType | None = UNSET
    client_ip: str | UnsetType | None = UNSET
    client: str | UnsetType | None = UNSET
    cost: str | UnsetType | None = UNSET
    price_version: str | UnsetType | None = UNSET

    def as_dict(self) -> dict[str, object]:
        """Return the fields the policy keeps, in column order."""
        return {name: value for name in FIELDS if (value := getattr(self, name)) is not UNSET}


FIELDS: Final[tuple[str, ...]] = UsageRecord.__struct_fields__
"""Every field of a usage record, in order."""

PRICE_VERSION: Final = "price_version"
"""The field that no policy names: it stands beside the cost where prices compute one."""

COLUMNS: Final[tuple[str, ...]] = tuple(name for name in FIELDS if name != PRICE_VERSION)
"""Every column that a policy can keep, in order."""

ALWAYS: Final[frozenset[str]] = frozenset({"id", "policy", "usage_source"})
"""The columns that stand on every row whatever the policy."""

TOKEN_COLUMNS: Final[tuple[str, ...]] = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "reasoning_output_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "images",
)
"""The columns that hold counts; what a policy calls "token counts"."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(UsageRecord)


def encode(record: UsageRecord) -> bytes:
    """Return *record* as one line of JSON, without a newline; removed fields are absent."""
    return _encoder.encode(record)


def decode(line: bytes) -> UsageRecord:
    """Return the record of a line made by `encode`; raises `msgspec.DecodeError` otherwise.

    A line of a newer release that says more is refused, not cut down to what is known here.
    """
    return _decoder.decode(line)
