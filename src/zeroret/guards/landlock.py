"""Landlock: the kernel refuses writes outside a list of paths, to this process and all it starts.

It holds for C extensions, children and root alike, survives `exec` and cannot be undone. Not
covered: descriptors that are open already, anonymous memory, reads, and threads that run already.

Spec: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_NO_NEW_PRIVS: Final = 38

_ON_FILES: Final = 1 << 1 | 1 << 14
"""Rights that a single file can have: write, truncate."""

_WRITES: Final = _ON_FILES | sum(1 << bit for bit in range(4, 14))
"""Write and truncate files, remove and make entries of every kind, move between folders."""

_KNOWN: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1}
"""Rights that old versions know, by ABI; version 3 knows all of ours."""

PROBE: Final = "/proc/self/comm"
"""A file that every process may write, and none does: only Landlock refuses to open it."""

_REASONS: Final = {
    errno.ENOSYS: "this kernel has no Landlock: Linux 5.13 and later may",
    errno.EOPNOTSUPP: "this kernel has Landlock switched off: boot it with landlock among lsm=",
    errno.EPERM: "a seccomp filter, a container's perhaps, forbids Landlock",
}


class UnavailableError(Exception):
    """Landlock cannot be used here; the text says why."""


def abi() -> int:
    """Return the version of Landlock that this kernel offers, from 1 on.

    Raises:
        UnavailableError: it offers none.
    """
    return _syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)


def restrict(paths: Iterable[str]) -> None:
    """Have the kernel refuse this process every write but to *paths* and what lies beneath them.

    Paths are files, or folders with all they hold; what a path leads to counts, not its name.

    Raises:
        UnavailableError: the kernel refuses to.
        OSError: one of *paths* is not there.
    """
    handled = _WRITES & _KNOWN.get(abi(), _WRITES)
    attributes = ctypes.c_uint64(handled)
    ruleset = _syscall(
        _CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(ctypes.sizeof(attributes)), 0
    )
    try:
        for path in paths:
            _allow(ruleset, path, handled)
        if _libc().prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise UnavailableError(os.strerror(ctypes.get_errno()))
        _syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def is_active() -> bool:
    """Tell whether Landlock refuses this process to write; asked by opening a harmless file."""
    try:
        descriptor = os.open(PROBE, os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        return error.errno == errno.EACCES and _may_write_probe()
    except (AttributeError, ValueError):  # no POSIX
        return False
    os.close(descriptor)
    return False


def _may_write_probe() -> bool:
    """Tell whether the file's own mode lets us write it: then it was Landlock that did not."""
    return os.geteuid() in (0, Path(PROBE).stat().st_uid)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def _allow(ruleset: int, path: str, handled: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        allowed = handled if is_folder else handled & _ON_FILES
        rule = _PathBeneath(allowed, descriptor)
        _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *arguments: Any) -> int:
    if sys.platform != "linux":
        raise UnavailableError(f"Landlock is Linux's; this is {sys.platform}")
    result: int = _libc().syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise UnavailableError(_REASONS.get(code, os.strerror(code)))
    return result
