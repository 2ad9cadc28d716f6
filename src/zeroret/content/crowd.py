"""The crowd: blocks of all exchanges that were matched as others', to rule them out in one look.

A thousand exchanges in flight are otherwise a thousand look-ups for every line. Blocks are counted,
so that each exchange takes its own away when its index dies.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BLOCK: Final = 16
"""Bytes of a block; content is cut into them side by side."""

STRIDE: Final = 3
"""Bytes from one probe of a text to the next: coprime to `BLOCK`, so that they meet in 48 bytes."""


class Crowd:
    """Counted blocks of many contents."""

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}
        self._gone: deque[list[bytes]] = deque()
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._after_fork)

    def __len__(self) -> int:
        return len(self._counts)

    def join(self, blocks: Iterable[bytes]) -> None:
        """Count *blocks*, some content's own, once more each."""
        with self._lock:
            for block in blocks:
                self._counts[block] = self._counts.get(block, 0) + 1
        self._settle()

    def leave(self, blocks: list[bytes]) -> None:
        """Count *blocks* once less each; never waits, since finalisers call it."""
        self._gone.append(blocks)
        self._settle()

    def meets(self, probes: Sequence[bytes]) -> bool:
        """Tell whether one of *probes* stands in the crowd."""
        return not self._counts.keys().isdisjoint(probes)

    def _settle(self) -> None:
        # Whoever holds the lock settles after it: nobody waits, and nothing is left behind.
        while self._gone and self._lock.acquire(blocking=False):
            try:
                for block in self._gone.popleft() if self._gone else ():
                    count = self._counts.get(block, 0)
                    if count > 1:
                        self._counts[block] = count - 1
                    else:
                        self._counts.pop(block, None)
            finally:
                self._lock.release()

    def _after_fork(self) -> None:
        # The child's exchanges are indexed anew; half of a block list may have been counted.
        self._lock = threading.Lock()
        self._gone.clear()
        self._counts.clear()


def blocks(data: bytes | bytearray, start: int) -> list[bytes]:
    """Return the whole blocks of *data* from *start*, a multiple of `BLOCK`, on."""
    return [bytes(data[at : at + BLOCK]) for at in range(start, len(data) - BLOCK + 1, BLOCK)]


def probes(text: bytes) -> list[bytes]:
    """Return the parts of *text* of which one is a block of any content it shares 64 bytes with."""
    return [text[at : at + BLOCK] for at in range(0, len(text) - BLOCK + 1, STRIDE)]


CROWD: Final = Crowd()
"""The crowd of this process."""
