"""Standard descriptors: 1 and 2, and whatever else leads where they lead.

A duplicate, a second opening and a terminal's input have other numbers. What the system says of the
file behind a number tells them; the null device leads nowhere.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards.paths import text

if TYPE_CHECKING:
    import io

STANDARD: Final = frozenset({1, 2})
"""The descriptors of standard output and error."""

_fstat: Final = os.fstat
_stat: Final = os.stat


def is_standard(fd: int) -> bool:
    """Tell whether what goes to *fd* comes out where 1 or 2 do; yes if that cannot be told."""
    if fd in STANDARD:
        return True
    try:
        return _is_one_of_them(_fstat(fd))
    except (OSError, OverflowError):  # not open: who writes to it is told so
        return False
    except Exception:  # noqa: BLE001 - fails closed
        return True


def is_standard_path(path: object, folder: int | None = None) -> bool:
    """Tell whether *path* names what is behind 1 or 2, such as ``/dev/stdout``.

    Args:
        path: A path of any kind.
        folder: The descriptor that a relative one starts from; None for the current folder.
    """
    named = text(path)
    if named is None:
        return False
    try:
        return _is_one_of_them(_stat(named, dir_fd=folder))
    except (OSError, ValueError):  # there is none yet
        return False


def is_standard_stream(stream: io.IOBase) -> bool:
    """Tell whether *stream* is open, for writing, on a standard descriptor."""
    try:
        return not stream.closed and stream.writable() and is_standard(stream.fileno())
    except Exception:  # noqa: BLE001 - detached, or half made
        return False


def _is_one_of_them(found: os.stat_result) -> bool:
    identity = _identity(found)
    for fd in STANDARD:
        try:
            same = _identity(_fstat(fd)) == identity
        except OSError:  # closed: nothing leads there
            continue
        if same:
            return identity != _identity(_stat(os.devnull))
    return False


def _identity(found: os.stat_result) -> tuple[Any, Any]:
    return found.st_dev, found.st_ino
