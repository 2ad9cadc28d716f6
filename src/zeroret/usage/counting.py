"""Local counts for the meter: of the text a response delivered, and of a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zeroret.tokens import framing, models, vocabulary

if TYPE_CHECKING:
    from zeroret.tokens import TokenCounter, TokenStream
    from zeroret.tokens.framing import PromptCount

PLACES: Final = 256
"""The most choices or blocks that are counted apart; what comes beyond shares one count."""

_BEYOND: Final = (-1, -1)


class DeliveredText:
    """Counts the tokens of delivered text, place by place, holding no more than a token's rest."""

    __slots__ = ("_counter", "_streams")

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._streams: dict[tuple[int, int], TokenStream] = {}

    def count(self, parts: dict[tuple[int, int], list[str]], model: str | None) -> None:
        """Take a batch of text; *model* chooses the vocabulary of places that are new."""
        for place, texts in parts.items():
            stream = self._streams.get(place)
            if stream is None:
                place_ = place if len(self._streams) < PLACES else _BEYOND
                stream = self._streams.get(place_) or self._counter.stream(model=model)
                self._streams[place_] = stream
            stream.feed("".join(texts))

    def total(self) -> tuple[int, bool]:
        """Return the tokens of everything, and whether the count is exact."""
        tokens = sum(stream.finish() for stream in self._streams.values())
        exact = all(stream.exact for stream in self._streams.values())
        return tokens, exact and _BEYOND not in self._streams
