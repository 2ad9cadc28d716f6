"""Source: is this text provably source code, and whose?

A text is source when it *is*, by identity, a constant of code that runs, and the file of an
imported module compiles to that code and that constant. `exec`ed text has no such file: not even
when it is compiled under a module's name and run in its namespace.
"""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, Final, NamedTuple

from zeroret.guards import sourcelines

SHORTEST: Final = 2
"""Characters of the shortest constant that counts: shorter strings are the interpreter's own."""

DEEPEST: Final = 40
"""How many frames of a stack are looked at."""

LIBRARIES: Final = tuple(
    {
        path + os.sep
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
        if (path := sysconfig.get_path(name))
    }
)
"""Where Python keeps its own modules and what was installed, as prefixes of file names."""

STANDARD_LIBRARY: Final = (os.path.dirname(os.path.abspath(os.__file__)) + os.sep,)  # noqa: PTH100, PTH120 - a prefix of file names, as text
"""Where Python keeps its own modules."""

_CACHED: Final = 8192
_module_dict: Any = vars(ModuleType)["__dict__"]


class Source(NamedTuple):
    """What the file of one imported module compiles to."""

    namespace: dict[str, Any]
    path: str
    codes: frozenset[tuple[str, int]]
    """Qualified name and first line of every code object in the file."""
    constants: frozenset[str]
    """Every string constant in the file."""
    names: frozenset[str]
    """Every identifier that its module's and its classes' bodies use."""


class _Known(NamedTuple):
    code: CodeType
    constants: frozenset[int]
    """The `id` of every string constant of the code; the code keeps them alive."""


_sources: dict[str, Source] = {}
_codes: dict[int, _Known] = {}


def source_of(namespace: dict[str, Any]) -> Source | None:
    """Return the source of the imported module whose namespace this is, or None."""
    name = namespace.get("__name__")
    if type(name) is not str:
        return None
    source = _sources.get(name)
    if source is not None and source.namespace is namespace:
        return source
    module = sys.modules.get(name)
    if not issubclass(type(module), ModuleType) or _module_dict.__get__(module) is not namespace:
        return None
    source = _sources[name] = _read(name, namespace)
    return source


def is_source(code: CodeType, namespace: dict[str, Any]) -> bool:
    """Tell whether *code*, run in *namespace*, stands in an imported module's source file."""
    return _known(code, namespace) is not None


def is_constant(text: str, frame: FrameType | None) -> bool:
    """Tell whether *text* is, by identity, a source constant of *frame* or of its callers."""
    if len(text) < SHORTEST:
        return False
    wanted, depth = id(text), 0
    while frame is not None and depth < DEEPEST:
        known = _known(frame.f_code, frame.f_globals)
        if known is not None and wanted in known.constants:
            return True
        frame, depth = frame.f_back, depth + 1
    return False


def is_global_constant(text: str, frame: FrameType) -> bool:
    """Tell whether *text* is a global of the frame's module that its own source assigns.

    A constant imported from another module counts if that module's source holds it under the same
    name. A global that was given content at run time stands in no source.
    """
    if len(text) < SHORTEST or not is_source(frame.f_code, frame.f_globals):
        return False
    for name, value in list(frame.f_globals.items()):
        if value is text and _assigns(name, text, frame.f_globals):
            return True
    return False


def in_source(text: str, frame: FrameType | None) -> bool:
    """Tell whether *text* equals a literal in the source of *frame* or of its callers."""
    if len(text) < SHORTEST:
        return False
    depth = 0
    while frame is not None and depth < DEEPEST:
        if is_source(frame.f_code, frame.f_globals):
            source = source_of(frame.f_globals)
            if source is not None and text in source.constants:
                return True
        frame, depth = frame.f_back, depth + 1
    return False


def is_known_literal(text: str) -> bool:
    """Tell whether *text* equals a literal in any source that was read so far."""
    return any(text in known.constants for known in list(_sources.values()))


def is_programs_literal(text: str) -> bool:
    """Tell whether *text* equals a literal of the program's own modules; reads them all."""
    return bool(programs_literals({text}))


def programs_literals(texts: set[str]) -> set[str]:
    """Return those of *texts* of which `is_programs_literal` is true; each module is asked once."""
    wanted = set(texts)
    for source in list(_sources.values()):
        wanted = wanted - source.constants  # not -=, which walks through all constants
    for module in list(sys.modules.values()) if wanted else ():
        if issubclass(type(module), ModuleType):  # not isinstance, as in _assigns
            namespace = _module_dict.__get__(module)
            path = namespace.get("__file__")
            if type(path) is str and not path.startswith(LIBRARIES):
                known = source_of(namespace)
                if known is not None:
                    wanted = wanted - known.constants
    return texts - wanted


def is_own_name(text: str) -> bool:
    """Tell whether *text* is, by identity, a literal of the program's that looks like a name."""
    return text.isidentifier() and is_programs_literal(text) and sys.intern(text) is text


def is_interned(text: str, frame: FrameType | None) -> bool:
    """Tell whether *text* is, by identity, an identifier-like literal of the sources on the stack.

    The compiler interns those, wherever they stand; what a client sends is not, even if equal.
    """
    return in_source(text, frame) and sys.intern(text) is text


def place(frame: FrameType | None) -> str:
    """Return `` file.py:42`` for a frame of an imported module's source, else nothing."""
    if frame is None or not is_source(frame.f_code, frame.f_globals):
        return ""
    name = frame.f_code.co_filename.rpartition(os.sep)[2][:LONGEST_NAME]
    plain = "".join(char if char.isalnum() or char in "._" else "_" for char in name)
    return f" {plain}:{frame.f_lineno}"


LONGEST_NAME: Final = 64
"""Characters of a file name that a marker shows."""


def lines(namespace: dict[str, Any], first: int, last: int) -> list[str]:
    """Return the lines *first* to *last* (from 1, inclusive) of a module's source file."""
    source = source_of(namespace)
    if source is None or first < 1:
        return []
    return sourcelines.rows(source.path, namespace)[first - 1 : last]


def _known(code: CodeType, namespace: dict[str, Any]) -> _Known | None:
    known = _codes.get(id(code))
    if known is not None and known.code is code:
        return known
    source = source_of(namespace)
    if source is None or (code.co_qualname, code.co_firstlineno) not in source.codes:
        return None
    if code.co_qualname.rpartition(".")[2] != code.co_name:  # `code.replace` can give any name
        return None
    if not _same_file(code.co_filename, source.path):
        return None
    own = (text for text in strings(code.co_consts) if text in source.constants)
    known = _Known(code, frozenset(map(id, own)))
    if len(_codes) >= _CACHED:
        _codes.clear()
    _codes[id(code)] = known
    return known


def _same_file(one: str, other: str) -> bool:
    # Not Path.resolve(), which follows links: a file is what it was imported as.
    return one == other or Path(one).absolute() == Path(other).absolute()


def _assigns(name: str, text: str, namespace: dict[str, Any]) -> bool:
    source = source_of(namespace)
    if source is not None and text in source.constants:
        return True
    for module in list(sys.modules.values()):
        if issubclass(type(module), ModuleType):  # not isinstance: `_cffi_backend.Lib` lies
            other = _module_dict.__get__(module)
            if other is not namespace and other.get(name) is text:
                source = source_of(other)
                if source is not None and text in source.constants:
                    return True
    return False


def _read(name: str, namespace: dict[str, Any]) -> Source:
    """Return what stands in the module's file; nothing if it has none that can be read."""
    path = namespace.get("__file__")
    code = _compiled(name, namespace, path) if type(path) is str else None
    if code is None:
        return Source(namespace, "", frozenset(), frozenset(), frozenset())
    codes: set[tuple[str, int]] = set()
    constants: set[str] = set()
    names: set[str] = set()
    waiting = [code]
    while waiting:
        code = waiting.pop()
        codes.add((code.co_qualname, code.co_firstlineno))
        if not code.co_flags & inspect.CO_OPTIMIZED:  # the body of a module or a class
            names.update(code.co_names)
        constants.update(strings(code.co_consts))
        waiting += [const for const in code.co_consts if isinstance(const, CodeType)]
    return Source(
        namespace, code.co_filename, frozenset(codes), frozenset(constants), frozenset(names)
    )


def _compiled(name: str, namespace: dict[str, Any], path: str) -> CodeType | None:
    """Return what the module's file compiles to: from the byte-code cache, else from its text."""
    spec = namespace.get("__spec__")
    load = getattr(namespace.get("__loader__"), "get_code", None)
    code = None
    if load is not None:
        try:
            code = load(getattr(spec, "name", name))
        except Exception:  # noqa: BLE001 - a loader that cannot say vouches for nothing
            code = None
    if isinstance(code, CodeType):
        return code
    try:
        text = "".join(sourcelines.rows(path, namespace))
        return compile(text, path, "exec", dont_inherit=True) if text else None
    except (SyntaxError, ValueError):
        return None


def strings(constants: tuple[Any, ...]) -> list[str]:
    """Return the strings among *constants*, those of nested tuples and sets included."""
    found: list[str] = []
    for const in constants:
        kind = type(const)
        if kind is str:
            if len(const) >= SHORTEST:
                found.append(const)
        elif kind is tuple:
            found += strings(const)
        elif kind is frozenset:
            found += strings(tuple(const))
    return found
