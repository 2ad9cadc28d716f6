"""Printing: the functions of the standard library that print values, seen before they are text.

`print` knows a number from a text of digits, which a stream does not; `traceback` knows the error,
`pprint` the object. Whoever took a reference to one of them before is guarded in the stream.
"""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from functools import wraps
from types import FrameType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.flight import CURRENT, LAST
from zeroret.content.live import LIVE
from zeroret.guards import exceptions, noted, streams, tally, tracebacks
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


def _printing(original: Callable[..., None]) -> Callable[..., None]:
    # Everything by closure: finalisers print when modules are gone already.
    get, last, live, patches = CURRENT.get, LAST.get, LIVE, PATCHES
    current_frame, clean, judged = sys._getframe, _is_clean, _judged  # noqa: SLF001 - the documented way to a frame
    failed, unjudged = tally.failed, _unjudged

    @wraps(original)
    def print(*values: Any, **options: Any) -> None:  # noqa: A001 - the name it stands for
        if (get() is None and last() is None and not live.busy) or not patches.active:
            original(*values, **options)
            return
        writing: Writing | None = None
        try:
            if not clean(values, options):
                values, options, writing = judged(values, options, current_frame().f_back)
        except Exception:  # noqa: BLE001 - then the stream judges what is written to it
            failed("stdio")
            unjudged(original, values, options)
            return
        original(*values, **options)
        if writing is not None:
            with suppress(Exception):  # what is told of it must not become an error
                writing.tell()

    streams.passes(print)
    return print


def _unjudged(
    original: Callable[..., None], values: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """Print what nobody has judged: from here the streams do not take it for judged."""
    original(*values, **options)


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


def _judged(
    values: tuple[Any, ...], options: dict[str, Any], frame: FrameType | None
) -> tuple[tuple[Any, ...], dict[str, Any], Writing | None]:
    """Return what to print, with which options, and how that was decided."""
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
        return values, options, None
    sep = " " if sep is None else str.__str__(sep)
    end = "\n" if end is None else str.__str__(end)
    given: tuple[Any, ...] = (*values, sep, end)
    if not owner.strict and not _is_proved(given, owner, frame):
        given = (_line(values, sep, end),)
    shown, writing = decided(given, frame, Writing.pieces, owner)
    *pieces, sep, end = _texts(shown, layer, writing if shown is not given else None)
    return tuple(pieces), {**options, "sep": sep, "end": end, "file": file}, writing


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


def _instead(
    find: Callable[..., tuple[Any, str, bool] | None],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have written what *find* says in place of what the original would write.

    Args:
        find: Takes the calling frame and the call's arguments; returns the stream, the text, and
            whether anything was withheld; None to let the original write, which streams judge.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def call(*args: Any, **options: Any) -> Any:
            try:
                frame = sys._getframe().f_back  # noqa: SLF001 - the documented way to the caller's frame
                found = None if _free() else find(frame, *args, **options)
                if found is not None and found[2]:
                    tally.count("stdio", "withheld")
                text = None if found is None else noted.note(found[1])
            except Exception:  # noqa: BLE001 - then the stream judges what is written to it
                tally.failed("stdio")
                found = None
            if found is None:
                return original(*args, **options)
            found[0].write(text)
            return None

        return call

    return make


def _held_stream(file: Any) -> Any:
    """Return the guarded stream that *file* names for `traceback`; None if nothing holds it."""
    stream = sys.stderr if file is None else file
    owner = owner_of_text()
    guarded = streams.layer_of(stream) is not None
    return stream if guarded and owner is not None and owner.enforce else None


def _exception(
    _frame: FrameType | None, exc: Any, /, *args: Any, **options: Any
) -> tuple[Any, str, bool] | None:
    names = ("value", "tb", "limit", "file", "chain")
    given = dict(zip(names, args, strict=False)) | options
    stream = _held_stream(given.get("file"))
    error = given.get("value", exc)
    if stream is None or not isinstance(error, BaseException):
        return None
    trace = given.get("tb")
    trace = trace if isinstance(trace, TracebackType) else None
    return stream, exceptions.describe(error, trace) + "\n", True


def _trace(
    _frame: FrameType | None, tb: Any, _limit: Any = None, file: Any = None, **_rest: Any
) -> tuple[Any, str, bool] | None:
    stream = _held_stream(file)
    if stream is None:
        return None
    _, *lines = tracebacks.text(tracebacks.places(tb)) or [""]
    return stream, "".join(f"{line}\n" for line in lines), False


def _stack(
    frame: FrameType | None,
    f: FrameType | None = None,
    _limit: Any = None,
    file: Any = None,
    **_rest: Any,
) -> tuple[Any, str, bool] | None:
    stream = _held_stream(file)
    if stream is None:
        return None
    _, *lines = tracebacks.stack_text(f or frame).split("\n")
    return stream, "".join(f"{line}\n" for line in lines), False


def _rendered(
    _frame: FrameType | None, _self: Any, *, file: Any = None, **_options: Any
) -> tuple[Any, str, bool] | None:
    """Show of a traceback that is rendered already the places of the error at hand."""
    stream, error = _held_stream(file), sys.exception()
    if stream is None:
        return None
    text = "[withheld traceback]" if error is None else exceptions.describe(error)
    return stream, text + "\n", True


def _pretty(
    frame: FrameType | None,
    self: Any,
    object: Any,  # noqa: A002 - the parameter's name
) -> tuple[Any, str, bool] | None:
    """Judge the object, not the pieces of its text."""
    stream = getattr(self, "_stream", None)
    owner = None if streams.layer_of(stream) is None else owner_of_text()
    if owner is None or not owner.strict or not owner.enforce:
        return None
    shown, writing = decided((object,), frame, Writing.pieces)
    if writing is not None:
        writing.tell()
    return stream, f"{shown[0]}\n", False


@PATCHES.when_imported("builtins")
def _watch_builtins(module: ModuleType) -> None:
    PATCHES.replace(module, "print", _printing)


@PATCHES.when_imported("traceback")
def _watch_traceback(module: ModuleType) -> None:
    PATCHES.replace(module, "print_exception", _instead(_exception))
    PATCHES.replace(module, "print_tb", _instead(_trace))
    PATCHES.replace(module, "print_stack", _instead(_stack))
    PATCHES.replace(module.TracebackException, "print", _instead(_rendered))


@PATCHES.when_imported("pprint")
def _watch_pprint(module: ModuleType) -> None:
    PATCHES.replace(module.PrettyPrinter, "pprint", _instead(_pretty))
