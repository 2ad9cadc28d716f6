"""Descriptors: writes to standard output and error that go past their streams.

No audit event tells of them, so the functions of `os` are replaced, and of `posix`, where they come
from. They judge what is written to 1 and 2, and to every other number that leads there. C code, and
who imported the function before, are out of reach.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import wraps
from operator import index
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.flight import CURRENT, LAST
from zeroret.content.live import LIVE
from zeroret.errors import RetentionViolation
from zeroret.guards import reopening, streams, tally
from zeroret.guards.crossings import judged
from zeroret.guards.patches import Patches
from zeroret.guards.records import GUARD_ERROR
from zeroret.guards.standard import is_standard
from zeroret.guards.writing import Writing, decided

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from zeroret.content.flight import Flight

PATCHES: Final = Patches("stdio")
"""The functions of `os`, while the guard is in."""

_FAILED: Final = GUARD_ERROR.encode() + b"\n"

_REFUSED: Final = "refused, since the guard that was to judge it failed"

_COPYING: Final = {"sendfile": (0, "out_fd"), "splice": (1, "dst"), "copy_file_range": (1, "dst")}
"""What has the kernel write what no code of ours has seen: where they take their target."""


@PATCHES.when_imported("os")
@PATCHES.when_imported("posix")
def _watch_os(module: ModuleType) -> None:
    PATCHES.replace(module, "write", _writing)
    for name in ("writev", "pwrite", "pwritev"):
        if hasattr(module, name):
            PATCHES.replace(module, name, _writing_many if name.endswith("v") else _writing_at)
    for name, (at, key) in _COPYING.items():
        if hasattr(module, name):
            PATCHES.replace(module, name, _copying(at, key))
    if hasattr(module, "fdopen"):
        PATCHES.replace(module, "fdopen", _opening)


def _opening(original: Callable[..., Any]) -> Callable[..., Any]:
    """Guard the streams that are opened on the standard descriptors."""

    @wraps(original)
    def fdopen(fd: Any, *args: Any, **options: Any) -> Any:
        if not PATCHES.active or not isinstance(fd, int) or not is_standard(fd):
            return original(fd, *args, **options)
        with reopening.guarded_by_caller():
            stream = original(fd, *args, **options)
        try:
            return streams.guarded(stream)
        except Exception:  # noqa: BLE001 - it must not be had unguarded
            tally.failed("stdio")
        raise RetentionViolation(_REFUSED)

    return fdopen


def _writing(original: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
    get, last, live = CURRENT.get, LAST.get, LIVE

    @wraps(original)
    def write(fd: int, data: Any, /) -> int:
        if (get() is None and last() is None and not live.busy) or not is_standard(fd := index(fd)):
            return original(fd, data)
        return _write(lambda shown: original(fd, shown), data)

    return write


def _writing_many(original: Callable[..., int]) -> Callable[..., int]:
    get, last, live = CURRENT.get, LAST.get, LIVE

    @wraps(original)
    def writev(fd: int, buffers: Any, /, *where: int) -> int:
        if (get() is None and last() is None and not live.busy) or not is_standard(fd := index(fd)):
            return original(fd, buffers, *where)
        return _write(lambda shown: original(fd, [shown], *where), b"".join(buffers))

    return writev


def _writing_at(original: Callable[[int, Any, int], int]) -> Callable[[int, Any, int], int]:
    get, last, live = CURRENT.get, LAST.get, LIVE

    @wraps(original)
    def pwrite(fd: int, data: Any, offset: int, /) -> int:
        if (get() is None and last() is None and not live.busy) or not is_standard(fd := index(fd)):
            return original(fd, data, offset)
        return _write(lambda shown: original(fd, shown, offset), data)

    return pwrite


def _unguarded(_args: tuple[Any, ...], flight: Flight) -> bool:
    return flight.log_guard == "none"


def _leads_out(args: tuple[Any, ...]) -> bool:
    return isinstance(args[0], int) and is_standard(args[0])


_judge_copy: Final = judged("stdio", _unguarded, _leads_out, exempts=False)


def _copying(at: int, key: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Refuse to have the kernel copy to a standard descriptor: the argument *at*, or *key*."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def copy(*args: Any, **options: Any) -> Any:
            if PATCHES.active:
                _judge_copy((args[at] if len(args) > at else options.get(key),))
            return original(*args, **options)

        return copy

    return make


def _write(original: Callable[[Any], int], data: Any) -> int:
    if not PATCHES.active:
        return original(data)
    try:
        given = data if isinstance(data, bytes) else memoryview(data).tobytes()
    except (TypeError, BufferError):
        return original(data)  # which raises what it raises
    writing: Writing | None
    try:
        ours = sys._getframe().f_back  # noqa: SLF001 - the documented way to the caller's frame
        shown, writing = decided(given, None if ours is None else ours.f_back, Writing.one)
    except Exception:  # noqa: BLE001 - fails closed
        tally.failed("stdio")
        shown, writing = _FAILED, None
    written = original(shown)
    if writing is not None:
        with suppress(Exception):  # what is told of it must not become an error
            writing.tell()
    return written if shown is given else len(given)
