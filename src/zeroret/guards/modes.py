"""Modes: whether this process withholds, asked where an event belongs to no exchange."""

from __future__ import annotations

import threading
from typing import Final


class Modes:
    """The started runtimes of one process, by mode; forks inherit them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._enforcing = 0
        self._reporting = 0

    @property
    def enforcing(self) -> bool:
        """Whether events of no exchange are withheld: unless every runtime only reports."""
        return self._enforcing > 0 or self._reporting == 0

    def enter(self, *, enforce: bool) -> None:
        """Count a runtime that starts; each call has its `leave`."""
        self._add(1, enforce)

    def leave(self, *, enforce: bool) -> None:
        """Count a runtime that ends."""
        self._add(-1, enforce)

    def _add(self, number: int, enforce: bool) -> None:  # noqa: FBT001 - internal, passed on as it came
        with self._lock:
            if enforce:
                self._enforcing += number
            else:
                self._reporting += number


MODES: Final = Modes()
"""The modes of this process."""
