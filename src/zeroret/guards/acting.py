"""Acting: whose act is it? Some writing is done by nobody's content, and always allowed.

Zeroret's own journal and sinks, the interpreter's byte-code cache, the body of a module that is
imported meanwhile, and log handlers that open or rotate their file: told by the code objects on
the stack, which only happens for an act that would otherwise be refused.
"""

from __future__ import annotations

import importlib._bootstrap as importing
import importlib._bootstrap_external as loading
import logging
import logging.handlers
import os
import sys
import tempfile
import threading
from functools import wraps
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from zeroret.content.flight import CURRENT
from zeroret.guards import audit, violations
from zeroret.guards.patches import Patches
from zeroret.guards.threads import OWN_PREFIX

if TYPE_CHECKING:
    from types import CodeType, FrameType, ModuleType

DEEPEST: Final = 64
"""How many frames of a stack are looked at."""

_OWN_ROOMS: Final = ("zeroret.journal", "zeroret.sinks")
_STANDARD: Final = os.path.dirname(os.path.abspath(os.__file__)) + os.sep  # noqa: PTH100, PTH120 - a prefix of co_filename, as text
_MOST_BEGUN: Final = 4096

PATCHES: Final = Patches("acting")
"""Looks at libraries when they come, to know their code and what they make inside exchanges."""


class _Codes(dict[int, "CodeType"]):
    """Code objects by identity: hashing one would hash all its constants."""

    def note(self, *functions: Any) -> None:
        for function in functions:
            code = getattr(function, "__code__", None)
            if code is not None:
                self[id(code)] = code

    def hold(self, code: CodeType) -> bool:
        return self.get(id(code)) is code


_writers: Final = _Codes()
"""Code that writes what is no content: byte code, the probe of a temporary folder."""

_openers: Final = _Codes()
"""Code of log handlers that opens or rotates their file."""

_of_exchanges: Final[WeakValueDictionary[int, Any]] = WeakValueDictionary()
"""Log handlers that an exchange made, by `id`: even the name of their file may be content."""

_emitters: Final = _Codes()
"""Code that hands records to handlers."""

_begun: Final[set[int]] = set()
"""The `id` of the code of each module body that began to run inside an exchange."""

_run_module: Final[CodeType | None] = getattr(
    getattr(importing, "_call_with_frames_removed", None), "__code__", None
)
"""What runs the body of a module; it has no public name."""


def install() -> None:
    """Learn the code of the standard library, and notice imports; each call needs its undoing."""
    # Asked for by name: they are not public, and a version without them allows less.
    _writers.note(
        getattr(loading, "_write_atomic", None),
        loading.SourceFileLoader.set_data,
        getattr(tempfile, "_get_default_tempdir", None),
    )
    files, rotating = logging.FileHandler, logging.handlers
    _openers.note(
        files._open,  # noqa: SLF001 - the code that opens has no other name
        rotating.RotatingFileHandler.doRollover,
        rotating.TimedRotatingFileHandler.doRollover,
        rotating.WatchedFileHandler.reopenIfNeeded,
    )
    _emitters.note(
        files.emit,
        rotating.BaseRotatingHandler.emit,
        rotating.WatchedFileHandler.emit,
        rotating.QueueListener.handle,
        logging.Logger.callHandlers,
    )
    PATCHES.install()
    audit.register("exec", _executing)


def uninstall() -> None:
    """Undo one `install`."""
    audit.unregister("exec", _executing)
    PATCHES.uninstall()


def exempt() -> bool:
    """Tell whether the code that acts now is always allowed to."""
    if violations.telling():
        return True
    frame, outside, opening = _first_frame(), False, False
    for _ in range(DEEPEST):
        if frame is None:
            return False
        code = frame.f_code
        opening = opening or (_openers.hold(code) and not _is_of_exchange(frame))
        if _writers.hold(code) or (opening and _emitters.hold(code)) or _is_import(frame):
            return True
        if not outside and not _is_standard(code.co_filename):
            outside = True
            if _is_own(frame):
                return True
        frame = frame.f_back
    return False


def _is_of_exchange(frame: FrameType) -> bool:
    """Tell whether the log handler whose method *frame* runs was made inside an exchange."""
    handler = frame.f_locals.get("self")
    return handler is not None and _of_exchanges.get(id(handler)) is handler


def is_own_thread() -> bool:
    """Tell whether this thread is one of zeroret's."""
    return threading.current_thread().name.startswith(OWN_PREFIX)


def _making(original: Any) -> Any:
    @wraps(original)
    def __init__(self: Any, *args: Any, **options: Any) -> None:  # noqa: N807 - the one it stands for
        if PATCHES.active and CURRENT.get() is not None:
            _of_exchanges[id(self)] = self
        original(self, *args, **options)

    return __init__


@PATCHES.when_imported("logging")
def _logging(module: ModuleType) -> None:
    PATCHES.replace(module.FileHandler, "__init__", _making)


@PATCHES.when_imported("loguru._file_sink")
def _loguru(module: ModuleType) -> None:
    sink = module.FileSink
    PATCHES.replace(sink, "__init__", _making)
    _emitters.note(sink.write)
    _openers.note(sink._create_file, sink._create_dirs, sink._terminate_file)  # noqa: SLF001 - its code has no other name


@PATCHES.when_imported("jinja2.bccache")
def _jinja(module: ModuleType) -> None:
    _writers.note(module.FileSystemBytecodeCache.dump_bytecode)


def is_application(filename: str) -> bool:
    """Tell whether code of this file is the application's: no library's, not the interpreter's."""
    return not _is_standard(filename) and "site-packages" not in filename and filename[:1] != "<"


def _executing(args: tuple[Any, ...]) -> None:
    """Note the body of a module that is imported inside an exchange."""
    # Up from here: the hook, and whoever called exec().
    if CURRENT.get() is None or sys._getframe(2).f_code is not _run_module:  # noqa: SLF001 - the documented way to the caller's frame
        return
    if len(_begun) >= _MOST_BEGUN:
        _begun.clear()
    _begun.add(id(args[0]))


def _is_import(frame: FrameType) -> bool:
    """Tell whether *frame* runs the body of a module whose import an exchange began."""
    if id(frame.f_code) not in _begun or frame.f_code.co_name != "<module>":
        return False
    return frame.f_back is not None and frame.f_back.f_code is _run_module


def _is_standard(filename: str) -> bool:
    return filename.startswith(("<frozen ", _STANDARD)) and "site-packages" not in filename


def _is_own(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    if type(name) is not str or not name.startswith(_OWN_ROOMS):
        return False
    return vars(sys.modules.get(name, sys)) is frame.f_globals


def _first_frame() -> FrameType | None:
    """Return the innermost frame that is none of the guards'."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as in _executing
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("zeroret.guards."):
        frame = frame.f_back
    return frame
