"""Local counts for the meter: of the text a response delivered, and of a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zeroret.tokens import framing, vocabulary
from zeroret.tokens.models import thinks

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.tokens import TokenCounter, TokenStream
    from zeroret.tokens.framing import PromptCount

PLACES: Final = 256
"""The most choices or blocks that are counted apart; what comes beyond shares one count."""

_BEYOND: Final = (-1, -1)


class DeliveredText:
    """Counts the tokens of delivered text, place by place, holding no more than a token's rest.

    The count is exact where the vocabulary is the model's own, the places were few enough, and the
    model delivers all that it puts out.
    """

    __slots__ = ("_counter", "_exact", "_streams")

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._exact = True
        self._streams: dict[tuple[int, int], TokenStream] = {}

    @property
    def held(self) -> int:
        """Characters held."""
        return sum(stream.held for stream in self._streams.values())

    def count(
        self, parts: dict[tuple[int, int], list[str]], model: Callable[[], str | None]
    ) -> None:
        """Take a batch of text; *model* is asked for the model of places that are new."""
        streams = self._streams
        for place, texts in parts.items():
            text = "".join(texts)
            if not text:
                continue
            stream = streams.get(place)
            if stream is None:
                stream = self._open(place, model())
            stream.feed(text)

    def total(self) -> tuple[int, bool]:
        """Return the tokens of everything, and whether that is exact."""
        streams = self._streams.values()
        tokens = sum(stream.finish() for stream in streams)
        return tokens, self._exact and all(stream.exact for stream in streams)

    def _open(self, place: tuple[int, int], model: str | None) -> TokenStream:
        """Return the stream of a *place* that is new: its own, or the shared one."""
        if len(self._streams) >= PLACES:
            self._exact = False
            shared = self._streams.get(_BEYOND)
            if shared is not None:
                return shared
            place = _BEYOND
        if thinks(model):
            self._exact = False
        stream = self._streams[place] = self._counter.stream(model=model)
        return stream


def count_prompt(
    kind: str, request: dict[str, Any], counter: TokenCounter, model: str | None
) -> PromptCount:
    """Return the tokens and images of the prompt of a decoded *request* of one *kind*."""
    return framing.FORMS[kind](request, counter, model)


def best_model(counter: TokenCounter, *names: str | None) -> str | None:
    """Return the first of *names* whose vocabulary is known, else the first there is.

    A deployment's own name says nothing, where the name its answer gives may.
    """
    given = [name for name in names if name]
    exact = (name for name in given if counter.exactness(name))
    return next(exact, given[0] if given else None)


def prepare(counter: TokenCounter, model: str | None) -> bool:
    """Return whether the vocabulary of *model* is there; if not, load it in the background."""
    name = counter.encoding_name(model)
    if vocabulary.loaded(name):
        return True
    vocabulary.load_in_background(name)
    return False
