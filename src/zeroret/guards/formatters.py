"""Formatters: which of them add nothing of their own, and what the others may add.

The standard library's formatters show a record and a format. Others put together what they like: a
program's host name and version, its keys, or a prompt. What they may add is what their class's
source spells, and what they held before any content was in flight.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import weakref
from contextlib import suppress
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from zeroret.content.flight import CURRENT
from zeroret.content.live import LIVE
from zeroret.guards import source
from zeroret.guards.classes import held_name

if TYPE_CHECKING:
    from types import CodeType, FrameType

TRUSTED: Final = frozenset(
    {
        ("uvicorn.logging", "AccessFormatter"),
        ("uvicorn.logging", "ColourizedFormatter"),
        ("uvicorn.logging", "DefaultFormatter"),
        ("django.utils.log", "ServerFormatter"),
    }
)
"""Classes of other packages that add colours, and nothing else, to what the record says."""

_STYLES: Final = (logging.PercentStyle, logging.StrFormatStyle, logging.StringTemplateStyle)
_FIELDS: Final = frozenset(
    {
        *("_style", "_fmt", "datefmt", "converter", "default_time_format", "default_msec_format"),
        *("use_colors", "style"),
    }
)
_HOLE: Final = re.compile(
    r"%\([^)]{0,64}\)[-#0 +\d.*]{0,9}[a-zA-Z]|%[-#0 +\d.*]{0,9}[a-zA-Z]|\{[^{}]{0,64}\}"
)
_TRIMMED: Final = " \t\r\n!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_LONGEST: Final = 256
_LONGEST_VALUE: Final = 64
_MOST: Final = 1024
_DEEPEST: Final = 4
_type_dict: Any = type.__dict__["__dict__"]
_type_module: Any = type.__dict__["__module__"]
_type_mro: Any = type.__dict__["__mro__"]
_CACHED: Final = 256


class Learnt(NamedTuple):
    """What a formatter held while no content was in flight."""

    formatter: weakref.ref[Any]
    format: object
    """The text of its style, by identity, so that another one is seen."""
    phrases: frozenset[str]


_learnt: dict[int, Learnt] = {}
plain: dict[int, tuple[Any, object]] = {}
"""Formatters known to be plain, by id: the formatter itself, and the format it had."""

_strange: dict[int, weakref.ref[Any]] = {}
_spelt: dict[type, frozenset[str]] = {}


def is_plain(formatter: object) -> bool:
    """Tell whether *formatter* adds nothing to a record but the text of a known format."""
    if formatter is None:
        return True
    known = plain.get(id(formatter))
    if known is not None and known[0] is formatter and known[1] is _format_of(formatter):
        return True
    strange = _strange.get(id(formatter))
    if strange is not None and strange() is formatter:
        return False
    if _is_plain(formatter):
        if len(plain) >= _CACHED:
            plain.clear()
        plain[id(formatter)] = (formatter, _format_of(formatter))
        return True
    if len(_strange) >= _CACHED:
        _strange.clear()
    with suppress(TypeError):  # it has slots, and no room for a weak reference
        _strange[id(formatter)] = weakref.ref(formatter)
    return False


def shows_message(formatter: object) -> bool:
    """Tell whether the format of *formatter* is the record's message, and nothing else."""
    return _format_of(formatter) == "%(message)s"


def learn(formatter: object) -> None:
    """Take what *formatter* holds as its own, if no content is in flight now."""
    if CURRENT.get() is not None or LIVE.busy or formatter is None:
        return
    known = _learnt.get(id(formatter))
    if known is not None and known.formatter() is formatter:
        return
    try:
        reference = weakref.ref(formatter)
    except TypeError:
        return
    found: set[str] = set()
    _collect(getattr(formatter, "__dict__", None), found, _DEEPEST)
    module = sys.modules.get(_type_module.__get__(type(formatter)))
    if isinstance(module, ModuleType):
        _collect([value for value in vars(module).values() if type(value) is str], found, 1)
    _collect([value for value in os.environ.values() if len(value) <= _LONGEST_VALUE], found, 1)
    if len(_learnt) >= _CACHED:
        _learnt.clear()
    _learnt[id(formatter)] = Learnt(reference, _format_of(formatter), phrases_of(found))
    _strange.pop(id(formatter), None)


def phrases(formatter: object) -> frozenset[str]:
    """Return what *formatter* may add to a record's own text, stripped of punctuation."""
    known = _learnt.get(id(formatter))
    own: frozenset[str] = frozenset()
    if known is not None and known.formatter() is formatter:
        own = known.phrases
    return own | spelt(type(formatter)) | COMMON


def spelt(cls: type) -> frozenset[str]:
    """Return the literals in the source of the modules that define *cls* and its bases."""
    found = _spelt.get(cls)
    if found is None:
        literals: set[str] = set()
        for base in _type_mro.__get__(cls):
            literals |= _literals(base)
        found = phrases_of(literals)
        if held_name(cls) is not None:  # a class of an exchange's own must not outlive it
            if len(_spelt) >= _CACHED:
                _spelt.clear()
            _spelt[cls] = found
    return found


def spelt_by(adding: object) -> frozenset[str]:
    """Return the words that a function or a callable object may add: its source's, its settings."""
    if not isinstance(adding, FunctionType | MethodType):
        return phrases(adding)
    return _spelt_by_code(adding.__code__, getattr(adding, "__globals__", {}))


def spelt_in(frame: FrameType) -> frozenset[str]:
    """Return the words that the function running in *frame* may add."""
    return _spelt_by_code(frame.f_code, frame.f_globals)


def _spelt_by_code(code: CodeType, namespace: dict[str, Any]) -> frozenset[str]:
    if not source.is_source(code, namespace):
        return COMMON
    return phrases_of(set(source.strings(code.co_consts))) | COMMON


def phrases_of(literals: set[str]) -> frozenset[str]:
    """Return *literals* cut at their conversions and fields, and stripped."""
    found: set[str] = set()
    for literal in literals:
        for line in _HOLE.sub("\n", literal).splitlines():
            piece = line.strip(_TRIMMED)
            if piece:
                found.add(piece.casefold())
    return frozenset(found)


def _literals(base: type) -> set[str]:
    """Return the short literals of a class's methods, and of its module if that holds the class."""
    if base is object or base is logging.Formatter:
        return set()
    found: set[str] = set()
    for method in list(_type_dict.__get__(base).values()):
        if isinstance(method, FunctionType) and source.is_source(
            method.__code__, method.__globals__
        ):
            found.update(source.strings(method.__code__.co_consts))
    module = sys.modules.get(_type_module.__get__(base)) if held_name(base) is not None else None
    known = source.source_of(vars(module)) if isinstance(module, ModuleType) else None
    if known is not None:
        found |= known.constants
    # Long ones are prose: too many of their words are anybody's.
    return {text for text in found if len(text) <= _LONGEST}


def _is_plain(formatter: object) -> bool:
    cls = type(formatter)
    if cls is not logging.Formatter and (
        (cls.__module__, cls.__qualname__) not in TRUSTED or held_name(cls) is None
    ):
        return False
    attributes = getattr(formatter, "__dict__", {})
    style = attributes.get("_style")
    if not attributes.keys() <= _FIELDS or type(style) not in _STYLES:
        return False
    known = _learnt.get(id(formatter))
    if known is not None and known.formatter() is formatter:
        return known.format is _format_of(formatter)
    if getattr(style, "_defaults", None) is not None:
        return False
    texts = (_format_of(formatter), attributes.get("datefmt"))
    return all(text is None or _is_literal(text) for text in texts)


def _is_literal(text: object) -> bool:
    """Tell whether *text* equals a literal of a module whose source was read."""
    if type(text) is not str:
        return False
    if text in (logging.BASIC_FORMAT, "%(message)s"):
        return True
    return source.is_known_literal(text)


def _format_of(formatter: object) -> object:
    style = getattr(formatter, "_style", None)
    return getattr(style, "_fmt", None)


def _collect(value: object, found: set[str], depth: int) -> None:
    if len(found) >= _MOST or depth < 0:
        return
    kind = type(value)
    if kind is str:
        if len(value) <= _LONGEST:  # type: ignore[arg-type] # exactly a str
            found.add(value)  # type: ignore[arg-type] # likewise
    elif kind is int or kind is float:
        found.add(str(value))
    elif kind is dict:
        for key, each in list(value.items()):  # type: ignore[attr-defined] # exactly a dict
            _collect(key, found, depth - 1)
            _collect(each, found, depth - 1)
    elif kind in (list, tuple, set, frozenset):
        for each in list(value):  # type: ignore[call-overload] # one of the four
            _collect(each, found, depth - 1)
    elif isinstance(value, _STYLES):
        _collect(vars(value), found, depth - 1)


def _hosts() -> set[str]:
    name = socket.gethostname()
    return {name, name.partition(".")[0]}


COMMON: Final = phrases_of(
    {
        *("true", "false", "null", "none", "nan", "inf", "infinity", "object", "at", "class"),
        *("traceback", "utc", "gmt", "am", "pm", "z", "t"),
        *("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
        *("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
        *_hosts(),
    }
)
"""Words of renderings: constants of JSON and Python, days and months, and this host's name."""
