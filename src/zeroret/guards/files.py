"""Files: inside an exchange nothing is opened for writing that ``writable=[…]`` does not name.

The audit hook sees every open of the interpreter and of the standard library's C code. Names count
as content, too: making a folder or a link, or renaming, is judged by the name that is made.
"""

from __future__ import annotations

import os
import threading
from functools import wraps
from operator import index
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import acting, audit, databases, surroundings
from zeroret.guards.crossings import judged
from zeroret.guards.patches import Patches
from zeroret.guards.paths import created, is_relative, resolved, within
from zeroret.guards.tiers import Tier

if TYPE_CHECKING:
    from types import ModuleType

    from zeroret.content.boundary import Boundary
    from zeroret.content.flight import Flight

PATCHES: Final = Patches("files")
"""Ways to make a file that raise no audit event."""

WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
"""Flags of `os.open` that let something be written; ``O_TMPFILE`` needs one of the first two."""

_WRITING_MODES: Final = frozenset("wax+")
_HIGHEST_DESCRIPTOR: Final = 2**31 - 1
_SHARED_MEMORY: Final = "/dev/shm/"  # noqa: S108 - where POSIX shared memory stands, not a place of ours


class _Opening(threading.local):
    """What `os.open` of this thread opens just now."""

    path: Any = None
    folder = -1
    """The descriptor of the folder that a relative path starts from; -1 for the current one."""


_opening: Final = _Opening()


def folder_of(path: object) -> int | None:
    """Return the descriptor that `os.open` starts *path* from, or -1; None if it opens another."""
    return _opening.folder if _opening.path is path else None


def opens_to_write(args: tuple[Any, ...]) -> bool:
    """Tell of the arguments of an ``open`` event whether they let something be written."""
    _, mode, flags = args
    if flags & WRITING:
        return True
    # Who gives no flags opens through C's fopen(), whose mode says it.
    return not flags and mode is not None and not _WRITING_MODES.isdisjoint(mode)


def _open_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    path, mode, _ = args
    if isinstance(path, int) and 0 <= int(path) <= _HIGHEST_DESCRIPTOR:
        return True  # what is open already is no new way out
    folder = folder_of(path)
    if folder is None and mode is None and is_relative(path):
        return False  # the event does not say where the path starts
    real = resolved(path, -1 if folder is None else folder)
    return real == os.devnull or within(real, flight.boundary.writable)


def _truncate_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    return isinstance(args[0], int) or within(resolved(args[0]), flight.boundary.writable)


def _attribute_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    return within(resolved(args[0]), flight.boundary.writable)


def _folder_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    path, _, folder = args
    return within(created(path, folder), flight.boundary.writable)


def _rename_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    _, target, _, folder = args
    return within(created(target, folder), flight.boundary.writable)


def _link_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    # What is written through a hard link is written to the file it was made of.
    source, target, source_folder, folder = args
    writable = flight.boundary.writable
    return within(resolved(source, source_folder), writable) and within(
        created(target, folder), writable
    )


def _symlink_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    # Where it leads is judged when it is followed.
    _, target, folder = args
    return within(created(target, folder), flight.boundary.writable)


def _has_path(args: tuple[Any, ...]) -> bool:
    _, address = args
    return isinstance(address, str | bytes) and os.fsencode(address)[:1] not in (b"", b"\0")


def _socket_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    return within(created(args[1]), flight.boundary.writable)


EVENTS: Final = {
    "open": judged("file", _open_allowed, opens_to_write),
    "os.truncate": judged("file", _truncate_allowed),
    "os.setxattr": judged("file", _attribute_allowed),
    "os.mkdir": judged("file", _folder_allowed),
    "socket.bind": judged("file", _socket_allowed, _has_path),
    "os.rename": judged("file", _rename_allowed),
    "os.link": judged("file", _link_allowed),
    "os.symlink": judged("file", _symlink_allowed),
    **databases.EVENTS,
    **surroundings.EVENTS,
}
"""The audit events that are judged; `shutil` and `tempfile` raise these beside their own."""


_judge_made: Final = judged("file", _folder_allowed)


@PATCHES.when_imported("os")
@PATCHES.when_imported("posix")
def _opens(module: ModuleType) -> None:
    """Note the folder that `os.open` starts from, which its event does not tell."""

    def make(original: Any) -> Any:
        @wraps(original)
        def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: Any = None) -> int:
            if not PATCHES.active:
                return original(path, flags, mode, dir_fd=dir_fd)  # type: ignore[no-any-return] # as it came
            folder = None if dir_fd is None else index(dir_fd)
            before = _opening.path, _opening.folder
            _opening.path, _opening.folder = path, -1 if folder is None else folder
            try:
                return original(path, flags, mode, dir_fd=folder)  # type: ignore[no-any-return] # likewise
            finally:
                _opening.path, _opening.folder = before

        known: set[Any] = getattr(module, "supports_dir_fd", set())
        known.add(open_)
        return open_

    PATCHES.replace(module, "open", make)


@PATCHES.when_imported("os")
def _special_files(module: ModuleType) -> None:
    """Judge the names of pipes and devices, which raise no event."""

    def make(original: Any) -> Any:
        @wraps(original)
        def made(path: Any, *args: Any, dir_fd: int | None = None, **options: Any) -> Any:
            if PATCHES.active:
                _judge_made((path, 0, -1 if dir_fd is None else dir_fd))
            return original(path, *args, dir_fd=dir_fd, **options)

        return made

    for name in ("mkfifo", "mknod"):
        if hasattr(module, name):
            PATCHES.replace(module, name, make)


def _memory_to_write(args: tuple[Any, ...]) -> bool:
    return bool(args[1] & WRITING)


def _memory_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    return within(resolved(_SHARED_MEMORY + args[0].lstrip("/")), flight.boundary.writable)


_judge_memory: Final = judged("file", _memory_allowed, _memory_to_write)


@PATCHES.when_imported("_posixshmem")
def _shared_memory(module: ModuleType) -> None:
    """Judge shared memory, which outlives the process and belongs to every process that asks."""

    def make(original: Any) -> Any:
        def shm_open(path: str, flags: int, mode: int = 0o777) -> Any:
            if PATCHES.active:
                _judge_memory((path, flags))
            return original(path, flags, mode)

        return shm_open

    PATCHES.replace(module, "shm_open", make)


def _dbm_to_write(args: tuple[Any, ...]) -> bool:
    return not str(args[1]).startswith("r")


_judge_dbm: Final = judged("file", _attribute_allowed, _dbm_to_write)


@PATCHES.when_imported("dbm.gnu")
@PATCHES.when_imported("dbm.ndbm")
def _dbm(module: ModuleType) -> None:
    """Judge the dbm files that C libraries open themselves; `shelve` comes by here."""

    def make(original: Any) -> Any:
        def open_(filename: Any, flags: str = "r", mode: int = 0o666) -> Any:
            if PATCHES.active:
                _judge_dbm((filename, flags))
            return original(filename, flags, mode)

        return open_

    PATCHES.replace(module, "open", make)


def install() -> None:
    """Watch for files that are opened for writing; each call needs its `uninstall`."""
    PATCHES.install()
    databases.PATCHES.install()
    acting.install()
    for event, handler in EVENTS.items():
        audit.register(event, handler)


def uninstall() -> None:
    """Undo one `install`; after the last one nothing is judged, and the hook is inert."""
    if not PATCHES.active:
        return
    for event, handler in EVENTS.items():
        audit.unregister(event, handler)
    acting.uninstall()
    databases.PATCHES.uninstall()
    PATCHES.uninstall()


def tiers(boundary: Boundary) -> dict[str, Tier]:
    """Return what the posture says of files, and of what no event tells."""
    troubles = sorted({**PATCHES.troubles, **databases.PATCHES.troubles})
    if not audit.listening():
        files = Tier("out of reach", "another audit hook of this process kept ours out")
    elif troubles:
        files = Tier("watched", f"of another shape than known: {', '.join(troubles)}")
    elif boundary.enforce:
        files = Tier("closed", "opening a file for writing outside writable=[…] is refused")
    else:
        files = Tier("watched", "files opened for writing outside writable=[…] are counted")
    return {
        "files": files,
        "open descriptors": Tier(
            "out of reach",
            "writes to what is open already, and files that native code opens, raise no event",
        ),
    }
