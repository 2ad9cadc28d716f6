"""Reopening: standard output and error, opened anew past the streams that are guarded.

Inside an exchange that is refused. Streams that the program opened before the start, or where no
exchange ran, are found among the interpreter's objects and guarded like `sys.stdout`.
"""

from __future__ import annotations

import gc
import io
import mmap
import threading
from contextlib import contextmanager
from itertools import compress
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.flight import CURRENT
from zeroret.guards import audit, streams, tally
from zeroret.guards.acting import exempt
from zeroret.guards.crossings import judged
from zeroret.guards.files import folder_of, opens_to_write
from zeroret.guards.standard import is_standard, is_standard_path, is_standard_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeroret.content.flight import Flight

_KINDS: Final = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom, io.FileIO)
"""Streams on descriptors, the outermost first: one guards what lies below it, too."""


class _State(threading.local):
    guarding = False
    """Whether what this thread opens is guarded by who opens it."""


_state: Final = _State()
_unseen: Final[list[bool]] = []
"""Not empty if something was opened that nobody guards yet."""


@contextmanager
def guarded_by_caller() -> Iterator[None]:
    """Let a standard descriptor be opened, since the caller guards what comes of it."""
    before, _state.guarding = _state.guarding, True
    try:
        yield
    finally:
        _state.guarding = before


def guard_all() -> None:
    """Guard every stream of this process that is open on a standard descriptor."""
    objects = gc.get_objects()
    kinds = {kind for kind in set(map(type, objects)) if issubclass(kind, _KINDS)}
    # without a step of ours for each of what may be millions
    found = list(compress(objects, map(kinds.__contains__, map(type, objects))))
    found.sort(key=lambda each: next(n for n, kind in enumerate(_KINDS) if isinstance(each, kind)))
    for each in found:
        if streams.layer_of(each) is None and is_standard_stream(each):
            streams.guarded(each)


def _leads_out(args: tuple[Any, ...]) -> bool:
    path = args[0]
    if _state.guarding or not opens_to_write(args):
        return False
    if isinstance(path, int):
        return is_standard(path)
    folder = folder_of(path)
    return is_standard_path(path, None if folder is None or folder < 0 else folder)


def _excused(args: tuple[Any, ...], flight: Flight) -> bool:
    # A log handler may have the file for its own that the shell has for standard output.
    return flight.log_guard == "none" or (not isinstance(args[0], int) and exempt())


def _maps_to_write(args: tuple[Any, ...]) -> bool:
    return args[2] not in (mmap.ACCESS_READ, mmap.ACCESS_COPY) and is_standard(args[0])


_judge_opening: Final = judged("stdio", _excused, _leads_out, exempts=False)
_judge_mapping: Final = judged("stdio", _excused, _maps_to_write, exempts=False)


def _opening(args: tuple[Any, ...]) -> None:
    if _unseen:
        _catch_up()
    if CURRENT.get() is not None:
        _judge_opening(args)
    elif isinstance(args[0], int):
        _note(args)


def _note(args: tuple[Any, ...]) -> None:
    """Have the stream guarded that is being made where no exchange runs: soon, it is not yet."""
    try:
        if _leads_out(args):
            _unseen.append(True)
    except Exception:  # noqa: BLE001 - it is no exchange's, and must not be hurt
        _unseen.append(True)


def _catch_up() -> None:
    _unseen.clear()
    try:
        guard_all()
    except Exception:  # noqa: BLE001 - who opens a file now must not be hurt
        tally.count("stdio", "failed")


EVENTS: Final = {"open": _opening, "mmap.__new__": _judge_mapping}
"""The audit events that are judged."""


def install() -> None:
    """Guard what is open, and judge what is opened from now on."""
    guard_all()
    for event, handler in EVENTS.items():
        audit.register(event, handler)


def uninstall() -> None:
    """Undo `install`; the streams themselves are left by `streams.release`."""
    for event, handler in EVENTS.items():
        audit.unregister(event, handler)
    _unseen.clear()
