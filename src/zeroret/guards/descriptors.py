"""Descriptors: writes to standard output and error that go past their streams.

No audit event tells of them, so the functions of `os` are replaced, and of `posix`, where they come
from. C code, a duplicate of the descriptor, and who imported the function before are out of reach.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.flight import CURRENT, LAST
from zeroret.content.live import LIVE
from zeroret.guards import streams
from zeroret.guards.patches import Patches
from zeroret.guards.writing import Writing, decided

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

PATCHES: Final = Patches("stdio")
"""The functions of `os`, while the guard is in."""

STANDARD: Final = frozenset({1, 2})
"""The descriptors of standard output and error."""


@PATCHES.when_imported("os")
@PATCHES.when_imported("posix")
def _watch_os(module: ModuleType) -> None:
    PATCHES.replace(module, "write", _writing)
    if hasattr(module, "writev"):
        PATCHES.replace(module, "writev", _writing_many)
    if hasattr(module, "fdopen"):
        PATCHES.replace(module, "fdopen", _opening)


def _opening(original: Callable[..., Any]) -> Callable[..., Any]:
    """Guard the streams that are opened on the standard descriptors."""

    @wraps(original)
    def fdopen(fd: Any, *args: Any, **options: Any) -> Any:
        stream = original(fd, *args, **options)
        return streams.guarded(stream) if PATCHES.active and fd in STANDARD else stream

    return fdopen


def _writing(original: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
    get, last, live = CURRENT.get, LAST.get, LIVE

    @wraps(original)
    def write(fd: int, data: Any, /) -> int:
        if fd not in STANDARD or (get() is None and last() is None and not live.busy):
            return original(fd, data)
        return _write(original, fd, data)

    return write


def _writing_many(original: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
    get, last, live = CURRENT.get, LAST.get, LIVE

    @wraps(original)
    def writev(fd: int, buffers: Any, /) -> int:
        if fd not in STANDARD or (get() is None and last() is None and not live.busy):
            return original(fd, buffers)
        return _write(lambda fd, data: original(fd, [data]), fd, b"".join(buffers))

    return writev


def _write(original: Callable[[int, Any], int], fd: int, data: Any) -> int:
    if not PATCHES.active:
        return original(fd, data)
    given = data if isinstance(data, bytes) else memoryview(data).tobytes()
    ours = sys._getframe().f_back  # noqa: SLF001 - the documented way to the caller's frame
    frame = None if ours is None else ours.f_back
    shown, writing = decided(given, frame, Writing.one)
    written = original(fd, shown)
    if writing is not None:
        writing.tell()
    return written if shown is given else len(given)
