"""The process: what a core dump, its memory and its own writes may show, and to whom.

`install` refuses core dumps and other users' debuggers; `zeroret run` sets what must stand before
the program starts. What the posture says is read back from the process, not taken on trust.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import landlock
from zeroret.guards.tiers import Tier

if TYPE_CHECKING:
    from zeroret.content.boundary import Boundary

STATE: Final = "RUN_BY_ZERORET"
"""The variable in which `zeroret run` tells the program what it has set: JSON, no content.

It does not begin like an option, so that no option yet to come can be taken for its typo."""

CORE_PATTERN: Final = Path("/proc/sys/kernel/core_pattern")

_GET_DUMPABLE: Final = 3
_SET_DUMPABLE: Final = 4
_UNDUMPABLE: Final = 0
_DUMPABLE: Final = 1
_FRESH: Final = b"\xcd"
"""What Python's debug allocator fills new memory with."""

_PROBED: Final = 64


class _Process:
    """What `install` found and changed in this process."""

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()
        self.was_dumpable = False
        self.writes_are_refused = False
        self.frees_are_overwritten = False

    def renew(self) -> None:
        """Have a lock of this process: the parent's may be held for ever."""
        self.lock = threading.Lock()


_process: Final = _Process()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.renew)


def install() -> None:
    """Refuse core dumps, and memory to other processes of this user; each call is counted."""
    with _process.lock:
        _process.count += 1
        if _process.count > 1:
            return
        # Before it is undumpable: its own files in /proc become root's then.
        _process.writes_are_refused = landlock.is_active()
        _process.frees_are_overwritten = overwrites_freed_memory()
        _process.was_dumpable = dumpable() == _DUMPABLE
        if _process.was_dumpable:
            _prctl(_SET_DUMPABLE, _UNDUMPABLE)


def uninstall() -> None:
    """Undo one `install`; the last one lets the process be dumped again, if it was before."""
    with _process.lock:
        if _process.count == 0:
            return
        _process.count -= 1
        if _process.count == 0 and _process.was_dumpable:
            _prctl(_SET_DUMPABLE, _DUMPABLE)


def tiers(_: Boundary) -> dict[str, Tier]:
    """Return what the posture says of the process."""
    return {
        "core dumps": _core_dumps(),
        "memory": _memory(),
        "writes": _writes(),
        "debugger": Tier(
            "out of reach", "root, and whoever has its rights, can read the memory of any process"
        ),
    }


def dumpable() -> int | None:
    """Return whether the kernel dumps this process (1), or not (0, or 2: for root alone)."""
    return _prctl(_GET_DUMPABLE, 0)


def overwrites_freed_memory() -> bool:
    """Tell whether Python fills memory when it is given out, and so when it is freed (PEP 445).

    Asked of the allocator itself, since ``PYTHONMALLOC`` is ignored by ``python -E`` and ``-I``.
    """
    malloc = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)
    release = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
    try:
        allocate = malloc(("PyObject_Malloc", ctypes.pythonapi))
        free = release(("PyObject_Free", ctypes.pythonapi))
        address = allocate(_PROBED)
        try:
            return ctypes.string_at(address, _PROBED) == _FRESH * _PROBED
        finally:
            free(address)
    except (AttributeError, OSError):  # not CPython's own library
        return False


def piped_dumps() -> bool:
    """Tell whether the kernel hands core dumps to a program, which no limit on size stops."""
    try:
        return CORE_PATTERN.read_bytes().startswith(b"|")
    except OSError:
        return False


def told() -> dict[str, Any]:
    """Return what `zeroret run` told this process; nothing if it was not started by it."""
    try:
        state = json.loads(os.environ.get(STATE, "{}"))
    except ValueError:
        return {}
    return state if isinstance(state, dict) else {}


def _core_dumps() -> Tier:
    if dumpable() == _UNDUMPABLE:
        return Tier("closed", "the kernel writes none and hands none on (PR_SET_DUMPABLE 0)")
    if _core_limit() != 0:
        return Tier("out of reach", "the kernel may write one; start with zeroret run")
    if piped_dumps():
        return Tier("out of reach", f"{CORE_PATTERN} hands them to a program, whatever the limit")
    return Tier("closed", "the kernel writes none (RLIMIT_CORE 0)")


def _core_limit() -> int | None:
    try:
        import resource
    except ImportError:  # not POSIX
        return None
    return resource.getrlimit(resource.RLIMIT_CORE)[0]


def _memory() -> Tier:
    if _process.frees_are_overwritten:
        return Tier(
            "watched",
            "Python overwrites what it frees; what libraries in C free, and what an open "
            "connection still holds, stays: about 1 request of 20 left a copy when measured",
        )
    return Tier(
        "out of reach",
        "what is freed stays until it is used again; start with zeroret run --harden",
    )


def _writes() -> Tier:
    if not _process.writes_are_refused:
        return Tier("off", "the kernel refuses no writes; start with zeroret run --harden")
    folders = told().get("writable")
    named = ", ".join(map(str, folders)) if isinstance(folders, list) else "what it was told"
    return Tier("closed", f"the kernel refuses to open for writing outside {named} (Landlock)")


def _prctl(option: int, value: int) -> int | None:
    """Ask Linux about this process, or tell it; None where that is not possible."""
    if sys.platform != "linux":
        return None
    result: int = ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    return result if result >= 0 else None
