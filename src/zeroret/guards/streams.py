"""Streams: standard output and error, guarded in the very objects that hold the descriptors.

Whoever took a reference to a stream before the guard (a log handler, a logger that prints, a
default argument) must be seen, too. So the object stays the same and gets a `write` of its own: the
stream's C code looks it up on the instance. The text layer, its buffer and the buffer's raw file
are guarded each; what one of them hands to the next was judged already. A text layer hands on at
once (`write_through`), so that what a `write` method taken before brings in is seen below it.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from contextlib import suppress
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import wrapt

from zeroret.content.flight import CURRENT, LAST
from zeroret.content.live import LIVE
from zeroret.guards import noted, tally
from zeroret.guards.pieces import is_known, is_separator
from zeroret.guards.records import GUARD_ERROR
from zeroret.guards.writing import HANDED_DOWN, Writing, decided

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

NAMES: Final = ("stdout", "stderr", "__stdout__", "__stderr__")
"""Where `sys` holds them."""

_MARKER: Final = "[withheld "
_MISSING: Final = object()
_passing: Final[dict[int, CodeType]] = {}
"""Code that writes only what was judged already, by id: hashing one would hash its constants."""


class Layer:
    """One guarded object: a text stream, a buffer or a raw file.

    Nothing but the stream itself keeps it, so that a stream that the program lets go is gone.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.replaced: list[tuple[str, Any, Any]] = []
        """Names of attributes, what they were, and what they are."""
        self.write_through = True
        """What the stream said of itself before."""
        self.run: tuple[int, str] | None = None
        """Whose marker was written last, if the line goes on behind it."""

    def passed(self, text: Any) -> None:
        """Note that *text* was written as it is; blanks alone leave a marker's line open."""
        if self.run is not None and (not is_separator(text) or "\n" in text):
            self.run = None

    def continues(self, writing: Writing, shown: Any) -> bool:
        """Tell whether *shown* is but one more marker behind the same code's last one.

        An answer that is printed token by token shows one marker a line, not one a token.
        """
        if not isinstance(shown, str) or not (shown.startswith(_MARKER) and shown.endswith("]")):
            self.run = None
            return False
        run = (id(writing.owner.flight), writing.place)
        before, self.run = self.run, run
        return before == run


_layers: Final[WeakSet[Layer]] = WeakSet()
_lock = threading.RLock()


class Proxy(wrapt.ObjectProxy):  # type: ignore[type-arg] # no subscript before wrapt 2
    """Stands in `sys` for a stream that takes no attribute of its own."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._self_write = _writing(Layer(self), _handing_down(stream.write))

    @property
    def write(self) -> Any:
        """The guarded `write`."""
        return self._self_write

    def writelines(self, lines: Any, /) -> None:
        """Write what may be written of each of *lines*."""
        for line in lines:
            self._self_write(line)


def passes(function: Any) -> None:
    """Let *function* write to guarded streams as it likes: it writes nothing but judged texts."""
    code = getattr(function, "__code__", None)
    if code is not None:
        _passing[id(code)] = code


def layer_of(stream: Any) -> Layer | None:
    """Return the layer that guards *stream*; None if nothing does."""
    try:
        layer = getattr(getattr(stream, "write", None), "layer", None)
    except Exception:  # noqa: BLE001 - a program's own stream may answer as it likes
        return None
    return layer if type(layer) is Layer and layer.stream is stream else None


def guarded(stream: Any) -> Any:
    """Guard *stream* and what lies below it; return itself, or what must stand for it.

    What stays in memory is no way out: `io.StringIO` is left alone.
    """
    if stream is None or _is_memory(stream) or layer_of(stream) is not None:
        return stream
    with _lock:
        try:
            for each in _chain(stream):
                if layer_of(each) is None:
                    _guard(each)
        except (AttributeError, TypeError):  # it takes no attributes
            return Proxy(stream)
    return stream


def _is_memory(stream: Any) -> bool:
    return isinstance(stream, io.StringIO) and type(stream).write is io.StringIO.write


def release() -> None:
    """Leave every stream as it was."""
    with _lock:
        for layer in list(_layers):
            _release(layer)


def say(stream: Any, text: str) -> None:
    """Write a text that was judged, or made of nothing but places."""
    stream.write(noted.note(text))


def _chain(stream: Any) -> list[Any]:
    """Return the stream, its buffer and the buffer's raw file, as far as there are any."""
    found = [stream]
    for name in ("buffer", "raw"):
        below = None
        with suppress(Exception):  # a detached stream raises, and foreign ones as they like
            below = getattr(found[-1], name, None)
        if below is None or not callable(getattr(below, "write", None)):
            break
        found.append(below)
    return found


def _guard(stream: Any) -> None:
    layer = Layer(stream)
    try:
        _replace(layer, "write", _writing(layer, stream.write))
        if hasattr(stream, "flush"):
            _replace(layer, "flush", _flushing(stream.flush))
        if not isinstance(stream, io.IOBase) and hasattr(stream, "writelines"):
            _replace(layer, "writelines", _line_by_line(stream))
    except (AttributeError, TypeError):
        _release(layer)
        raise
    _layers.add(layer)
    if isinstance(stream, io.TextIOWrapper):
        with suppress(ValueError, OSError):  # closed or detached: nothing can be written
            layer.write_through = stream.write_through
            if not stream.write_through:
                stream.reconfigure(write_through=True)


def _replace(layer: Layer, name: str, ours: Any) -> None:
    before = vars(layer.stream).get(name, _MISSING)
    setattr(layer.stream, name, ours)
    layer.replaced.append((name, before, ours))


def _release(layer: Layer) -> None:
    _layers.discard(layer)
    for name, before, ours in reversed(layer.replaced):
        if vars(layer.stream).get(name) is not ours:
            continue  # somebody patched over ours, which passes everything on from now
        if before is _MISSING:
            delattr(layer.stream, name)
        else:
            setattr(layer.stream, name, before)
    if not layer.write_through:
        with suppress(ValueError, OSError):
            layer.stream.reconfigure(write_through=False)


def _writing(layer: Layer, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `write` that shows what may be shown, and returns what *original* would."""
    # Everything by closure: streams are written to when modules are gone already.
    get, last, live, passing = CURRENT.get, LAST.get, LIVE, _passing
    current_frame, judged, tell = sys._getframe, _judged, Writing.tell  # noqa: SLF001 - the documented way to a frame
    failed, count = GUARD_ERROR + "\n", tally.failed

    writes = original
    if isinstance(getattr(type(layer.stream), "write", None), FunctionType):
        writes = _handing_down(original)

    def write(data: Any, /) -> Any:
        if get() is None and last() is None and not live.busy:
            return original(data)
        frame = current_frame().f_back
        if frame is not None and passing.get(id(frame.f_code)) is frame.f_code:
            return writes(data)
        shown: Any = data
        writing: Writing | None = None
        try:
            if type(data) is str and is_known(data):
                layer.passed(data)
            else:
                shown, writing = judged(layer, data, frame)
        except Exception:  # noqa: BLE001 - fails closed, whatever is left of this module
            shown, writing = (failed if isinstance(data, str) else failed.encode()), None
            count("stdio")
        result = writes(shown)
        if writing is not None:
            with suppress(Exception):  # what is counted of it must not become an error of its own
                tell(writing)
        if shown is data or type(result) is not int:
            return result
        # Who writes on until all is written must not see that less was.
        return len(data) if isinstance(data, (str, bytes)) else memoryview(data).nbytes

    passes(write)
    vars(write)["layer"] = layer
    return write


def _handing_down(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let a program's own stream hand a judged text on to a guarded one, encoded or in pieces."""

    def write(data: Any, /) -> Any:
        before, HANDED_DOWN.text = HANDED_DOWN.text, _text_of(data)
        try:
            return original(data)
        finally:
            HANDED_DOWN.text = before

    return write


def _text_of(data: Any) -> str | None:
    if isinstance(data, str):
        return str.__str__(data)
    return data.decode("utf-8", "surrogateescape") if type(data) is bytes else None


def _judged(layer: Layer, data: Any, frame: FrameType | None) -> tuple[Any, Writing | None]:
    """Return what may be written of *data*, and how that was decided."""
    if not isinstance(data, (str, bytes)):
        try:
            data = memoryview(data).tobytes()
        except TypeError:
            if isinstance(layer.stream, io.IOBase):
                return data, None  # which refuses it
    shown, writing = decided(data, frame, Writing.one)
    if writing is None or shown is data:
        layer.passed(data)
    elif layer.continues(writing, shown):
        return shown[:0], writing
    elif isinstance(shown, str):
        shown = noted.note(writable(shown, layer.stream))
    return shown, writing


def writable(text: str, stream: Any) -> str:
    """Return *text* in characters that the stream's encoding has."""
    encoding = getattr(stream, "encoding", None)
    if text.isascii() or not isinstance(encoding, str):
        return text
    try:
        text.encode(encoding, getattr(stream, "errors", None) or "strict")
    except (UnicodeError, LookupError):
        return text.encode("ascii", "replace").decode()
    return text


def _flushing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `flush` under whose frame the layer below sees judged bytes."""

    def flush(*given: Any) -> Any:
        return original(*given)

    passes(flush)
    return flush


def _line_by_line(stream: Any) -> Callable[[Any], None]:
    def writelines(lines: Any, /) -> None:
        for line in lines:
            stream.write(line)

    return writelines


def _renew() -> None:
    """Take a lock of this process: the parent's may be held for ever."""
    global _lock  # noqa: PLW0603 - forks are per process, as it is
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew)
