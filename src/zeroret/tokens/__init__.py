"""Token counting: offline, incremental, and honest about how exact each count is.

Importing this package loads no vocabulary and does not import tiktoken; the first count does.
"""

from __future__ import annotations

from collections.abc import Mapping

from zeroret.errors import ConfigurationError
from zeroret.tokens import vocabulary
from zeroret.tokens.counting import TokenStream
from zeroret.tokens.models import resolve

__all__ = ["TokenCounter", "TokenStream"]


class TokenCounter:
    """Counts tokens for any model; see `docs/tokens.md` for what is exact.

    *models* gives names or prefixes of models the encoding that counts them: ``o200k_base``,
    ``cl100k_base``, or the path of a ``tokenizer.json`` (extra ``huggingface``); anything else
    raises `ConfigurationError`. Never opens a connection.
    """

    __slots__ = ("_models",)

    def __init__(self, models: Mapping[str, str] | None = None) -> None:
        if models is not None and not isinstance(models, Mapping):
            raise ConfigurationError(
                "models must map model names to vocabularies, such as {'my-model': 'o200k_base'}; "
                f"a {type(models).__name__} was given"
            )
        for name, encoding in (models or {}).items():
            good = isinstance(name, str) and name.strip() and isinstance(encoding, str)
            if not good or not vocabulary.is_named(encoding):
                allowed = " or ".join(sorted(vocabulary.NAMES))
                raise ConfigurationError(
                    f"models={{{name!r}: {encoding!r}}} is not understood: give a model's name or "
                    f"prefix, and {allowed}, or the path of a tokenizer.json"
                )
            vocabulary.check(encoding)
        self._models = {name.strip().lower(): encoding for name, encoding in (models or {}).items()}

    def __repr__(self) -> str:
        return f"TokenCounter({self._models!r})" if self._models else "TokenCounter()"

    def count(self, text: str, *, model: str | None = None) -> int:
        """Return the tokens of *text*; special-token strings in it count as the text they are."""
        stream = self.stream(model=model)
        stream.feed(text)
        return stream.finish()

    def stream(self, *, model: str | None = None) -> TokenStream:
        """Return a counter for a text of *model* that comes in pieces."""
        encoding, exact = resolve(model, self._models)
        return TokenStream(encoding, exact=exact)

    def exactness(self, model: str | None) -> bool:
        """Return whether counts for *model* are made with its own vocabulary."""
        return resolve(model, self._models)[1]

    def encoding_name(self, model: str | None) -> str:
        """Return the name of the encoding that counts *model*."""
        return resolve(model, self._models)[0]
