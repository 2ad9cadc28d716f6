"""The guard of exception hooks: what is told of an exception that nobody caught.

`sys.excepthook`, `sys.unraisablehook` and `threading.excepthook` run when the exchange's context
may be gone: while any exchange is live or in grace, an exception's text is content. A program's own
hook, whenever it was set, gets a stand-in: class and places. The standard hooks print the same.
"""

from __future__ import annotations

import sys
import threading
from functools import wraps
from types import FunctionType, MethodType, ModuleType, SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import exceptions, names, source, streams, sysmodule, tally
from zeroret.guards.classes import shown_name
from zeroret.guards.owner import owner_of_error
from zeroret.guards.patches import Patches
from zeroret.guards.tiers import Tier

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.content.boundary import Boundary

PATCHES: Final = Patches("exception hooks")
"""The hook of `threading`, while the guard is in."""

_LAST: Final = ("last_exc", "last_value")


class _State:
    count = 0
    lock = threading.Lock()


class _Local(threading.local):
    made: tuple[Any, str] = (None, "")
    """What this thread's hook is about to be called with, and the exception's description."""


_local: Final = _Local()


def install() -> None:
    """Guard the hooks of this process; each call needs its `uninstall`."""
    with _State.lock:
        _State.count += 1
        if _State.count == 1:
            sysmodule.hooked("excepthook", _excepthook)
            sysmodule.hooked("unraisablehook", _unraisablehook)
            PATCHES.install()


def uninstall() -> None:
    """Undo one `install`; the last one leaves the program's own hooks in their places."""
    with _State.lock:
        if _State.count == 0:
            return
        _State.count -= 1
        if _State.count == 0:
            PATCHES.uninstall()
            sysmodule.unhooked("unraisablehook")
            sysmodule.unhooked("excepthook")


def tiers(boundary: Boundary) -> dict[str, Tier]:
    """Return what the posture says of exceptions that nobody caught."""
    return {
        "exception hooks": Tier(
            "closed" if boundary.enforce else "watched",
            "sys.excepthook, sys.unraisablehook and threading.excepthook tell class and places, "
            "to a program's own hooks, too",
        )
    }


def _is_withheld() -> bool:
    """Tell whether an exception that nobody caught is content, and to be withheld; count it.

    In report mode it is counted alone. Never raises.
    """
    try:
        owner = owner_of_error()
    except Exception:  # noqa: BLE001 - fails closed
        tally.count("exceptions", "failed")
        return True
    if owner is None:
        return False
    tally.count("exceptions", "withheld")
    return owner.enforce


def _excepthook(kind: Any, error: Any, trace: Any, /) -> Any:
    """`sys.excepthook` that tells a stand-in, to whatever hook the program has set."""
    own = sysmodule.delegate("excepthook")
    if not _is_withheld():
        return own(kind, error, trace)
    shown = _stand_in(error, trace)
    _forget_last(shown)
    if own is sys.__excepthook__:
        _print(_description(error, trace))
        return None
    return own(type(shown), shown, shown.__traceback__)


def _unraisablehook(unraisable: Any, /) -> Any:
    """`sys.unraisablehook` likewise: for finalisers, and threads that C code started."""
    own = sysmodule.delegate("unraisablehook")
    if not _is_withheld():
        return own(unraisable)
    error, trace = unraisable.exc_value, unraisable.exc_traceback
    shown = _stand_in(error, trace)
    where = _name_of(unraisable.object)
    if own is sys.__unraisablehook__:
        _print(f"Exception ignored in: {where}\n{_description(error, trace)}")
        return None
    return own(
        SimpleNamespace(
            exc_type=type(shown),
            exc_value=shown,
            exc_traceback=shown.__traceback__,
            err_msg=None,
            object=where,
        )
    )


@PATCHES.when_imported("threading")
def _watch_threading(module: ModuleType) -> None:
    PATCHES.replace(module, "ExceptHookArgs", _making_args)
    PATCHES.replace(module, "excepthook", _thread_hook)


def _making_args(original: Any) -> Any:
    """Return what threads make their hook's argument with: so every hook gets a stand-in."""

    class ExceptHookArgs(metaclass=_Instances):
        real = original

        def __new__(cls, args: Any, /) -> Any:
            kind, error, trace, thread = args
            if not PATCHES.active or not _is_withheld():
                return original(args)
            if kind is SystemExit:  # which the standard hook ignores, by its exact class
                return original([SystemExit, SystemExit(), None, _thread(thread)])
            shown = _stand_in(error, trace)
            made = original([type(shown), shown, shown.__traceback__, _thread(thread)])
            _local.made = made, _description(error, trace)
            return made

    return ExceptHookArgs


class _Instances(type):
    """Makes `isinstance` ask the class that is replaced."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.real)  # type: ignore[attr-defined] # set by each class


def _thread_hook(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Have the standard hook print a description of what `ExceptHookArgs` made.

    Its own writing would be withheld line by line.
    """

    @wraps(original)
    def excepthook(args: Any, /) -> Any:
        (made, description), _local.made = _local.made, (None, "")
        if original is not threading.__excepthook__ or args is not made:
            return original(args)
        name = names.thread(getattr(args.thread, "name", None)) or str(threading.get_ident())
        _print(f"Exception in thread {name}:\n{description}")
        return None

    return excepthook


def _thread(thread: threading.Thread | None) -> threading.Thread | None:
    """Return a thread without content in place of *thread*: its ordinary name, nothing it holds."""
    if thread is None:
        return None
    shown = threading.Thread(name=names.thread(thread.name), daemon=thread.daemon)
    shown._ident = thread.ident  # type: ignore[attr-defined] # noqa: SLF001 - so that a hook can tell which
    return shown


def _stand_in(error: Any, trace: Any) -> BaseException:
    """Return what stands for *error*; it never raises, and never is *error*."""
    try:
        if isinstance(error, BaseException):
            return exceptions.substitute(error, trace if isinstance(trace, TracebackType) else None)
    except Exception:  # noqa: BLE001 - fails closed
        tally.count("exceptions", "failed")
    return exceptions.StandIn()


def _description(error: Any, trace: Any) -> str:
    """Return what the standard hooks print of *error*; never raises."""
    try:
        if isinstance(error, BaseException):
            return exceptions.describe(error, trace if isinstance(trace, TracebackType) else None)
    except Exception:  # noqa: BLE001 - fails closed
        tally.count("exceptions", "failed")
    return "[withheld exception]"


def _name_of(held: object) -> str:
    """Return what may be said of the object that an unraisable exception came from."""
    function = held.__func__ if isinstance(held, MethodType) else held
    if isinstance(function, FunctionType) and source.is_source(
        function.__code__, function.__globals__
    ):
        return f"<function {function.__code__.co_qualname}>"
    return f"<{shown_name(held)}>"


def _forget_last(shown: BaseException) -> None:
    """Let go of the exception that the interpreter keeps for debuggers."""
    kept = vars(sys)
    for name in _LAST:
        if name in kept:
            kept[name] = shown
    if "last_type" in kept:
        kept["last_type"], kept["last_traceback"] = type(shown), shown.__traceback__


def _print(text: str) -> None:
    """Write a description to standard error, as the standard hooks do."""
    if sys.stderr is None:
        return
    try:
        streams.say(sys.stderr, text + "\n")
        sys.stderr.flush()
    except Exception:  # noqa: BLE001 - nobody is left to be told
        tally.count("exceptions", "failed")
