"""Connections: those that an exchange's own code opens by no library that is guarded, counted.

A raw socket, an FTP client or a database driver that nobody patches writes past the guards of the
network and of stores. Audit events show that one was opened and where, that a datagram was sent,
and that a name was looked up that quotes content; nothing is refused. Connections from before,
those of uvloop and of native drivers raise no event.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.flight import CURRENT
from zeroret.guards import acting, audit, network, stores, tally
from zeroret.guards.sharing import shares
from zeroret.guards.tiers import Tier
from zeroret.guards.violations import report

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from zeroret.content.boundary import Boundary
    from zeroret.content.flight import Flight

_LOOPS: Final = ("asyncio.events", "trio._core", "concurrent.futures.")
"""Modules that run what others handed them: below them stands nobody who asked for it."""

_OWN: Final = ("zeroret.guards.", "zeroret.integrations.")


def install() -> None:
    """Watch for connections; each call needs its `uninstall`."""
    for event, handler in _EVENTS.items():
        audit.register(event, handler)


def uninstall() -> None:
    """Undo one `install`."""
    for event, handler in _EVENTS.items():
        audit.unregister(event, handler)


def tiers(boundary: Boundary) -> dict[str, Tier]:  # noqa: ARG001 - every guard is asked alike
    """Return what the posture says of connections."""
    if not audit.listening():
        return {"other connections": Tier("out of reach", "another audit hook kept ours out")}
    return {
        "other connections": Tier(
            "watched",
            "connections that no guarded library opens, datagrams, and lookups of names that "
            "quote content are counted; "
            "uvloop's and those of native drivers raise no event",
        )
    }


def _always(_args: tuple[Any, ...], _flight: Flight) -> bool:
    return True


def _is_addressed(args: tuple[Any, ...], _flight: Flight) -> bool:
    return args[1] is not None  # else it goes where a connection was counted


def _quotes(args: tuple[Any, ...], flight: Flight) -> bool:
    host = args[0]
    name = host.encode("utf-8", "surrogatepass") if isinstance(host, str) else host
    return isinstance(name, bytes) and shares(name, flight)


def _counted(concerns: Callable[[tuple[Any, ...], Flight], bool]) -> audit.Handler:
    def note(args: tuple[Any, ...]) -> None:
        _note(args, concerns)

    return note


_EVENTS: Final = {
    "socket.connect": _counted(_always),
    "socket.sendto": _counted(_is_addressed),
    "socket.sendmsg": _counted(_is_addressed),
    "socket.getaddrinfo": _counted(_quotes),
    "socket.gethostbyname": _counted(_quotes),
}
"""The audit events that are counted, and when."""


def _note(args: tuple[Any, ...], concerns: Callable[[tuple[Any, ...], Flight], bool]) -> None:
    flight = CURRENT.get()
    if flight is None:
        return
    try:
        if not concerns(args, flight):
            return
        frame = _asking(sys._getframe(1))  # noqa: SLF001 - the documented way to the caller's frame
        if frame is not None and not acting.exempt():
            report("connect", "reported", flight, frame)
    except Exception:  # noqa: BLE001 - what is only watched is never hurt
        with suppress(Exception):
            tally.count("connections", "failed")


def _asking(frame: FrameType | None) -> FrameType | None:
    """Return the application's frame that asks for a connection; None if a guarded library does.

    A library's own tasks have no such frame: they connect for whoever waits for them.
    """
    for _ in range(acting.DEEPEST):
        if frame is None:
            return None
        name = str(frame.f_globals.get("__name__"))
        if name.startswith(_LOOPS) or _is_guarded(name):
            return None
        if not name.startswith(_OWN) and acting.is_application(frame.f_code.co_filename):
            return frame
        frame = frame.f_back
    return None


def _is_guarded(name: str) -> bool:
    for library in (*network.LIBRARIES, *stores.LIBRARIES):
        # A package as a whole; of the standard library's, the module alone.
        root = library.partition(".")[0]
        known = library if root in sys.stdlib_module_names else root
        if name == known or name.startswith(known + "."):
            return True
    return name.startswith("logging.")  # records are guarded before a handler sends them
