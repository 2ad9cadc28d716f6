"""Random cuts: the pieces in which a body may come, anywhere also within a character."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

MOST_CUTS: Final = 24
"""The most places at which one body is cut."""


def cut(body: bytes, chance: random.Random) -> list[bytes]:
    """Return *body* in pieces, none of them empty unless all of it is."""
    most = min(MOST_CUTS, len(body) - 1)
    cuts = chance.sample(range(1, len(body)), chance.randint(0, most)) if most > 0 else []
    return [body[start:end] for start, end in pairwise([0, *sorted(cuts), len(body)])]
