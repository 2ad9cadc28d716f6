"""Paths: what the argument of a file operation really names, and whether that lies in a folder.

Everything is decided on real paths, component by component: ``..``, links, relative and bytes
paths, and descriptors all come down to one. What cannot be told is None, and no permission.
"""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def text(path: object) -> str | None:
    """Return the path that the interpreter will take *path* for; None if nobody can know.

    An object whose ``__fspath__`` is its own may answer otherwise when it is asked again.
    """
    if isinstance(path, str):
        return str.__str__(path)
    if type(path) is bytes:
        return os.fsdecode(path)
    if isinstance(path, PurePath):
        kind = type(path)
        plain = kind.__fspath__ is PurePath.__fspath__ and kind.__str__ is PurePath.__str__
        return str(path) if plain else None
    return os.fsdecode(path.path) if isinstance(path, os.DirEntry) else None


def resolved(path: object, folder: int = -1) -> str | None:
    """Return the real path of what *path* names, links followed; None if that cannot be told.

    Args:
        path: A path of any kind, or an open descriptor.
        folder: The descriptor of the folder that a relative path starts from (``dir_fd``).
    """
    if isinstance(path, int):
        return _of_descriptor(path)
    plain = _absolute(text(path), folder)
    return None if plain is None else os.path.realpath(plain)


def created(path: object, folder: int = -1) -> str | None:
    """Return the real path of a name that is about to be made: its own last part is no link yet.

    `os.rename` replaces a link, where `open` follows it.
    """
    plain = _absolute(text(path), folder)
    if plain is None:
        return None
    parent, name = os.path.split(plain.rstrip(os.sep))
    if name in ("", os.curdir, os.pardir):
        return os.path.realpath(plain)
    return os.path.join(os.path.realpath(parent), name)  # noqa: PTH118 - of texts, as realpath gives


def within(path: str | None, folders: Iterable[str]) -> bool:
    """Tell whether a real path is one of *folders* or lies in one, by whole components."""
    if path is None:
        return False
    return any(path == each or path.startswith(each.rstrip(os.sep) + os.sep) for each in folders)


def is_relative(path: object) -> bool:
    """Tell whether *path* depends on a folder that is not part of it."""
    plain = text(path)
    return plain is None or not plain.startswith(os.sep)


def _absolute(plain: str | None, folder: int) -> str | None:
    if plain is None or folder < 0 or plain.startswith(os.sep):
        return plain
    start = _of_descriptor(folder)
    return None if start is None else os.path.join(start, plain)  # noqa: PTH118 - as in created


def _of_descriptor(number: int) -> str | None:
    for root in ("/proc/self/fd", "/dev/fd"):
        link = f"{root}/{int(number)}"
        if os.path.lexists(link):
            return os.path.realpath(link)
    return None
