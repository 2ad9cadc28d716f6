"""JSON that clients' parsers bear and the strict one does not, made clean.

Broken UTF-8 (an event stream is decoded with replacement: WHATWG), ``NaN`` and ``Infinity`` as
Python writes them (they become texts, so that none is a count), and halves of surrogate pairs,
which a server leaves when it cuts a text between them.
"""

from __future__ import annotations

import json
import re
from typing import Final, TypeVar

import msgspec

from zeroret.dialects.answer import FAULTS

T = TypeVar("T")

LONGEST: Final = 2**18
"""The most bytes that are made clean: the cure builds everything as objects."""

_PAIR: Final = re.compile(
    r"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def decoded(decoder: msgspec.json.Decoder[T], data: bytes) -> T | None:
    """Return *data* decoded, made clean if need be; None if it cannot be read, or is another."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        return None  # it is JSON, but not what is decoded
    except FAULTS:
        pass
    try:
        return decoder.decode(clean(data))
    except FAULTS:
        return None


def clean(data: bytes) -> bytes:
    """Return *data* as strict JSON.

    Raises:
        ValueError: it is no JSON for anyone, or too long.
    """
    if len(data) > LONGEST:
        raise ValueError("too long to be made clean")
    text = data.decode(errors="replace")
    if "\\ud" in text or "\\uD" in text:
        text = _PAIR.sub(lambda found: found[1] + (found[2] or "\\ufffd"), text)
    try:
        return msgspec.json.encode(json.loads(text, parse_constant=str))
    except (RecursionError, TypeError, OverflowError) as error:
        raise ValueError("no JSON that can be made clean") from error
