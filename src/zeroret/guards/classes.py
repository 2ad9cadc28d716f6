"""Class names that may be shown: only those of classes that a loaded module really holds.

`type(prompt, (Exception,), {})` exists, so a class name is content until its module vouches for it:
it holds the class under that name, and its source spells the name. Nothing here runs code of the
class or of its metaclass.
"""

from __future__ import annotations

import sys
from importlib.machinery import BuiltinImporter, ExtensionFileLoader
from types import ModuleType
from typing import Any, Final

from zeroret.guards import source

LONGEST: Final = 64
"""Characters of the longest class name that is shown."""

OTHER: Final = "other"
"""What an exception is called whose class no module holds."""

_HEAP_TYPE: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made at run time, by a class statement or a call
_module_dict: Any = vars(ModuleType)["__dict__"]
_type_dict: Any = type.__dict__["__dict__"]
_type_module: Any = type.__dict__["__module__"]
_type_qualname: Any = type.__dict__["__qualname__"]
_type_mro: Any = type.__dict__["__mro__"]
_type_flags: Any = type.__dict__["__flags__"]

_CACHED: Final = 2048
_LONGEST_NAMES: Final = 1024
_held: dict[int, tuple[type, str]] = {}


def held_name(cls: type) -> str | None:
    """Return the qualified name of *cls* if a loaded module holds the class under it."""
    cached = _held.get(id(cls))
    if cached is not None and cached[0] is cls:
        return cached[1]
    name = _find(cls)
    if name is not None:
        if len(_held) >= _CACHED:
            _held.clear()
        _held[id(cls)] = (cls, name)
    return name


def held_base(cls: type) -> type:
    """Return the most derived class of *cls*'s bases, itself included, that a module holds."""
    for base in _type_mro.__get__(cls):
        if held_name(base) is not None:
            return base  # type: ignore[no-any-return] # an entry of an MRO is a class
    return object


def shown_name(value: object) -> str:
    """Return the class name of *value* if it may be shown, else ``object``."""
    return held_name(type(value)) or "object"


def full_name(cls: type) -> str:
    """Return ``module.QualName`` of the nearest held base, as a traceback prints it."""
    base = held_base(cls)
    module, name = _type_module.__get__(base), held_name(base)
    return f"{name}" if module == "builtins" else f"{module}.{name}"


def native_base(cls: type) -> type:
    """Return the nearest base whose instances C code lays out, such as `OSError`."""
    for base in _type_mro.__get__(cls):
        if not _type_flags.__get__(base) & _HEAP_TYPE:
            return base  # type: ignore[no-any-return] # an entry of an MRO is a class
    return object


def _find(cls: type) -> str | None:
    try:
        module = sys.modules.get(_type_module.__get__(cls))
        qualname = _type_qualname.__get__(cls)
    except (AttributeError, TypeError):
        return None
    if (
        not issubclass(type(module), ModuleType)
        or type(qualname) is not str
        or len(qualname) > LONGEST
    ):
        return None
    found: Any = None
    namespace = _module_dict.__get__(module)
    makers = [namespace]
    for part in qualname.split("."):
        found = namespace.get(part)
        if not issubclass(type(found), type):
            return None
        if _type_flags.__get__(found) & _HEAP_TYPE and not any(
            is_spelt(part, maker) for maker in makers
        ):
            return None
        namespace = _type_dict.__get__(found)
        # What a class holds may be its metaclass's or its bases' doing.
        makers += _namespaces(found)
    return qualname if found is cls else None


def is_spelt(name: str, namespace: dict[str, Any]) -> bool:
    """Tell whether a module's source spells *name* as an identifier or in a literal.

    A module of C code has no source, and what it holds was compiled.
    """
    known = source.source_of(namespace)
    if known is None:
        return False
    if not known.path:
        return _is_compiled(namespace) and name in namespace
    if name in known.names or name in known.constants:
        return True
    if any(name in _words(text) for text in known.constants if name in text):
        return True
    # `from _socket import *` spells nothing.
    twin = sys.modules.get(f"_{namespace.get('__name__')}")
    if not issubclass(type(twin), ModuleType):
        return False
    inner = _module_dict.__get__(twin)
    return _is_compiled(inner) and name in inner and inner[name] is namespace.get(name)


def _is_compiled(namespace: dict[str, Any]) -> bool:
    loader = namespace.get("__loader__")
    return loader is BuiltinImporter or isinstance(loader, ExtensionFileLoader)


def _words(text: str) -> list[str]:
    """Return the names in a literal such as ``"RED, GREEN"``; none of a longer text."""
    return text.replace(",", " ").split() if len(text) <= _LONGEST_NAMES else []


def _namespaces(cls: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for base in (*_type_mro.__get__(cls), *_type_mro.__get__(type(cls))):
        module = sys.modules.get(_type_module.__get__(base))
        if issubclass(type(module), ModuleType):
            found.append(_module_dict.__get__(module))
    return found
