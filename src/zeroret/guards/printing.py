"""Printing: the functions of the standard library that print values, seen before they are text.

`print` knows a number from a text of digits, which a stream does not; `traceback` knows the error,
`pprint` the object. Whoever took a reference to one of them before is guarded in the stream.
"""

from __future__ import annotations

import io
import sys
from functools import wraps
from types import FrameType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.flight import CURRENT, LAST
from zeroret.content.live import LIVE
from zeroret.guards import exceptions, streams, tally, tracebacks
from zeroret.guards.owner import owner_of_text
from zeroret.guards.patches import Patches
from zeroret.guards.pieces import is_known
from zeroret.guards.values import MOST_VALUES, NUMBER_LIMIT, NUMBERS, Values
from zeroret.guards.writing import Writing, decided

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.guards.owner import Owner

_HARMLESS: Final = frozenset({"flush"})
_OPTION: Final = (str, type(None))
PATCHES: Final = Patches("stdio")
"""The functions that print, while the guard is in."""


@PATCHES.when_imported("builtins")
def _watch_builtins(module: ModuleType) -> None:
    PATCHES.replace(module, "print", _printing)


@PATCHES.when_imported("traceback")
def _watch_traceback(module: ModuleType) -> None:
    PATCHES.replace(module, "print_exception", _printing_exception)
    PATCHES.replace(module, "print_tb", _printing_tb)
    PATCHES.replace(module, "print_stack", _printing_stack)
    PATCHES.replace(module.TracebackException, "print", _printing_rendered)


@PATCHES.when_imported("pprint")
def _watch_pprint(module: ModuleType) -> None:
    PATCHES.replace(module.PrettyPrinter, "pprint", _printing_pretty)


def _printing(original: Callable[..., None]) -> Callable[..., None]:
    # Everything by closure: finalisers print when modules are gone already.
    get, last, live, patches = CURRENT.get, LAST.get, LIVE, PATCHES
    current_frame, clean, guarded = sys._getframe, _is_clean, _print  # noqa: SLF001 - the documented way to a frame

    @wraps(original)
    def print(*values: Any, **options: Any) -> None:  # noqa: A001 - the name it stands for
        free = get() is None and last() is None and not live.busy
        if free or not patches.active or clean(values, options):
            original(*values, **options)
        else:
            guarded(original, values, options, current_frame().f_back)

    streams.passes(print)
    return print


def _is_clean(values: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Tell whether a line is made of known constants and few numbers: the common case."""
    if options.keys() - _HARMLESS or len(values) > MOST_VALUES or not _is_plain(sys.stdout):
        return False
    for value in values:
        kind = type(value)
        if kind is str:
            if not is_known(value):
                return False
        elif kind is int:
            if not -NUMBER_LIMIT < value < NUMBER_LIMIT:
                return False
        elif kind not in NUMBERS:
            return False
    return True


def _is_plain(stream: Any) -> bool:
    """Tell whether *stream* is a guarded one that C code writes to, and begins a line."""
    layer = streams.layer_of(stream)
    return layer is not None and layer.run is None and isinstance(stream, io.TextIOWrapper)


def _print(
    original: Callable[..., None],
    values: tuple[Any, ...],
    options: dict[str, Any],
    frame: FrameType | None,
) -> None:
    file = options.get("file")
    if file is None:
        file = sys.stdout
        if file is not None and streams.layer_of(file) is None:
            file = streams.guarded(file)
    layer = streams.layer_of(file)
    sep, end = options.get("sep"), options.get("end")
    owner = None
    if layer is not None and isinstance(sep, _OPTION) and isinstance(end, _OPTION):
        owner = owner_of_text()
    if layer is None or owner is None:
        original(*values, **options)
        return
    sep = " " if sep is None else str.__str__(sep)
    end = "\n" if end is None else str.__str__(end)
    given: tuple[Any, ...] = (*values, sep, end)
    if not owner.strict and not _is_proved(given, owner, frame):
        given = (_line(values, sep, end),)
    shown, writing = decided(given, frame, Writing.pieces, owner)
    *pieces, sep, end = _texts(shown, layer, writing if shown is not given else None)
    original(*pieces, **{**options, "sep": sep, "end": end, "file": file})
    if writing is not None:
        writing.tell()


def _is_proved(given: tuple[Any, ...], owner: Owner, frame: FrameType | None) -> bool:
    try:
        return all(map(Writing(owner, frame).is_proved, given))
    except Exception:  # noqa: BLE001 - then it is matched
        return False


def _line(values: tuple[Any, ...], sep: str, end: str) -> str:
    """Return what `print` would write; the text of an exception is content in every mode."""
    mark = Values(None, None, "").mark
    texts = [mark(each) if isinstance(each, BaseException) else str(each) for each in values]
    return sep.join(texts) + end


def _texts(
    shown: tuple[Any, ...], layer: streams.Layer, writing: Writing | None
) -> tuple[str, ...]:
    """Return the pieces as texts that the stream takes, and that what is below it knows.

    Args:
        shown: The pieces with separator and end, or the whole line.
        layer: What guards the stream.
        writing: How they were changed; None if they were not.
    """
    if len(shown) == 1:
        shown = (*shown, "", "")
    if writing is None:
        texts = tuple(each if type(each) is str else str(each) for each in shown)
        for each in texts:
            layer.passed(each)
        return texts
    *pieces, sep, end = [streams.writable(str(each), layer.stream) for each in shown]
    if layer.continues(writing, sep.join(pieces) + end):
        return ("", "", "")
    return (*pieces, sep, end)


def _free() -> bool:
    """Tell whether nothing that this code writes is held to any rule."""
    return (CURRENT.get() is None and LAST.get() is None and not LIVE.busy) or not PATCHES.active


def _instead(file: Any) -> Any:
    """Return the guarded stream that *file* names for `traceback`; None if nothing holds it."""
    if _free():
        return None
    stream = sys.stderr if file is None else file
    owner = owner_of_text()
    guarded = streams.layer_of(stream) is not None
    return stream if guarded and owner is not None and owner.enforce else None


def _printing_exception(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def print_exception(exc: Any, /, *args: Any, **options: Any) -> None:
        given = dict(zip(("value", "tb", "limit", "file", "chain"), args, strict=False)) | options
        stream = _instead(given.get("file"))
        error = given.get("value", exc)
        if stream is None or not isinstance(error, BaseException):
            original(exc, *args, **options)
            return
        trace = given.get("tb")
        trace = trace if isinstance(trace, TracebackType) else None
        streams.say(stream, exceptions.describe(error, trace) + "\n")
        tally.count("stdio", "withheld")

    return print_exception


def _printing_tb(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def print_tb(tb: Any, limit: Any = None, file: Any = None) -> None:
        stream = _instead(file)
        if stream is None:
            original(tb, limit, file)
            return
        _, *lines = tracebacks.text(tracebacks.places(tb)) or [""]
        streams.say(stream, "".join(f"{line}\n" for line in lines))

    return print_tb


def _printing_stack(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def print_stack(f: FrameType | None = None, limit: Any = None, file: Any = None) -> None:
        frame = f or sys._getframe().f_back  # noqa: SLF001 - the documented way to the caller's frame
        stream = _instead(file)
        if stream is None:
            original(frame, limit, file)
            return
        _, *lines = tracebacks.stack_text(frame).split("\n")
        streams.say(stream, "".join(f"{line}\n" for line in lines))

    return print_stack


def _printing_rendered(original: Callable[..., None]) -> Callable[..., None]:
    """Show of a traceback that is rendered already the places of the error at hand."""

    @wraps(original)
    def print(self: Any, *, file: Any = None, **options: Any) -> None:  # noqa: A001 - the method's name
        stream, error = _instead(file), sys.exception()
        if stream is None:
            original(self, file=file, **options)
            return
        text = "[withheld traceback]" if error is None else exceptions.describe(error)
        streams.say(stream, text + "\n")
        tally.count("stdio", "withheld")

    return print


def _printing_pretty(original: Callable[..., None]) -> Callable[..., None]:
    """Judge the object, not the pieces of its text."""

    @wraps(original)
    def pprint(self: Any, object: Any) -> None:  # noqa: A002 - the parameter's name
        stream = getattr(self, "_stream", None)
        layer = None if _free() else streams.layer_of(stream)
        owner = None if layer is None else owner_of_text()
        if owner is None or not owner.strict or not owner.enforce:
            original(self, object)
            return
        frame = sys._getframe().f_back  # noqa: SLF001 - the documented way to the caller's frame
        shown, writing = decided((object,), frame, Writing.pieces)
        streams.say(stream, f"{shown[0]}\n")
        if writing is not None:
            writing.tell()

    return pprint


streams.passes(_print)
