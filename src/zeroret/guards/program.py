"""The program's own names, found by their text: modules, functions, places, exception classes.

Trackers turn frames and classes into texts before anyone is asked. Such a text is shown if a loaded
module vouches for it: its source file holds the function, or its namespace holds the class.
"""

from __future__ import annotations

import os
import re
import sys
from types import ModuleType
from typing import Any, Final, NamedTuple

from zeroret.guards import source
from zeroret.guards.classes import LONGEST, held_name

_CACHED: Final = 4096
_MOST_ERRORS: Final = 20_000
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{1,80}", re.ASCII)
_module_dict: Any = vars(ModuleType)["__dict__"]


class Place(NamedTuple):
    """A line of a function in a loaded module's source file."""

    module: str
    path: str
    function: str
    line: int
    text: str
    """The source line, stripped; empty if there is none."""


class _Index:
    """What is derived from the loaded modules, renewed when there are more or fewer of them."""

    def __init__(self) -> None:
        self.modules = 0
        self.paths: dict[str, str] = {}
        self.errors: frozenset[str] = frozenset()
        self.classes = 0
        self.functions: dict[str, tuple[source.Source, frozenset[str]]] = {}
        self.words: dict[str, tuple[int, frozenset[str]]] = {}


_index: Final = _Index()


def namespace_of(module: object) -> dict[str, Any] | None:
    """Return the namespace of a loaded module by its name."""
    found = sys.modules.get(module) if type(module) is str else None
    # By its type: a `_cffi_backend.Lib` says that it is a module, and is none.
    return _module_dict.__get__(found) if issubclass(type(found), ModuleType) else None


def module_at(path: object) -> str | None:
    """Return the name of the loaded module whose file *path* is, absolute or as it was imported."""
    if type(path) is not str or not path:
        return None
    if _index.modules != len(sys.modules):
        _index.modules = len(sys.modules)
        _index.paths = _paths()
    return _index.paths.get(path)


def place(module: object, path: object, function: object, line: object) -> Place | None:
    """Return the place that these texts name, if the module's source holds the function.

    Args:
        module: The module's dotted name; None to go by *path* alone.
        path: The file, absolute or as imported; None to go by *module* alone.
        function: The function's name or qualified name.
        line: The line, from 1; 0 if it is not known.
    """
    name = module if namespace_of(module) is not None else module_at(path)
    namespace = namespace_of(name)
    if type(name) is not str or namespace is None or type(function) is not str:
        return None
    found = source.source_of(namespace)
    if found is None or function not in _functions(name, found):
        return None
    if path is not None and not (type(path) is str and _is_path(path, found.path)):
        return None
    number = line if type(line) is int and 0 < line < 2**31 else 0
    text = "".join(source.lines(namespace, number, number)).strip()
    whole = os.path.abspath(found.path)  # noqa: PTH100 - as text
    return Place(name, whole, function, number, text)


def sentence(name: str, found: Place | None) -> str:
    """Return what stands for the text of an exception: its class, and where it was raised."""
    if found is None:
        return f"{name}, text withheld"
    file = found.path.rpartition(os.sep)[2]
    return f"{name} at {file}:{found.line} in {found.function}, text withheld"


def is_function(name: str) -> bool:
    """Tell whether *name* is ``module.function`` of a loaded module's source."""
    at = name.rfind(".")
    while at > 0:
        namespace = namespace_of(name[:at])
        if namespace is not None:
            found = source.source_of(namespace)
            return found is not None and name[at + 1 :] in _functions(name[:at], found)
        at = name.rfind(".", 0, at)
    return False


def is_class(module: object, name: object) -> bool:
    """Tell whether the loaded *module* (builtins for None) holds a class under *name*."""
    if type(name) is not str or len(name) > LONGEST:
        return False
    found: Any = namespace_of("builtins" if module is None else module)
    for part in name.split("."):
        if found is None:
            return False
        cls = found.get(part)
        found = vars(type)["__dict__"].__get__(cls) if isinstance(cls, type) else None
    return found is not None and isinstance(cls, type) and held_name(cls) == name


def is_error(name: object) -> bool:
    """Tell whether *name*, bare or with its module, is an exception class that a module holds."""
    if type(name) is not str or not name or len(name) > 2 * LONGEST:
        return False
    at = name.rfind(".")
    while at > 0:
        if is_class(name[:at], name[at + 1 :]):
            return True
        at = name.rfind(".", 0, at)
    if is_class(None, name):
        return True
    if name not in _index.errors:
        _learn_errors()
    return name in _index.errors


def words(package: str) -> frozenset[str]:
    """Return the short literals without blanks in the sources of *package*'s loaded modules."""
    loaded = len(sys.modules)
    known = _index.words.get(package)
    if known is not None and known[0] == loaded:
        return known[1]
    found: set[str] = set()
    for name in [each for each in list(sys.modules) if type(each) is str]:
        if name == package or name.startswith(f"{package}."):
            namespace = namespace_of(name)
            read = None if namespace is None else source.source_of(namespace)
            found.update(read.constants if read is not None else ())
    held = frozenset(each for each in found if _WORD.fullmatch(each))
    _index.words[package] = (loaded, held)
    return held


def _paths() -> dict[str, str]:
    found: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        if issubclass(type(module), ModuleType):
            path = _module_dict.__get__(module).get("__file__")
            if type(path) is str and type(name) is str:
                found[path] = name
                found[os.path.abspath(path)] = name  # noqa: PTH100 - as text
    return found


def _is_path(path: str, known: str) -> bool:
    whole = os.path.abspath(known)  # noqa: PTH100 - as text
    return path in (known, whole) or whole.endswith(os.sep + path)


def _functions(name: str, found: source.Source) -> frozenset[str]:
    """Return names and qualified names of all code in a module's source."""
    known = _index.functions.get(name)
    if known is not None and known[0] is found:
        return known[1]
    names = {qualified for qualified, _ in found.codes}
    names |= {qualified.rpartition(".")[2] for qualified in names}
    if len(_index.functions) >= _CACHED:
        _index.functions.clear()
    _index.functions[name] = (found, frozenset(names))
    return _index.functions[name][1]


def _learn_errors() -> None:
    """Collect the names of all exception classes that modules hold, if there are new classes."""
    found: set[type] = set()
    waiting: list[type] = [BaseException]
    while waiting and len(found) < _MOST_ERRORS:
        cls = waiting.pop()
        if cls not in found:
            found.add(cls)
            waiting += type.__subclasses__(cls)
    if len(found) == _index.classes:
        return
    _index.classes = len(found)
    names = {name for cls in found if (name := held_name(cls)) is not None}
    _index.errors = frozenset(names | {name.rpartition(".")[2] for name in names})
