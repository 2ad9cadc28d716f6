"""Noting: which names, keys and values are the program's own, looked at where it hands them over.

When an event leaves, the function that named something in it has often returned; while it runs, its
constants can be told from what a client sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import conventions, names, vouching

if TYPE_CHECKING:
    from types import FrameType

MOST: Final = 128
"""Attributes of one call that are looked at."""


def note(frame: FrameType, name: object, attributes: Any) -> None:
    """Remember what of a *name* and of *attributes* is the program's own.

    Args:
        frame: The frame that hands them over.
        name: The name of a span, event or operation; empty for none.
        attributes: A mapping, or None.
    """
    if name and not _is_derived(name):
        vouching.prove(name, frame, name=True)
    for number, (key, value) in enumerate((attributes or {}).items()):
        if number >= MOST:
            return
        if key in conventions.RULES:
            continue
        vouching.prove(key, frame, name=True)
        for each in value[:MOST] if type(value) in (list, tuple) else (value,):
            vouching.prove(each, frame)


def _is_derived(name: object) -> bool:
    """Tell whether a name is one that is derived anew when its event ends: ``POST /path``."""
    return type(name) is str and name.partition(" ")[0] in names.METHODS
