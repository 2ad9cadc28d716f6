"""Dialects of third parties, offered by the entry point group ``zeroret.dialects``.

Each entry point names a `Dialect`, or several. They are looked for once a process, when a runtime
starts; one that is broken is left out and counted.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from zeroret.dialects import Dialect, add

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from importlib.metadata import EntryPoint

GROUP: Final = "zeroret.dialects"

_seen: Final[set[str]] = set()


def load(failed: Callable[[str, BaseException], object]) -> None:
    """Take up every dialect that is offered; *failed* is told of those that cannot be had."""
    try:
        offered: Iterable[EntryPoint] = entry_points(group=GROUP)
    except Exception as error:  # noqa: BLE001 - what is installed may be broken in any way
        failed("dialects", error)
        return
    for point in offered:
        if point.value not in _seen:
            _take(point, failed)


def _take(point: EntryPoint, failed: Callable[[str, BaseException], object]) -> None:
    try:
        found: Any = point.load()
        for dialect in (found,) if isinstance(found, Dialect) else tuple(found):
            if not isinstance(dialect, Dialect):
                raise TypeError("an entry point of dialects gives what is no Dialect")  # noqa: TRY301 - counted as any other fault
            add(dialect)
        _seen.add(point.value)
    except Exception as error:  # noqa: BLE001 - a stranger's code must not hurt the server
        failed("dialects", error)
