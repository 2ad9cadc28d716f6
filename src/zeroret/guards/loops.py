"""The guard of event loops: what their exception handlers are told.

Tasks whose exception nobody retrieved, callbacks that raise, what a program hands to
`call_exception_handler`: the handler, the loop's or the program's own, gets the message if it is
known and a stand-in for the exception, and none of the objects that hold content.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.flight import CURRENT
from zeroret.guards import exceptions, records, tally
from zeroret.guards.owner import exchange_in, owner_of_error
from zeroret.guards.patches import Patches
from zeroret.guards.tiers import Tier
from zeroret.guards.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType

    from zeroret.content.boundary import Boundary
    from zeroret.content.flight import Flight
    from zeroret.guards.owner import Owner

PATCHES: Final = Patches("event loops")
"""The classes of event loops, while the guard is in."""

_WORKERS: Final = ("task", "future", "handle")
"""What a context names of those who ran, each in a context of its own."""


def install() -> None:
    """Guard the event loops of this process; each call needs its `uninstall`."""
    PATCHES.install()


def uninstall() -> None:
    """Undo one `install`; the last one leaves the classes as they were before the first."""
    PATCHES.uninstall()


def tiers(boundary: Boundary) -> dict[str, Tier]:
    """Return what the posture says of event loops."""
    return {
        "event loops": Tier(
            "closed" if boundary.enforce else "watched",
            "exception handlers of asyncio and uvloop get class and places",
        )
    }


@PATCHES.when_imported("asyncio.base_events")
def _watch_asyncio(module: ModuleType) -> None:
    base: Any = module.BaseEventLoop
    waiting = [base]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if "call_exception_handler" in vars(cls):
            PATCHES.replace(cls, "call_exception_handler", _calling)


@PATCHES.when_imported("uvloop")
def _watch_uvloop(module: ModuleType) -> None:
    PATCHES.replace(module.Loop, "call_exception_handler", _calling)


def _calling(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    @wraps(original)
    def call_exception_handler(self: Any, context: Any) -> None:
        if not PATCHES.active:
            original(self, context)
            return
        where: Any = None
        try:
            where, shown, flight = _judged(context, sys._getframe().f_back)  # noqa: SLF001 - the documented way to the caller's frame
        except Exception:  # noqa: BLE001 - fails closed
            tally.count("exceptions", "failed")
            shown, flight = {"message": "[withheld: guard error]"}, None
        if shown is context:
            original(self, context)
        else:
            _call(original, self, shown, flight, where)

    return call_exception_handler


def _judged(context: Any, frame: FrameType | None) -> tuple[Any, Any, Flight | None]:
    """Return the context in which to call the handler, what it is told, and whose it is."""
    where = _context_of(context)
    owner = owner_of_error(exchange_in(where))
    if owner is None:
        return None, context, None
    tally.count("exceptions", "withheld")
    if not owner.enforce:
        return None, context, None
    shown: dict[str, Any] = {"message": _message(context.get("message"), owner, frame)}
    error = context.get("exception")
    if isinstance(error, BaseException):
        shown["exception"] = exceptions.substitute(error, None)
    return where, shown, owner.flight


def _call(
    original: Callable[[Any, Any], None],
    loop: Any,
    shown: Any,
    flight: Flight | None,
    where: Any,
) -> None:
    """Call the handler where the work ran, so that it finds the program's own context there."""
    if where is not None:
        try:
            where.run(original, loop, shown)
        except RuntimeError as error:
            if "already entered" not in str(error):
                raise
        else:
            return
    token = CURRENT.set(flight)
    try:
        original(loop, shown)
    finally:
        CURRENT.reset(token)


def _context_of(context: Any) -> Any:
    """Return the `contextvars.Context` of the task, future or handle; None if there is none."""
    for name in _WORKERS:
        worker = context.get(name)
        if worker is None:
            continue
        get = getattr(worker, "get_context", None)  # tasks, from Python 3.12 on
        found = getattr(worker, "_context", None) if get is None else get()
        if found is not None:
            return found
    return None


def _message(message: object, owner: Owner, frame: FrameType | None) -> str:
    """Return what is shown of a message: one that loops are known for, or a source text."""
    if type(message) is not str:
        return "[withheld]"
    known = _known(message)
    return known or Writing(owner._replace(strict=True), frame).text(message)


def _known(message: str) -> str | None:
    """Return what loops say of their own, without what they add to it; None if it is not that.

    As a constant of this code it passes the log guard, too.
    """
    for known in (
        "Task exception was never retrieved",
        "Future exception was never retrieved",
        "Task was destroyed but it is pending!",
        "Unhandled exception in event loop",
        "Unhandled error in exception handler",
        "unhandled exception during asyncio.run() shutdown",
        "Exception in callback",
        "Fatal error on transport",
        "Fatal error: protocol.data_received() call failed.",
        "Fatal error: protocol.eof_received() call failed.",
        "Fatal read error on socket transport",
        "Fatal write error on socket transport",
        "Error on transport creation for incoming connection",
        "Unhandled exception in client_connected_cb",
        "SSL handshake failed",
        "socket.accept() out of system resource",
    ):
        if message.startswith(known):
            records.constant(known, sys._getframe())  # noqa: SLF001 - it is proved here, and known from now on
            return known
    return None
