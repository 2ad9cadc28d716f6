"""The `sys` module's own attributes: standard streams and hooks that a program sets at any time.

The module gets a class of its own (documented for modules) whose `__setattr__` sees what is set. A
hook of ours stays in the module's namespace, where the interpreter looks for it; the program reads
and writes its own hook, to which ours delegates. C code that sets attributes itself is not seen.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, Final, TypeAlias

Filter: TypeAlias = Callable[[str, Any], Any]
"""Takes an attribute's name and new value; returns the value to set."""

_filters: Final[dict[str, Filter]] = {}
_delegates: Final[dict[str, Any]] = {}
_ours: Final[dict[str, Any]] = {}
_namespace: Final[dict[str, Any]] = vars(sys)


class _Before:
    """The class of the module while it is not ours."""

    cls: Any = ModuleType
    lock = threading.RLock()


def _hook(name: str) -> property:
    """Return a property that reads the program's own hook, as if ours were not there."""

    def read(_module: Any) -> Any:
        try:
            return _delegates[name] if name in _delegates else _namespace[name]
        except KeyError:
            raise AttributeError(f"module 'sys' has no attribute {name!r}") from None

    def write(_module: Any, value: Any) -> None:
        if name not in _delegates:
            _namespace[name] = value
        elif value is not _ours[name]:
            _delegates[name] = value

    def delete(_module: Any) -> None:
        held = _delegates if name in _delegates else _namespace
        if held.pop(name, None) is None:
            raise AttributeError(name)
        if held is _delegates:
            held[name] = _namespace[f"__{name}__"]

    return property(read, write, delete)


class GuardedModule(ModuleType):
    """`sys`, which tells what is set on it."""

    __slots__ = ()

    excepthook = _hook("excepthook")
    unraisablehook = _hook("unraisablehook")

    def __setattr__(self, name: str, value: Any) -> None:
        seen = _filters.get(name)
        if seen is not None:
            value = seen(name, value)
        super().__setattr__(name, value)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # Those who pickle modules know them by their exact class.
        return import_module, (self.__name__,)


def filtered(name: str, seen: Filter) -> None:
    """Have *seen* look at what is set as ``sys.<name>`` from now on."""
    with _Before.lock:
        _filters[name] = seen
        _dress()


def unfiltered(name: str) -> None:
    """Undo `filtered`."""
    with _Before.lock:
        _filters.pop(name, None)
        _dress()


def hooked(name: str, ours: Callable[..., Any]) -> None:
    """Put *ours* before the hook ``sys.<name>``, whatever the program sets from now on."""
    with _Before.lock:
        if name not in _delegates:
            _delegates[name], _ours[name] = _namespace[name], ours
            _namespace[name] = ours
            _dress()


def unhooked(name: str) -> None:
    """Undo `hooked`: the program's own hook is called again."""
    with _Before.lock:
        if name in _delegates:
            own = _delegates.pop(name)
            if _namespace.get(name) is _ours.pop(name):
                _namespace[name] = own
            _dress()


def delegate(name: str) -> Any:
    """Return the program's own hook."""
    return _delegates.get(name) or _namespace[f"__{name}__"]


def _dress() -> None:
    """Give the module the class that the present watches need."""
    module: Any = sys
    wanted = bool(_filters or _delegates)
    if wanted and type(module) is not GuardedModule:
        _Before.cls = type(module)
        module.__class__ = GuardedModule
    elif not wanted and type(module) is GuardedModule:
        module.__class__ = _Before.cls
