"""Class names that may be shown: only those of classes that a loaded module really holds.

`type(prompt, (Exception,), {})` exists, so a class name is content until its module vouches for it.
Nothing here runs code of the class or of its metaclass.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Final

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

_CACHED: Final = 2048
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
        if not base.__flags__ & _HEAP_TYPE:
            return base  # type: ignore[no-any-return] # an entry of an MRO is a class
    return object


def _find(cls: type) -> str | None:
    try:
        module = sys.modules.get(_type_module.__get__(cls))
        qualname = _type_qualname.__get__(cls)
    except (AttributeError, TypeError):
        return None
    if not isinstance(module, ModuleType) or type(qualname) is not str or len(qualname) > LONGEST:
        return None
    found: Any = None
    namespace = _module_dict.__get__(module)
    for part in qualname.split("."):
        found = namespace.get(part)
        if not isinstance(type(found), type) or not issubclass(type(found), type):
            return None
        namespace = _type_dict.__get__(found)
    return qualname if found is cls else None
