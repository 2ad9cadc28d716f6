"""The handler's own word on what its exchange used; it wins over everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import msgspec

from zeroret.dialects.request import model_name
from zeroret.dialects.usage import COUNTS, Usage, as_count

if TYPE_CHECKING:
    from collections.abc import Mapping


class Counts(TypedDict, total=False):
    """The counts that can be said, by their columns."""

    input_tokens: int | None
    output_tokens: int | None
    cache_read_input_tokens: int | None
    cache_write_input_tokens: int | None
    reasoning_output_tokens: int | None
    audio_input_tokens: int | None
    audio_output_tokens: int | None
    images: int | None


class Said:
    """What a handler said so far; a later word on a count replaces the earlier one."""

    __slots__ = ("_usage", "images", "model")

    def __init__(self) -> None:
        self._usage = Usage()
        self.images: int | None = None
        """Images in the request."""
        self.model: str | None = None
        """The model that answered, as said."""

    @property
    def whole(self) -> bool:
        """Whether both sides are said."""
        return self._usage.whole

    def take(self, counts: Mapping[str, object], model: object) -> int:
        """Take *counts* by their columns; return how many values are none, and are left out."""
        faults = 0
        for name, value in counts.items():
            if value is None:
                continue
            count = as_count(value)
            if count is None or name not in Counts.__annotations__:
                faults += 1
            elif name == "images":
                self.images = count
            else:
                setattr(self._usage, name, count)
        named = model_name(model)
        self.model = named or self.model
        return faults + (model is not None and named is None)

    def over(self, usage: Usage) -> Usage:
        """Return *usage* with what was said in its place."""
        said = self._usage
        told = {name: value for name in COUNTS if (value := getattr(said, name)) is not None}
        return msgspec.structs.replace(usage, **told)
