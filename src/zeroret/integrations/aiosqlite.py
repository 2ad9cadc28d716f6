"""aiosqlite: what a connection's own thread does for a caller belongs to the caller's exchange."""

from __future__ import annotations

from functools import wraps
from typing import Any

from zeroret.content.flight import CURRENT, LAST
from zeroret.guards.stores import PATCHES


def watch(module: Any) -> None:
    """Carry exchanges into the threads of *module* (``aiosqlite``), where sqlite3 judges."""
    PATCHES.replace(module.core.Connection, "_execute", _carrying)


def _carrying(original: Any) -> Any:
    @wraps(original)
    async def execute(self: Any, function: Any, *args: Any, **options: Any) -> Any:
        if not PATCHES.active:
            return await original(self, function, *args, **options)
        flight, last = CURRENT.get(), LAST.get()

        # Also where there is none: the thread may have been started inside another exchange.
        def within(*args: Any, **options: Any) -> Any:
            current, previous = CURRENT.set(flight), LAST.set(last)
            try:
                return function(*args, **options)
            finally:
                CURRENT.reset(current)
                LAST.reset(previous)

        return await original(self, within, *args, **options)

    return execute
