"""Printf-style messages: their conversions, and how to keep them working with withheld values.

Spec: https://docs.python.org/3/library/stdtypes.html#printf-style-string-formatting
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# Bounded and possessive: many "%(", or a "%" and many zeros, must not cost their square.
_CONVERSION: Final = re.compile(
    r"%(?P<key>\([^)]{0,256}\))?(?P<flags>[#0\- +]*+)(?P<width>\*|\d++)?"
    r"(?:\.(?P<precision>\*|\d++)?)?[hlL]?(?P<type>[diouxXeEfFgGcrsa%])"
)


class Conversion(NamedTuple):
    """One conversion of a message: where it stands, and what it asks for."""

    start: int
    end: int
    key: str | None
    type: str
    stars: int
    """How many more values its width and precision take."""


class Format(NamedTuple):
    """A message taken apart."""

    conversions: tuple[Conversion, ...]
    pieces: tuple[str, ...]
    """The literal text before, between and after the conversions."""
    plain: bool
    """True if no conversion turns a number into text (``%c``) or takes its width from a value."""


def parse(message: str) -> Format:
    """Take *message* apart; ``%%`` counts as literal text."""
    conversions: list[Conversion] = []
    pieces: list[str] = []
    at = 0
    for match in _CONVERSION.finditer(message):
        if match["type"] == "%":
            continue
        key = match["key"]
        stars = (match["width"] == "*") + (match["precision"] == "*")
        conversions.append(
            Conversion(
                match.start(), match.end(), None if key is None else key[1:-1], match["type"], stars
            )
        )
        pieces.append(message[at : match.start()])
        at = match.end()
    pieces.append(message[at:])
    plain = all(each.type != "c" and not each.stars for each in conversions)
    return Format(tuple(conversions), tuple(pieces), plain)


def as_text(message: str, format_: Format, withheld: set[int]) -> str:
    """Return *message* with the conversions of the indices *withheld* turned into ``%s``."""
    parts: list[str] = []
    at = 0
    for index, conversion in enumerate(format_.conversions):
        parts.append(message[at : conversion.start])
        if index in withheld:
            parts.append("%s" if conversion.key is None else f"%({conversion.key})s")
        else:
            parts.append(message[conversion.start : conversion.end])
        at = conversion.end
    parts.append(message[at:])
    return "".join(parts)
