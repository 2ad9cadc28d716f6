"""Tracebacks without content: files, lines, functions and source lines; no locals, no values."""

from __future__ import annotations

from types import CodeType, FrameType, FunctionType, TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from zeroret.guards import source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST: Final = 64
"""Frames of the longest traceback that is shown; of a longer one the outer and inner ends are."""

_HEAD: Final = 16
_UNKNOWN: Final = "[withheld]"


class Place(NamedTuple):
    """One frame as it may be shown; *path* and *function* are markers if nothing vouches."""

    path: str
    line: int
    function: str
    module: str
    text: str
    """The source line, stripped; empty if there is none."""


class _Shown(dict[str, Any]):
    """The globals of a frame that never ran: they remember what was vouched for when it was made.

    So a stand-in that a server logs still leads to the line that raised.
    """

    __slots__ = ("place",)

    def __init__(self, place: Place) -> None:
        super().__init__(__name__=place.module)
        self.place = place


def places(trace: TracebackType | None) -> list[Place | int]:
    """Return the frames of a traceback, outermost first; an int says how many were left out."""
    frames: list[tuple[FrameType, int]] = []
    while trace is not None:
        frames.append((trace.tb_frame, trace.tb_lineno or 0))
        trace = trace.tb_next
    return _shortened(frames)


def stack_text(frame: FrameType | None) -> str:
    """Return the stack of *frame* as `logging` renders it, innermost last."""
    frames: list[tuple[FrameType, int]] = []
    while frame is not None:
        frames.append((frame, frame.f_lineno or 0))
        frame = frame.f_back
    return "\n".join(["Stack (most recent call last):", *_lines(_shortened(frames[::-1]))])


def text(shown: Iterable[Place | int]) -> list[str]:
    """Return the lines of a traceback, its title first; nothing for no frames."""
    lines = list(_lines(shown))
    return ["Traceback (most recent call last):", *lines] if lines else []


def innermost(shown: Iterable[Place | int]) -> Place | None:
    """Return the innermost frame of the program's own source, else of any source."""
    found: Place | None = None
    own: Place | None = None
    for each in shown:
        if isinstance(each, Place) and each.path != _UNKNOWN:
            found = each
            if not each.path.startswith(source.LIBRARIES):
                own = each
    return own or found


def synthetic(shown: Iterable[Place | int]) -> TracebackType | None:
    """Return a traceback of frames that never ran: real places, no locals, no globals.

    Each frame is that of a generator which is never started, so that nothing leads from it to the
    frames that did run.
    """
    trace: TracebackType | None = None
    for each in reversed(list(shown)):
        if isinstance(each, Place):
            trace = TracebackType(trace, _frame(each), 0, max(each.line, 1))
    return trace


def _shortened(frames: list[tuple[FrameType, int]]) -> list[Place | int]:
    left_out = len(frames) - LONGEST
    if left_out <= 0:
        return [_place(*each) for each in frames]
    tail = frames[_HEAD + left_out :]
    return [
        *(_place(*each) for each in frames[:_HEAD]),
        left_out,
        *(_place(*each) for each in tail),
    ]


def _place(frame: FrameType, line: int) -> Place:
    code, namespace = frame.f_code, frame.f_globals
    if type(namespace) is _Shown:
        return namespace.place
    if not source.is_source(code, namespace):
        return Place(_UNKNOWN, line, _UNKNOWN, _UNKNOWN, "")
    row = "".join(source.lines(namespace, line, line)).strip()
    return Place(code.co_filename, line, code.co_name, namespace["__name__"], row)


def _lines(shown: Iterable[Place | int]) -> Iterator[str]:
    for each in shown:
        if isinstance(each, int):
            yield f"  [{each} more frames]"
            continue
        yield f'  File "{each.path}", line {each.line}, in {each.function}'
        if each.text:
            yield f"    {each.text}"


def _never_run() -> Iterator[None]:
    yield


_TEMPLATE: Final[CodeType] = _never_run.__code__


def _line_table(units: int) -> bytes:
    """Return a location table (PEP 657): every instruction on the first line, at no column."""
    table = bytearray()
    while units > 0:
        length = min(units, 8)
        table += bytes((0x80 | (13 << 3) | (length - 1), 0))
        units -= length
    return bytes(table)


_LINE_TABLE: Final = _line_table(len(_TEMPLATE.co_code) // 2)


def _frame(place: Place) -> FrameType:
    code = _TEMPLATE.replace(
        co_filename=place.path,
        co_name=place.function,
        co_qualname=place.function,
        co_firstlineno=max(place.line, 1),
        co_linetable=_LINE_TABLE,
        co_consts=(None,),
    )
    generator: Any = FunctionType(code, _Shown(place))()
    frame: FrameType = generator.gi_frame
    return frame
