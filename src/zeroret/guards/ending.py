"""Ending: what the guards owe the interpreter at its very end.

Finalisers print while modules are torn down. The interpreter flushes the standard streams before
that, and again when it frees them, which those who hold on to a stream put off: so they are flushed
once more when `sys` itself is emptied.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = "_zeroret_ending"
"""Where `sys` holds what is called at the end: names with one underscore go first."""


class Ending:
    """Calls a function when nobody refers to this object any more.

    Args:
        last: What is called; it may use nothing but what it holds.
    """

    def __init__(self, last: Callable[[], None]) -> None:
        self._last = last

    def __del__(self) -> None:
        self._last()


def flushing(streams: list[Any]) -> Callable[[], None]:
    """Return a function that flushes *streams*, whatever is left of anything else."""

    def flush() -> None:
        for stream in streams:
            try:
                stream.flush()
            except Exception:  # noqa: BLE001, S112 - nobody is left to be told
                continue

    return flush


def at_the_end(last: Callable[[], None]) -> None:
    """Have *last* called when the interpreter empties `sys`."""
    vars(sys)[NAME] = Ending(last)


def not_at_the_end() -> None:
    """Undo `at_the_end`; what it was given is called now."""
    vars(sys).pop(NAME, None)
