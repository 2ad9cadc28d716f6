"""Vocabularies of other vendors: a ``tokenizer.json`` on this machine, in ``zeroret[huggingface]``.

Read by the package tokenizers from the given file, never from a hub.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from zeroret.errors import ConfigurationError, MissingExtraError

SUFFIX: Final = ".json"
"""How the name of such a file ends."""


class LocalTokenizer:
    """Counts with the tokenizer in a file; raises `ConfigurationError` if it holds none."""

    def __init__(self, path: str) -> None:
        tokenizers = _tokenizers()
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(path)
        except Exception:  # noqa: BLE001 - the package raises Exception itself
            raise ConfigurationError(
                f"{path!r} holds no tokenizer: give a tokenizer.json as the package tokenizers "
                "writes it"
            ) from None
        # What the file says of padding and cutting is for batches of a model, not for counting.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def encode_ordinary(self, text: str) -> list[int]:
        """Return the ids of *text*, without the special tokens that frame a whole prompt."""
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return found


def check(path: str) -> None:
    """Refuse a path that is no file, or where the package is missing.

    Raises:
        ConfigurationError: there is no such file.
        MissingExtraError: the package tokenizers is not installed.
    """
    if not Path(path).is_file():
        raise ConfigurationError(f"there is no tokenizer file {path!r}")
    _tokenizers()


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise MissingExtraError("a tokenizer.json", "huggingface") from None
    return tokenizers
