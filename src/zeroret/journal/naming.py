"""The names of a journal's files: a *set* per process, and what belongs to it.

``<set>.lock`` is held for the process's life, ``<set>.<n>.segment`` holds lines,
``<set>.<n>.slots`` the exchanges in flight, ``<set>.<sink>.cursor`` how far a sink has come.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LOCK = ".lock"
"""The end of a lock file's name."""


def new_set() -> str:
    """Return the name of a new set; names sort by their process's start."""
    return f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}"


def segment(name: str, number: int) -> str:
    """Return the file name of segment *number* of set *name*."""
    return f"{name}.{number}.segment"


def slots(name: str, number: int) -> str:
    """Return the file name of slot file *number* of set *name*."""
    return f"{name}.{number}.slots"


def cursor(name: str, key: str) -> str:
    """Return the file name of the cursor of the sink with *key* in set *name*."""
    return f"{name}.{key}.cursor"


def numbers(names: Iterable[str], name: str, kind: str) -> list[int]:
    """Return the sorted numbers of the files of *kind* (``segment``, ``slots``) of set *name*."""
    found = []
    for file in names:
        owner, _, rest = file.partition(".")
        number, _, end = rest.partition(".")
        if owner == name and end == kind and number.isdecimal():
            found.append(int(number))
    return sorted(found)


def belonging(names: Iterable[str], name: str) -> list[str]:
    """Return the files of set *name* in the order to remove them: segments first, the lock last.

    A cursor goes after the segments it speaks of, else they would be delivered again.
    """
    rank = {"segment": 0, "slots": 1, "cursor": 2, "lock": 3}
    mine = [file for file in names if file.partition(".")[0] == name]
    return sorted(mine, key=lambda file: rank.get(file.rpartition(".")[2], 1))
