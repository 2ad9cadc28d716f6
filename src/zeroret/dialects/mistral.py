"""Mistral's completions in the middle of a text and by agents; its chat is OpenAI's.

API reference: https://docs.mistral.ai/api, ``/v1/fim/completions`` and ``/v1/agents/completions``.
Answers have the form of OpenAI's chat; every stream ends with its usage, unasked. An agent's own
instructions are part of its input, so that only the provider knows how long that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroret.dialects import openai

if TYPE_CHECKING:
    from zeroret.dialects.answer import Count


class Body(openai.Body):
    """Reads one answer."""

    __slots__ = ()

    def _read(self, body: bytes, *, count: bool) -> None:
        super()._read(body, count=count)
        self.opaque = True  # neither Mistral's vocabulary nor its frame is OpenAI's


class Stream(openai.Stream):
    """Reads one stream."""

    __slots__ = ()

    def __init__(self, name: str, count: Count | None, *, hold: bool) -> None:
        super().__init__(name, count, hold=hold)
        self.opaque = True
