"""The usage a provider reports, in this library's terms."""

from __future__ import annotations

from typing import Final

import msgspec

LARGEST: Final = 2**53
"""The largest count that is believed: beyond it JSON numbers stop being exact."""


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


COUNTS: Final = tuple(name for name in Usage.__struct_fields__ if name != "malformed")
"""The fields of `Usage` that are token counts."""


class Report:
    """Reads counts out of one decoded usage block and notes which are no counts."""

    __slots__ = ("_block", "malformed")

    def __init__(self, block: dict[object, object]) -> None:
        self._block = block
        self.malformed = 0

    def count(self, *places: str | tuple[str, str]) -> int | None:
        """Return the first count that was sent at one of *places*, a key or (key, inner key)."""
        for place in places:
            if isinstance(place, str):
                value = self._block.get(place)
            else:
                inner = self._block.get(place[0])
                value = inner.get(place[1]) if isinstance(inner, dict) else None
            if value is None:
                continue
            number = as_count(value)
            if number is None:
                self.malformed += 1
            return number
        return None


def as_count(value: object) -> int | None:
    """Return *value* as a count if it is one: a whole number from 0 to 2**53, not a bool."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= LARGEST:
        return None
    return value
