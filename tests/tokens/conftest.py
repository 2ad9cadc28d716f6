"""What the token tests share: both encodings, loaded once, and a generator of awkward text."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

import pytest
import tiktoken

from zeroret.tokens import vocabulary

ENCODINGS: Final = sorted(vocabulary.NAMES)

PIECES: Final = (
    *("a", "Z", "ABC", "é", "ǅ", "ʰ", "İ", "\u017f", "中", "ひ", "カ", "가", "ก", "ี", "\u0301"),
    *(" ", "  ", "\t", "\n", "\r", "\r\n", "\n\n", "\xa0", "\u3000", "\x1c", "\x85", "\u2028"),
    *("1", "7", "123456", "٣", "Ⅷ", "½", ".", "/", "'", "'s", "'LL", "don't", "-", "_", "``"),
    *("、", "“", "…", "😀", "👩\u200d👩\u200d👧", "\x00", "\x7f", "\ufeff", "\u0378", "\U0001fae9"),
    *("<|endoftext|>", "<|fim_prefix|>", "<|endofprompt|>", "hello", "naïve", "คำ", "слово"),
    *("\ud83d", "\ude00"),
)
"""Representatives of every class the split patterns tell apart, and what joins over deltas."""


@pytest.fixture(params=ENCODINGS)
def encoding(request: pytest.FixtureRequest) -> tiktoken.Encoding:
    """Give each encoding in turn."""
    return vocabulary.encoding(request.param)


@pytest.fixture(scope="session")
def pieces() -> tuple[str, ...]:
    """Give the representatives from which awkward texts are made."""
    return PIECES


@pytest.fixture(scope="session")
def awkward() -> Callable[[Random, int], str]:
    """Give a function that makes a text of so many random representatives."""

    def make(random: Random, length: int) -> str:
        return "".join(random.choices(PIECES, k=length))

    return make
