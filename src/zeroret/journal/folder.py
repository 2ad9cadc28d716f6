"""The journal's directory: private, ours, and never reached through a link."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from zeroret.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

FILE_MODE: Final = 0o600
"""The mode of every file the journal makes."""

_DIRECTORY_MODE: Final = 0o700
_OPEN: Final = os.O_NOFOLLOW | os.O_CLOEXEC

_gate: Final = threading.Lock()
"""Held while a lock is taken and while the process forks: no child inherits a lock unseen."""

os.register_at_fork(
    before=_gate.acquire, after_in_parent=_gate.release, after_in_child=_gate.release
)


class Folder:
    """An open directory; files are named relative to it, so that swapping its path changes nothing.

    Raises `ConfigurationError` when the directory cannot be made or is not private to this user.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
        except OSError as error:
            raise ConfigurationError(_unusable(path, error)) from None
        try:
            _refuse_shared(path, os.fstat(self._fd))
        except ConfigurationError:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Close the directory; using it afterwards raises OSError."""
        fd, self._fd = self._fd, -1  # the number will soon be another file's
        with suppress(OSError):
            os.close(fd)

    def open(self, name: str, flags: int) -> int:
        """Open a file of this directory, 0600 if *flags* create it; raises OSError."""
        return os.open(name, flags | _OPEN, FILE_MODE, dir_fd=self._fd)

    def sync(self) -> None:
        """Have the names in this directory on the disk; raises OSError."""
        os.fsync(self._fd)

    def names(self) -> list[str]:
        """Return the names in this directory."""
        # A descriptor of its own: the read position would be shared between threads and forks.
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | _OPEN, dir_fd=self._fd)
        try:
            return os.listdir(fd)  # noqa: PTH208 - of a descriptor, which no path names
        finally:
            os.close(fd)

    def unlink(self, name: str) -> None:
        """Remove a file; one that is gone already is no error."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def lock(self, name: str, *, create: bool = False) -> int | None:
        """Return a descriptor that holds the exclusive lock on file *name*, or None.

        None means that somebody else holds it, or that its holder has just removed it.
        """
        flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if create else 0)
        with _gate:
            try:
                fd = self.open(name, flags)
            except (FileExistsError, FileNotFoundError):
                return None
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                there = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
            except (BlockingIOError, FileNotFoundError):
                os.close(fd)
                return None
            except OSError:
                os.close(fd)
                raise
            if not os.path.samestat(there, os.fstat(fd)):
                os.close(fd)
                return None
            return fd


def _unusable(path: Path, error: OSError) -> str:
    if path.is_symlink():
        return (
            f"the journal directory {path} is a symbolic link: write the directory it points to, "
            f"as journal={str(path.resolve())!r}"
        )
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return (
        f"the journal directory {path} cannot be used ({reason}): "
        "give journal= a directory that this user may create and write"
    )


def _refuse_shared(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise ConfigurationError(
            f"the journal directory {path} belongs to user {status.st_uid}, not to the user "
            f"{os.geteuid()} that runs this process: chown it, or give journal= another directory"
        )
    if status.st_mode & stat.S_IWOTH:
        raise ConfigurationError(
            f"the journal directory {path} is writable by everybody: run  chmod 700 {path}  "
            "or give journal= another directory"
        )
