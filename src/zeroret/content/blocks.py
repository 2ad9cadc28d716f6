"""Blocks: short stretches of content and texts, cut so that a shared run shows in one of them."""

from __future__ import annotations

from functools import cache
from itertools import chain, compress, count
from operator import ne
from struct import Struct
from typing import TYPE_CHECKING, Final

from zeroret.content.thresholds import OWN, OWN_LARGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeroret.content.haystack import Span

BLOCK: Final = 12
"""Bytes of a block: fewer would meet in ordinary words, more would take more blocks."""

STRIDE: Final = OWN - BLOCK + 1
"""Bytes from one block of content to the next: every run of `OWN` bytes holds one."""

STRIDE_LARGE: Final = OWN_LARGE - BLOCK - 1
"""The same for `OWN_LARGE`: two less than would do, so that `STRIDE_WIDE` is coprime to it."""

STRIDE_WIDE: Final = 4
"""Bytes from one probe of a text to the next where runs of `OTHER` are looked for: they hold four
blocks side by side, one of which a probe meets."""

_REACH: Final = 256  # bytes that a run is followed at once, so that its other blocks need no look
_CLUSTER: Final = 64  # blocks that are read in one call


def blocks(data: bytes, stride: int) -> list[bytes]:
    """Return the blocks of *data* at every *stride* bytes, in the order of `places`."""
    found: list[bytes] = []
    period = _phases(stride) * stride
    for start in range(0, period, stride):
        at, left = start, (len(data) - start - BLOCK) // period + 1
        while left > 0:
            number = min(left, _CLUSTER)
            found += _cluster(period, number).unpack_from(data, at)
            at += number * period
            left -= number
    return found


def places(size: int, stride: int) -> Iterator[int]:
    """Return where in data of *size* bytes its `blocks` begin."""
    period = _phases(stride) * stride
    return chain.from_iterable(
        range(start, size - BLOCK + 1, period) for start in range(0, period, stride)
    )


def _phases(stride: int) -> int:
    # Blocks that overlap are read in several passes, each of which reads blocks that do not.
    return -(-BLOCK // stride)


@cache
def _cluster(period: int, number: int) -> Struct:
    gap = f"{period - BLOCK}x" if period > BLOCK else ""
    return Struct(f"{BLOCK}s{gap}" * (number - 1) + f"{BLOCK}s")


def around(data: bytes, text: bytes, at: int, room: int, *, places: int) -> Iterator[Span]:
    """Yield the runs of *text* around its block at *at*, wherever that stands in *data*.

    Args:
        data: Content.
        text: What shares a block with it.
        at: Where in the text that block is.
        room: Bytes by which a run is longer than a block, and which it is followed back: what is
            longer still is the union of what its blocks yield.
        places: How many places are compared; if there are more, all around the block is a run.
    """
    end = at + BLOCK
    block, left, right = text[at:end], text[max(at - room, 0) : at][::-1], text[end : end + _REACH]
    place = data.find(block)
    for _ in range(places):
        if place < 0:
            return
        after = place + BLOCK
        before = _common(left, data[max(place - room, 0) : place][::-1])
        behind = _common(right, data[after : after + _REACH])
        if before + behind >= room:
            yield at - before, end + behind
            if before == len(left) and behind == len(right):
                return
        place = data.find(block, place + 1)
    if place >= 0:
        yield at - len(left), min(end + room, len(text))


def _common(one: bytes, other: bytes) -> int:
    """Return how many bytes two strings begin with alike."""
    if one == other:
        return len(one)
    return next(compress(count(), map(ne, one, other)), min(len(one), len(other)))
