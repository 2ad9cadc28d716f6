"""A temporary folder for one program alone: in memory where that can be, gone when it is.

Nobody is left to remove it when a program that replaced us ends. So the folder stays locked by a
descriptor that the program and its children inherit, and the next start removes what nobody locks.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - asked for, and what is made in it is private
"""Where files are memory, on Linux."""

_PREFIX: Final = "zeroret-"
_UNLOCKED: Final = ".zeroret-"
_PRIVATE: Final = 0o700


def place() -> Path:
    """Return where `make` makes the folder: in memory, else where temporary files go."""
    in_memory = MEMORY.is_dir() and os.access(MEMORY, os.W_OK | os.X_OK)
    return MEMORY if in_memory else Path(tempfile.gettempdir())


def make() -> Path:
    """Make a folder with mode 0700, locked as long as this program or a child of it lives.

    Raises:
        OSError: it cannot be made or locked.
    """
    import fcntl

    parent = place()
    _remove_unlocked(parent)
    name = secrets.token_hex(8)
    made = parent / f"{_UNLOCKED}{name}"  # not its name yet, so that nobody takes it for abandoned
    made.mkdir(mode=_PRIVATE)
    descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.set_inheritable(descriptor, True)
    return made.rename(parent / f"{_PREFIX}{name}")


def _remove_unlocked(parent: Path) -> None:
    """Remove folders of ours whose programs are gone."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            _remove(folder)


def _remove(folder: Path) -> None:
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
    finally:
        os.close(descriptor)
