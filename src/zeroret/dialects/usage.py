"""The usage a provider reports, in this library's terms."""

from __future__ import annotations

from typing import Any, Final

import msgspec

LARGEST: Final = 2**53
"""The largest count that is believed: beyond it JSON numbers stop being exact."""

BLOCK_LIMIT: Final = 2**16
"""The most bytes that one small part of an answer, such as a usage block, may have."""

OVERSIZED: Final = "oversized"
"""What a part with more bytes is read as: no part of its kind."""

UNREADABLE: Final = "unreadable"
"""What a part is read as that only looked like JSON: broken UTF-8, numbers beyond all range."""

_FAULTS: Final = (msgspec.DecodeError, RecursionError, ValueError)

_any: Final = msgspec.json.Decoder()


class Usage(msgspec.Struct):
    """Token counts of one exchange; None is unknown, 0 is a known zero.

    *input_tokens* is all input, cache reads and writes included; *output_tokens* all output,
    reasoning included; the others are parts of these two. *malformed* is how many counts were sent
    as something that is no count.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    malformed: int = 0

    @property
    def whole(self) -> bool:
        """Whether both sides are known."""
        return self.input_tokens is not None and self.output_tokens is not None

    @property
    def decisive(self) -> bool:
        """Whether both sides are known and something was used: no older report matters then."""
        return self.whole and bool(self.input_tokens or self.output_tokens)


COUNTS: Final = tuple(name for name in Usage.__struct_fields__ if name != "malformed")
"""The fields of `Usage` that are token counts."""


def fold(known: Usage, newer: Usage) -> Usage:
    """Return what is known after a *newer* report: a whole one replaces, a partial one overwrites.

    Reports are running totals, so they are never added. A zero is a report like any other.
    """
    if newer.whole:
        newer.malformed += known.malformed
        return newer
    for name in COUNTS:
        value = getattr(newer, name)
        if value is not None:
            setattr(known, name, value)
    known.malformed += newer.malformed
    return known


class Reading:
    """Takes counts out of one usage block and notes how many of them are no counts."""

    __slots__ = ("malformed",)

    def __init__(self) -> None:
        self.malformed = 0

    def count(self, *values: object) -> int | None:
        """Return the first of *values* that was sent, None if none was or it is no count."""
        for value in values:
            if value is None:
                continue
            if type(value) is int and 0 <= value <= LARGEST:
                return value
            number = as_count(value)
            if number is None:
                self.malformed += 1
            return number
        return None


def fold_used(known: Usage, newer: Usage) -> Usage:
    """Return the same, but nothing at all cannot come after something: some servers end so."""
    used = known.input_tokens or known.output_tokens
    if used and newer.whole and not newer.decisive:
        newer = Usage(malformed=newer.malformed)
    return fold(known, newer)


def total(known: Usage, more: Usage) -> Usage:
    """Return the sum of two usages of different answers; what neither knows stays unknown."""
    for name in COUNTS:
        value = getattr(more, name)
        if value is not None:
            setattr(known, name, (getattr(known, name) or 0) + value)
    known.malformed += more.malformed
    return known


def opened(raw: msgspec.Raw, limit: int = BLOCK_LIMIT) -> Any:
    """Return what stands in *raw*: None for nothing, `OVERSIZED` for more than *limit* bytes.

    Never raises: what was passed over unread may be `UNREADABLE`.
    """
    size = len(raw)
    if not size:
        return None
    if size > limit:
        return OVERSIZED
    try:
        return _any.decode(raw)
    except _FAULTS:
        return UNREADABLE


def stated(raw: msgspec.Raw) -> bool:
    """Return whether *raw* holds something that counts as said: an error, say, that is not null."""
    return len(raw) > 0 and bool(opened(raw))


def details(value: object) -> dict[str, object]:
    """Return *value* if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_count(value: object) -> int | None:
    """Return *value* as a count if it is one: a whole number from 0 to 2**53, not a bool."""
    if type(value) is int:
        return value if 0 <= value <= LARGEST else None
    if type(value) is float and value.is_integer() and 0 <= value <= LARGEST:
        return int(value)
    return None
