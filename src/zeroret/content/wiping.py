"""Wiping: content that nothing else refers to is overwritten as it is let go.

To keep content for its grace keeps its memory from being used again meanwhile, so that more of it
would be left there than without us. What others still refer to stays as it is, of course.
"""

from __future__ import annotations

import ctypes
import os
import sys
from itertools import compress, repeat
from operator import eq
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MOST: Final = 64
"""Values that one call overwrites, a quarter of a microsecond each: a stream may have thousands."""

_PROBED: Final = 32


def wipe(values: list[Any]) -> None:
    """Empty *values*, and overwrite the bytes that stood in it and nowhere else.

    The list itself must be the caller's own. Of more than `MOST` the rest is let go as it is.
    """
    if _overwrite is not None and _alone is not None:
        del values[MOST:]
        # All are counted before one is taken out: a value in hand counts once more.
        counts = list(map(sys.getrefcount, values))
        for value in compress(values, map(eq, counts, repeat(_alone))):
            if type(value) is bytes:
                _overwrite(value, len(value))
    values.clear()


def _bzero() -> Callable[[bytes, int], None] | None:
    """Return C's ``bzero``, called with the interpreter's lock held: nobody looks in between."""
    prototype = ctypes.PYFUNCTYPE(None, ctypes.c_char_p, ctypes.c_size_t)
    try:
        return prototype(("bzero", ctypes.pythonapi))
    except AttributeError:  # another interpreter, or no POSIX
        return None


def _references_alone() -> int | None:
    """Return how many references are counted for what stands in one list; None if none can be.

    Asked of the interpreter, since versions count differently, and those without a global lock
    cannot tell.
    """
    if _overwrite is None or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    values = [os.urandom(_PROBED) for _ in range(3)]
    shared = values[1]
    counts = list(map(sys.getrefcount, values))
    if not (counts[0] == counts[2] and counts[1] == counts[0] + 1):
        return None
    _overwrite(values[0], _PROBED)
    return counts[0] if values[0] == bytes(_PROBED) != values[1] == shared else None


_overwrite: Final = _bzero()
_alone: Final = _references_alone()
