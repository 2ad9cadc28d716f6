"""Templates: the literal text of a message that was put together at run time.

An f-string is shown as its source, ``user {…} took {…} ms``. The call is found through the
instruction that runs in a frame (`code.co_positions`, PEP 657) and parsed out of the source file,
so nothing is ever shown but text that stands in the file.
"""

from __future__ import annotations

import ast
import re
from itertools import islice
from string import Formatter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from zeroret.guards import source

if TYPE_CHECKING:
    from types import CodeType, FrameType

HOLE: Final = "{…}"
"""What stands where a value stood."""

CLIMB: Final = 4
"""How many callers are asked when the logging call itself stands in a wrapper."""

_CACHED: Final = 2048
_LONGEST: Final = 200
_CONVERSION: Final = re.compile(
    r"%(?:\([^)]*\))?[#0\- +]*(?:\*|\d+)?(?:\.(?:\*|\d+))?[hlL]?([diouxXeEfFgGcrsa%])"
)


class Template(NamedTuple):
    """The literal parts of a message, with a hole between each two of them."""

    parts: tuple[str, ...]
    text: str

    def fits(self, message: str) -> bool:
        """Tell whether *message* can be what the template became: the parts in order."""
        first, last = self.parts[0], self.parts[-1]
        if not message.startswith(first):
            return False
        at = len(first)
        for part in self.parts[1:-1]:
            at = message.find(part, at)
            if at < 0:
                return False
            at += len(part)
        return len(message) - len(last) >= at and message.endswith(last)


_sites: dict[tuple[int, int], tuple[CodeType, tuple[Template, ...]]] = {}


def template_of(message: str, frame: FrameType | None) -> Template | None:
    """Return the template that *message* was made of by the call running in *frame*.

    If the call there holds none, its callers are asked; a call in which more than one argument fits
    says nothing.
    """
    for _ in range(CLIMB):
        if frame is None:
            return None
        fitting = [template for template in site(frame) if template.fits(message)]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
        frame = frame.f_back
    return None


def site(frame: FrameType) -> tuple[Template, ...]:
    """Return the templates among the arguments of the call that runs in *frame*."""
    code, at = frame.f_code, frame.f_lasti
    cached = _sites.get((id(code), at))
    if cached is not None and cached[0] is code:
        return cached[1]
    if not source.is_source(code, frame.f_globals):
        return ()
    found = _templates(frame)
    if len(_sites) >= _CACHED:
        _sites.clear()
    _sites[id(code), at] = (code, found)
    return found


def _templates(frame: FrameType) -> tuple[Template, ...]:
    call = _call(frame)
    if call is None:
        return ()
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    templates = (template(argument) for argument in arguments)
    return tuple(found for found in templates if found is not None)


def _call(frame: FrameType) -> ast.Call | None:
    """Return the call expression that the frame's current instruction stands for."""
    position = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), None)
    if position is None or None in position:
        return None
    line, end_line, column, end_column = (value or 0 for value in position)
    if end_line - line > _LONGEST:
        return None
    rows = [row.encode() for row in source.lines(frame.f_globals, line, end_line)]
    if len(rows) != end_line - line + 1:
        return None
    rows[-1] = rows[-1][:end_column]
    rows[0] = rows[0][column:]
    try:
        tree = ast.parse(b"(" + b"".join(rows) + b"\n)", mode="eval")
    except (SyntaxError, ValueError):
        return None
    body = tree.body
    while isinstance(body, ast.Await):
        body = body.value
    return body if isinstance(body, ast.Call) else None


def template(node: ast.expr) -> Template | None:
    """Return the template that an expression of string building spells, or None."""
    pieces = _pieces(node)
    if pieces is None or None not in pieces or not any(pieces):
        return None
    parts, part = [], ""
    for piece in pieces:
        if piece is None:
            parts.append(part)
            part = ""
        else:
            part += piece
    parts.append(part)
    return Template(tuple(parts), HOLE.join(parts))


def _pieces(node: ast.expr) -> list[str | None] | None:
    """Return literal text and holes (None) in order; None if *node* builds no string."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return [piece for value in values for piece in _pieces(value) or [None]]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            one, other = _pieces(left), _pieces(right)
            return None if one is None and other is None else [*(one or [None]), *(other or [None])]
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
            return _percent_pieces(text)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return _brace_pieces(text)
        case _:
            return None


def _percent_pieces(text: str) -> list[str | None]:
    pieces: list[str | None] = []
    at = 0
    for conversion in _CONVERSION.finditer(text):
        pieces += (text[at : conversion.start()], "%" if conversion[1] == "%" else None)
        at = conversion.end()
    return [*pieces, text[at:]]


def _brace_pieces(text: str) -> list[str | None] | None:
    pieces: list[Any] = []
    try:
        for literal, field, _, _ in Formatter().parse(text):
            pieces += (literal,) if field is None else (literal, None)
    except ValueError:
        return None
    return pieces
