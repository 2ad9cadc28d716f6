"""Spools: what a framework keeps of an upload stays in memory, and is closed with its exchange.

`tempfile.SpooledTemporaryFile` is changed in place, so it does not matter who imported it before.
Inside an exchange it never rolls over to a file; whoever needs a descriptor gets one of anonymous
memory. A leaving exchange closes every spool it opened, whatever became of its handler.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from zeroret.content.flight import CURRENT
from zeroret.guards.patches import Patches
from zeroret.guards.paths import resolved, within
from zeroret.guards.tiers import Tier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from zeroret.content.boundary import Boundary
    from zeroret.content.flight import Flight

PATCHES: Final = Patches("spools")
"""The temporary files of the standard library, and those of frameworks that have their own."""

_SIZE: Final = "_zeroret_size"
"""On a spool that is kept in memory: the size at which it was to roll over."""

_local: Final = threading.local()
_open: Final[dict[Flight, WeakSet[Any]]] = {}


def enclosing() -> Flight | None:
    """Return the exchange in which uploads have to stay in memory now, if there is one."""
    flight = CURRENT.get()
    return flight if PATCHES.active and flight is not None and flight.boundary.enforce else None


def keep(spool: Any, flight: Flight) -> None:
    """Have *spool* closed when *flight* ends; what comes after its end is not kept track of."""
    _open.setdefault(flight, WeakSet()).add(spool)
    # Asked after, so that an end in between leaves nothing behind without a lock.
    if flight.ended is not None:
        _open.pop(flight, None)


def release(flight: Flight) -> None:
    """Close every spool that *flight* has left open. Never raises."""
    spools = _open.pop(flight, None)
    if spools is None:
        return
    for spool in list(spools):
        with suppress(Exception):  # a view of its buffer may be exported still
            spool.close()


def hand_over(flight: Flight) -> None:
    """Leave what *flight* opened to whoever has it: a server sends a file after the exchange."""
    _open.pop(flight, None)


def memory_file(
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    *,
    errors: str | None = None,
) -> Any:
    """Return an open file of anonymous memory, as `tempfile.TemporaryFile` returns one of a disk.

    It has a descriptor where the system has memory files (Linux).
    """
    if not hasattr(os, "memfd_create"):
        data = io.BytesIO()
        return data if "b" in mode else io.TextIOWrapper(data, encoding, errors, newline)
    descriptor = os.memfd_create("zeroret", os.MFD_CLOEXEC)
    return os.fdopen(descriptor, mode, buffering, encoding, errors, newline)


@contextmanager
def _in_memory() -> Iterator[None]:
    """Have temporary files of this thread be memory files."""
    before = getattr(_local, "in_memory", False)
    _local.in_memory = True
    try:
        yield
    finally:
        _local.in_memory = before


@PATCHES.when_imported("tempfile")
def _tempfile(module: ModuleType) -> None:
    PATCHES.replace(module.SpooledTemporaryFile, "__init__", _initialising)
    PATCHES.replace(module.SpooledTemporaryFile, "rollover", _rolling)
    PATCHES.replace(module.SpooledTemporaryFile, "truncate", _truncating)
    PATCHES.replace(module, "TemporaryFile", _temporary)


def _initialising(original: Any) -> Any:
    @wraps(original)
    def init(self: Any, max_size: int = 0, *args: Any, **options: Any) -> None:
        flight = enclosing()
        if flight is None:
            original(self, max_size, *args, **options)
            return
        # Told as its limit too: Starlette hands writes past it to a thread.
        original(self, sys.maxsize, *args, **options)
        setattr(self, _SIZE, max_size)
        keep(self, flight)

    return init


def _rolling(original: Any) -> Any:
    @wraps(original)
    def rollover(self: Any) -> None:
        if enclosing() is None and not hasattr(self, _SIZE):
            original(self)
            return
        with _in_memory():
            original(self)

    return rollover


def _truncating(original: Any) -> Any:
    @wraps(original)
    def truncate(self: Any, size: int | None = None) -> Any:
        # A file grows to the size, a buffer does not: Python rolls over first.
        if size is not None and size > getattr(self, _SIZE, size):
            position = self.tell()
            if size > self.seek(0, os.SEEK_END):
                self.rollover()
            self.seek(position)
        return original(self, size)

    return truncate


def _temporary(original: Any) -> Any:
    @wraps(original)
    def temporary_file(  # noqa: PLR0913, PLR0917 - the arguments of the original
        mode: str = "w+b",
        buffering: int = -1,
        encoding: str | None = None,
        newline: str | None = None,
        suffix: Any = None,
        prefix: Any = None,
        dir: Any = None,  # noqa: A002 - likewise
        *,
        errors: str | None = None,
    ) -> Any:
        flight = enclosing()
        if not (getattr(_local, "in_memory", False) or _diskless(flight, dir)):
            return original(mode, buffering, encoding, newline, suffix, prefix, dir, errors=errors)
        file = memory_file(mode, buffering, encoding, newline, errors=errors)
        if flight is not None:
            keep(file, flight)
        return file

    return temporary_file


def _diskless(flight: Flight | None, folder: Any) -> bool:
    """Tell whether a temporary file may not be made in *folder*."""
    if flight is None:
        return False
    place = folder if folder is not None else tempfile.gettempdir()
    return not within(resolved(place), flight.boundary.writable)


@PATCHES.when_imported("django.core.files.uploadedfile")
def _django_files(module: ModuleType) -> None:
    import_module("zeroret.integrations.django_uploads").watch_files(module)


@PATCHES.when_imported("django.core.files.uploadhandler")
def _django_handlers(module: ModuleType) -> None:
    import_module("zeroret.integrations.django_uploads").watch_handlers(module)


def install() -> None:
    """Keep the spools of exchanges in memory; each call needs its `uninstall`."""
    PATCHES.install()


def uninstall() -> None:
    """Undo one `install`; the last one leaves `tempfile` as it was."""
    PATCHES.uninstall()


def tiers(boundary: Boundary) -> dict[str, Tier]:
    """Return what the posture says of uploads."""
    if PATCHES.troubles:
        names = ", ".join(sorted(PATCHES.troubles))
        return {"uploads": Tier("watched", f"of another shape than known: {names}")}
    if boundary.enforce:
        return {"uploads": Tier("closed", "spools stay in memory and close with their exchange")}
    return {"uploads": Tier("watched", "spools that roll over to a file are counted")}
