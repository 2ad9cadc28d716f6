"""Exceptions without content: stand-ins, their description, and the class name a record may hold.

The text of an exception is content, and so are its arguments, notes, attributes, causes and the
locals of every frame it passed. What remains is its class, if a module holds it, and the places.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import tracebacks
from zeroret.guards.classes import LONGEST, OTHER, full_name, held_base, held_name, native_base

if TYPE_CHECKING:
    from types import TracebackType

DEEPEST: Final = 16
"""Exceptions of the longest chain, and of the deepest group, that are shown."""

WIDEST: Final = 64
"""Members of the largest group that are shown."""

_CACHED: Final = 512
_CAUSE: Final = "The above exception was the direct cause of the following exception:"
_CONTEXT: Final = "During handling of the above exception, another exception occurred:"
_HOOKS: Final = frozenset(
    {
        *("__init_subclass__", "__setattr__", "__getattribute__", "__class__", "args"),
        *("__traceback__", "__cause__", "__context__", "__suppress_context__", "__notes__"),
    }
)
"""What a class must not redefine if its stand-in is to derive from it."""

_SUSPENDABLE: Final = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_base: Any = BaseException.__dict__
_group: Any = BaseExceptionGroup.__dict__
_syntax_message: Any = SyntaxError.__dict__["msg"]


class StandIn(Exception):  # noqa: N818 - it stands in for an error, which has its own name
    """Stands in for an exception whose class cannot be derived from."""

    __slots__ = ("_zeroret",)

    def __str__(self) -> str:
        return _sentence_of(self)

    def __repr__(self) -> str:
        return f"<{_sentence_of(self)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (StandIn, ())


_derived: dict[int, tuple[type, type[BaseException]]] = {}


def stand_in(exc: BaseException) -> BaseException:
    """Return a content-free exception in place of *exc*.

    Its class derives from the original's where that works, and bears its name; it has no arguments,
    notes, cause, context or attributes, and a traceback of places only. Groups are rebuilt of
    stand-ins. What is no `Exception` (a cancellation, an exit) is returned as it is.
    """
    return substitute(exc, None) if isinstance(exc, Exception) else exc


def substitute(exc: BaseException, trace: TracebackType | None) -> BaseException:
    """Return a stand-in for any exception, exits included; *trace* overrides its traceback."""
    return _substitute(exc, trace, DEEPEST, {})


def plain(exc: BaseException, trace: TracebackType | None) -> StandIn:
    """Return a stand-in of no class that anybody takes apart; *trace* as for `substitute`."""
    shown = tracebacks.places(trace or _base["__traceback__"].__get__(exc))
    new = StandIn.__new__(StandIn)
    # A stand-in knows the class it stands for, and nobody else's word is taken for it.
    told = _sentence_of(exc) if type(exc) is StandIn else _sentence(exc, shown)
    _set_sentence(new, told)
    _base["__traceback__"].__set__(new, tracebacks.synthetic(shown))
    return new


def clear(exc: BaseException) -> None:
    """Empty the locals of every frame that ended with *exc*, its chain or its groups.

    A coroutine that caught the exception may be waiting now, even in another exchange, if both met
    the same exception object: before Python 3.13, clearing its frame would end it.
    """
    for each in _all_of(exc):
        trace = _base["__traceback__"].__get__(each)
        while trace is not None:
            frame = trace.tb_frame
            if frame.f_lasti == trace.tb_lasti or not frame.f_code.co_flags & _SUSPENDABLE:
                with suppress(RuntimeError):  # it runs
                    frame.clear()
            trace = trace.tb_next


def describe(exc: BaseException, trace: TracebackType | None = None) -> str:
    """Return a content-free traceback text: class names, places, source lines.

    Chains and groups are shown, notes are counted, every message is withheld.
    """
    return "\n".join(_description(exc, trace, "", set(), DEEPEST))


def error_type(exc: BaseException) -> str:
    """Return the class name of *exc* if a loaded module really holds the class, else ``other``."""
    name = held_name(type(exc))
    return name if name is not None and len(name) <= LONGEST else OTHER


def _substitute(
    exc: BaseException, trace: TracebackType | None, depth: int, made: dict[int, BaseException]
) -> BaseException:
    """Return the stand-in; *made* holds those of the group so far, since members may be shared."""
    if id(exc) in made:
        return made[id(exc)]
    shown = tracebacks.places(trace or _base["__traceback__"].__get__(exc))
    sentence = _sentence(exc, shown)
    members = _members(exc)
    new: BaseException
    if members and depth > 0:
        new_members = [_substitute(each, None, depth - 1, made) for each in members]
        new = _new_group(exc, sentence, new_members)
    else:
        new = _new(type(exc), sentence)
    _base["__traceback__"].__set__(new, tracebacks.synthetic(shown))
    _base["__suppress_context__"].__set__(new, True)
    made[id(exc)] = new
    return new


def _new(cls: type, sentence: str) -> BaseException:
    try:
        made = _derive(cls)
        native: Any = native_base(made)
        new: BaseException = native.__new__(made)
        type.__getattribute__(made, "_zeroret").__set__(new, sentence)
        if issubclass(made, SyntaxError):
            _syntax_message.__set__(new, sentence)  # renderers ask for it, not for the text
    except Exception:  # noqa: BLE001 - a class may refuse in any way it likes; the plain one never does
        new = StandIn.__new__(StandIn)
        _set_sentence(new, sentence)
    return new


def _new_group(exc: BaseException, sentence: str, members: list[BaseException]) -> BaseException:
    try:
        made = _derive(type(exc))
        new: BaseException = BaseExceptionGroup.__new__(made, sentence, members)  # type: ignore[type-var] # derived from a group's class
        type.__getattribute__(made, "_zeroret").__set__(new, sentence)
    except Exception:  # noqa: BLE001 - as for single exceptions
        return BaseExceptionGroup(sentence, members)
    return new


def _derive(cls: type) -> type[BaseException]:
    """Return a class derived from *cls*, or from its nearest held base; raises if it refuses."""
    # By the base, which a module holds: a class of the exchange's own must not outlive it.
    base: Any = held_base(cls)
    cached = _derived.get(id(base))
    if cached is not None and cached[0] is base:
        return cached[1]
    if type(base) is not type or _is_hooked(base):
        raise TypeError
    namespace: dict[str, Any] = {
        "__slots__": ("_zeroret",),
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": None,
        "__str__": StandIn.__str__,
        "__repr__": StandIn.__repr__,
        "__reduce__": StandIn.__reduce__,
        "derive": _derive_group,
    }
    if not issubclass(base, BaseExceptionGroup):
        del namespace["derive"]
    made: type[BaseException] = type(base.__qualname__.rpartition(".")[2], (base,), namespace)
    if len(_derived) >= _CACHED:
        _derived.clear()
    _derived[id(base)] = (base, made)
    return made


def _is_hooked(base: type) -> bool:
    """Tell whether deriving or making instances would run the class's own code."""
    native = native_base(base)
    for each in type.__dict__["__mro__"].__get__(base):
        if each is native:
            return False
        if not _HOOKS.isdisjoint(each.__dict__):
            return True
    return True


def _derive_group(
    self: BaseExceptionGroup[BaseException], members: list[BaseException], /
) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup(_sentence_of(self), members)


def _sentence_of(exc: BaseException) -> str:
    try:
        for each in type(exc).__mro__:
            slot = each.__dict__.get("_zeroret")
            if slot is not None:
                sentence = slot.__get__(exc)
                return sentence if type(sentence) is str else "[withheld]"
    except AttributeError:
        pass
    return "[withheld]"


def _set_sentence(exc: BaseException, sentence: str) -> None:
    StandIn.__dict__["_zeroret"].__set__(exc, sentence)


def _sentence(exc: BaseException, shown: list[tracebacks.Place | int]) -> str:
    name = held_name(held_base(type(exc))) or OTHER
    place = tracebacks.innermost(shown)
    if place is None:
        return f"{name}, text withheld"
    return f"{name} at {Path(place.path).name}:{place.line} in {place.function}, text withheld"


def _members(exc: BaseException) -> list[BaseException]:
    if not isinstance(exc, BaseExceptionGroup):
        return []
    return list(_group["exceptions"].__get__(exc))[:WIDEST]


def _description(
    exc: BaseException,
    trace: TracebackType | None,
    margin: str,
    seen: set[int],
    depth: int,
) -> list[str]:
    """Return the lines for *exc*, what led to it first."""
    seen.add(id(exc))
    lines: list[str] = []
    cause, context = _base["__cause__"].__get__(exc), _base["__context__"].__get__(exc)
    before, why = (cause, _CAUSE) if cause is not None else (context, _CONTEXT)
    if cause is None and _base["__suppress_context__"].__get__(exc):
        before = None
    if before is not None and id(before) not in seen and len(seen) < DEEPEST:
        lines += _description(before, None, margin, seen, depth)
        lines += ["", f"{margin}{why}", ""]
    shown = tracebacks.places(trace or _base["__traceback__"].__get__(exc))
    lines += [margin + line for line in tracebacks.text(shown)]
    notes = _notes(exc)
    counted = f" ({notes} notes withheld)" if notes else ""
    lines.append(f"{margin}{full_name(type(exc))}: [withheld]{counted}")
    members = _members(exc)
    if depth > 0:
        for number, member in enumerate(members, 1):
            lines.append(f"{margin}  +---------------- {number} ----------------")
            if id(member) not in seen:
                lines += _description(member, None, f"{margin}  | ", seen, depth - 1)
    return lines


def _notes(exc: BaseException) -> int:
    namespace = _base["__dict__"].__get__(exc)
    notes = namespace.get("__notes__")
    return len(notes) if type(notes) is list else 0


def _all_of(exc: BaseException) -> list[BaseException]:
    """Return *exc*, its chain, and their members, each once."""
    found: dict[int, BaseException] = {}
    waiting = [exc]
    while waiting:
        each = waiting.pop()
        if id(each) in found:
            continue
        found[id(each)] = each
        for key in ("__cause__", "__context__"):
            other = _base[key].__get__(each)
            if other is not None:
                waiting.append(other)
        if isinstance(each, BaseExceptionGroup):
            waiting += _group["exceptions"].__get__(each)
    return list(found.values())
