"""Which encoding counts a model's text, and whether that count is exact.

Known families are OpenAI's; the pairs are those of tiktoken 0.14's ``MODEL_TO_ENCODING`` with its
gaps closed (provider prefixes, capitals, ``ft:gpt-4.1``). Every other name is counted with
``o200k_base`` as a stand-in and never raises.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

STAND_IN: Final = "o200k_base"
"""The encoding for models whose own is not known or not public."""

_FAMILIES: Final[dict[str, str]] = {
    "gpt-4": "cl100k_base",
    "gpt-3.5": "cl100k_base",
    "gpt-35": "cl100k_base",
    "text-embedding-3": "cl100k_base",
    "text-embedding-ada-002": "cl100k_base",
    "davinci-002": "cl100k_base",
    "babbage-002": "cl100k_base",
    "gpt-4o": "o200k_base",
    "gpt-4.1": "o200k_base",
    "gpt-4.5": "o200k_base",
    "gpt-5": "o200k_base",
    "gpt-5.": "o200k_base",
    "gpt-oss": "o200k_base",
    "chatgpt-4o": "o200k_base",
    "o1": "o200k_base",
    "o3": "o200k_base",
    "o4-mini": "o200k_base",
}
_LONGEST: Final = max(map(len, _FAMILIES))
_JOINTS: Final = "-:@_"
"""What may stand between a family's name and the rest; a point would make ``gpt-4`` of gpt-4.2."""


_THINKS: Final = re.compile(r"(?:^|[/:])(?:o\d|gpt-[5-9])", re.IGNORECASE)


def thinks(model: str | None) -> bool:
    """Return whether *model* puts out reasoning that is billed and never delivered."""
    return isinstance(model, str) and _THINKS.search(model) is not None


def resolve(model: str | None, overrides: Mapping[str, str] | None = None) -> tuple[str, bool]:
    """Return the name of the encoding for *model*, and whether it is surely the model's own.

    *overrides* come first, by whole name and then by prefix, the longest first; a prefix ends where
    the name does, at one of ``-:@_``, or in a character that is no letter or digit. An override is
    the operator's word and so exact. Case, a provider's prefix up to the last ``/`` and the frame
    of a fine-tuned name (``ft:BASE:…``) do not matter.
    """
    if not isinstance(model, str):
        return STAND_IN, False
    name = model.strip().lower()
    base = _base(name)
    if overrides:
        lowered = {key.strip().lower(): encoding for key, encoding in overrides.items()}
        for candidate in (name, base):
            if candidate in lowered:
                return lowered[candidate], True
        for candidate in (name, base):
            if found := _longest(candidate, lowered):
                return lowered[found], True
    found = _longest(base, _FAMILIES, _LONGEST)
    return (_FAMILIES[found], True) if found else (STAND_IN, False)


def _base(name: str) -> str:
    """Return *name* without the provider's prefix and the frame of a fine-tuned name."""
    before, framed, after = name.partition("ft:")
    if framed and (not before or before.endswith("/")):
        name = after.partition(":")[0]
    return name.rpartition("/")[2].removeprefix("openai.")


def _longest(name: str, prefixes: Mapping[str, str], most: int | None = None) -> str:
    """Return the longest of *prefixes* that begins *name* as a whole word, or the empty string.

    *most* is the length of the longest prefix, if it is known; no more of a name is looked at.
    """
    most = max(map(len, prefixes), default=0) if most is None else most
    for end in range(min(len(name), most), 0, -1):
        ends = end == len(name) or name[end] in _JOINTS or not name[end - 1].isalnum()
        if ends and name[:end] in prefixes:
            return name[:end]
    return ""
