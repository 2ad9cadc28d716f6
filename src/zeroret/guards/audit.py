"""The audit hook: the one of this process, and the table of who is told of what.

A hook can never be removed (PEP 578), so there is one, added with the first entry of the table.
While the table is empty it costs a look into it. Forks inherit both.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias

Handler: TypeAlias = Callable[[tuple[Any, ...]], None]
"""Told of one event by its arguments; what it raises stops the act in the code that does it."""

_PROBE: Final = "zeroret.listening"

_counts: Final[dict[tuple[str, Handler], int]] = {}
_table: Final[list[dict[str, tuple[Handler, ...]]]] = [{}]
"""The table, replaced as a whole, so that the hook reads it without a lock."""

_added = False
# Re-entrant: adding the hook is itself an event.
_lock = threading.RLock()


def register(event: str, handler: Handler) -> None:
    """Have *handler* told of each *event* from now on; each call needs its `unregister`.

    Args:
        event: The name of an audit event, as ``sys.audit`` knows it.
        handler: Called once an event, in the thread and context of the code that acts, before it
            acts; handlers are told in the order in which they came.
    """
    global _added  # noqa: PLW0603 - one hook for the process
    with _lock:
        _counts[event, handler] = _counts.get((event, handler), 0) + 1
        _rebuild()
        if not _added:
            _added = True
            sys.addaudithook(_hook())


def unregister(event: str, handler: Handler) -> None:
    """Undo one `register`; unknown ones are no matter."""
    with _lock:
        left = _counts.get((event, handler), 0) - 1
        if left > 0:
            _counts[event, handler] = left
        else:
            _counts.pop((event, handler), None)
        _rebuild()


def _rebuild() -> None:
    """Make the table anew from the counts. Needs the lock."""
    table: dict[str, tuple[Handler, ...]] = {}
    for event, handler in _counts:
        table[event] = (*table.get(event, ()), handler)
    _table[0] = table


def listening() -> bool:
    """Tell whether events arrive: another hook may have kept ours out (PEP 578)."""
    heard: list[bool] = []

    def note(_args: tuple[Any, ...]) -> None:
        heard.append(True)

    register(_PROBE, note)
    sys.audit(_PROBE)
    unregister(_PROBE, note)
    return bool(heard)


def _hook() -> Callable[[str, tuple[Any, ...]], None]:
    # By closure: events happen, such as asking for a frame, when modules are gone already.
    current = _table

    def heard(event: str, args: tuple[Any, ...]) -> None:
        handlers = current[0].get(event)
        if handlers is None:
            return
        for handler in handlers:
            handler(args)

    return heard


def _renew() -> None:
    global _lock  # noqa: PLW0603 - a thread that the child does not have may hold the parent's
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew)
