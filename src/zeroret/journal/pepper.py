"""The installation's pepper: 32 random bytes that make its pseudonyms its own."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Final, Literal

from zeroret.errors import ConfigurationError
from zeroret.journal.folder import FILE_MODE, Folder

PEPPER_BYTES: Final = 32
"""The length of a pepper."""

_FILE: Final = "pepper"
_memory: Final = os.urandom(PEPPER_BYTES)


def pepper(directory: Path | Literal["memory"]) -> bytes:
    """Return the pepper kept in *directory*, made at the first call; any process gets the same.

    For ``"memory"`` it is random and lasts as long as the process. Raises `ConfigurationError`
    when the directory is not private to this user, or the file is not a pepper.
    """
    if directory == "memory":
        return _memory
    folder = Folder(Path(directory))
    try:
        fd = folder.open(_FILE, os.O_RDWR | os.O_CREAT)
        try:
            return _read_or_make(fd, Path(directory, _FILE))
        finally:
            os.close(fd)
    except OSError as error:
        raise ConfigurationError(
            f"the pepper {Path(directory, _FILE)} cannot be used ({type(error).__name__}): it has "
            "to be a plain file that this user may read and write"
        ) from None
    finally:
        folder.close()


def _refuse_shared(path: Path, status: os.stat_result) -> None:
    """Refuse a pepper that others may have made: who knows it can guess credentials."""
    if not stat.S_ISREG(status.st_mode):
        raise OSError("no plain file")
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(
            f"the pepper {path} may be written by others than user {os.geteuid()}, who runs this "
            "process: if you trust what it holds, run  chown  and  chmod 600  on it; if not, "
            "remove it, which gives every key a new key_id"
        )


def _read_or_make(fd: int, path: Path) -> bytes:
    _refuse_shared(path, os.fstat(fd))
    os.fchmod(fd, FILE_MODE)  # one restored from a copy may be readable by others
    # Under the lock a short file can only be one whose maker was killed: nobody has used it.
    fcntl.flock(fd, fcntl.LOCK_EX)
    data = os.pread(fd, PEPPER_BYTES + 1, 0)
    if len(data) < PEPPER_BYTES:
        data = os.urandom(PEPPER_BYTES)
        os.ftruncate(fd, 0)
        if os.pwrite(fd, data, 0) != PEPPER_BYTES:
            raise OSError("short write")
        os.fsync(fd)
    if len(data) != PEPPER_BYTES:
        raise ConfigurationError(
            f"{path} is not a pepper of {PEPPER_BYTES} bytes: restore it, or remove it, which "
            "gives every key a new key_id"
        )
    return data
