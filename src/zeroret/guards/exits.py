"""Exits: what leaves in place of exceptions that derive from `BaseException` alone.

Cancellations, and the signals of libraries, pass as they are: event loops and cancel scopes tell
them by identity. An application's own, and exits that were given a text, leave as stand-ins of
their class.
"""

from __future__ import annotations

import sys
from asyncio import CancelledError
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import exceptions
from zeroret.guards.source import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Iterator

_BY_IDENTITY: Final = (CancelledError, GeneratorExit)
_code: Final[Any] = vars(SystemExit)["code"]
_args: Final[Any] = vars(BaseException)["args"]


def leaving(exc: BaseException) -> BaseException:
    """Return what leaves in place of *exc*, whose frames hold nothing any more if it stays."""
    shown = stand_in(exc)
    if shown is not exc:
        exceptions.clear(exc)
    return shown


def stand_in(exc: BaseException) -> BaseException:
    """Return what leaves in place of *exc*: itself where it is an exit that may."""
    if isinstance(exc, Exception):
        return exceptions.stand_in(exc)
    if isinstance(exc, BaseExceptionGroup):
        return _group(exc)
    if isinstance(exc, SystemExit):
        return _exit(exc)
    if isinstance(exc, KeyboardInterrupt) and type(exc) is KeyboardInterrupt:
        return exceptions.substitute(exc, None) if _args.__get__(exc) else exc
    if isinstance(exc, _BY_IDENTITY) or _is_of_library(type(exc)):
        return exc
    return exceptions.substitute(exc, None)


def _exit(exc: SystemExit) -> BaseException:
    """Return an exit of the same status: a text is printed by the interpreter, and means 1."""
    code = _code.__get__(exc)
    status = code if code is None or type(code) in (int, bool) else 1
    if status is code and type(exc) is SystemExit:
        return exc
    shown = exceptions.substitute(exc, None)
    if isinstance(shown, SystemExit):
        _code.__set__(shown, status)
    return shown


def _group(exc: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return a group of stand-ins and exits, as trio makes them; its exits keep their identity."""
    errors, exits = exc.split(Exception)
    if exits is None:
        return exceptions.substitute(exc, None)
    members = [stand_in(each) for each in _leaves(exits)]
    shown = [] if errors is None else [exceptions.stand_in(errors)]
    return BaseExceptionGroup("text withheld", [*shown, *members])


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Give the exceptions of *group* and of nested groups, flat."""
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


def _is_of_library(cls: type) -> bool:
    """Tell whether a library, or C code, defines *cls*; `BaseException` itself is anybody's."""
    module = sys.modules.get(str(cls.__module__))
    if module is None or vars(module).get(cls.__qualname__) is not cls or cls is BaseException:
        return False
    path = getattr(module, "__file__", None)
    return not isinstance(path, str) or path.startswith(LIBRARIES)
