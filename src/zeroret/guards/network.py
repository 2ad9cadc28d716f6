"""The network: requests of the HTTP libraries are judged where they write, pooled ones too.

Inside an exchange a request may carry its content to allowed upstreams alone; what may not leave
raises a `RetentionViolation` in the code that tried. Where no exchange is known, content of any in
flight is counted and passes. Each library has its integration; see `LIBRARIES`.
"""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.flight import CURRENT
from zeroret.content.live import LIVE
from zeroret.errors import RetentionViolation
from zeroret.guards import egress, tally, trackers
from zeroret.guards.egress import Request
from zeroret.guards.patches import Patches
from zeroret.guards.sharing import Pieces, shares_any
from zeroret.guards.surfacing import raised
from zeroret.guards.threads import OWN_PREFIX
from zeroret.guards.tiers import Tier
from zeroret.guards.violations import refuse, report, telling

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.content.boundary import Boundary
    from zeroret.content.flight import Flight
    from zeroret.guards.egress import Target
    from zeroret.guards.violations import Kind

LIBRARIES: Final = {
    "aiohttp": "aiohttp",
    "anthropic": "anthropic",
    "botocore": "botocore",
    "http.client": "http_client",
    "httpcore": "httpcore",
    "httpcore2": "httpcore",
    "httpx": "httpx",
    "httpx2": "httpx",
    "httpx2.websockets._api": "httpx2_websockets",
    "openai": "openai",
    "requests": "requests",
    "smtplib": "smtplib",
    "urllib.request": "http_client",
    "urllib3": "urllib3",
    "websockets.asyncio.client": "websockets",
    "websockets.client": "websockets",
    "websockets.sync.client": "websockets",
    "websockets.trio.client": "websockets",
}
"""Modules that are patched, and the module of `zeroret.integrations` that knows how."""

SENDERS: Final = {
    "opentelemetry.sdk._shared_internal": "opentelemetry.sdk.trace",
    "opentelemetry.sdk.metrics._internal.export": "opentelemetry.sdk.metrics._internal.export",
    "rollbar": "rollbar",
    "sentry_sdk.worker": "sentry_sdk.transport",
}
"""Modules whose functions trackers run in threads, and where what they send was judged."""

PATCHES: Final = Patches("network")
"""The patches of this guard."""


def install() -> None:
    """Guard the libraries of `LIBRARIES`, now or when they come; each call needs its undoing."""
    PATCHES.install()


def uninstall() -> None:
    """Undo one `install`."""
    PATCHES.uninstall()


def tiers(boundary: Boundary) -> dict[str, Tier]:
    """Return what the posture says of the network."""
    upstreams = boundary.upstreams
    if upstreams is None:
        allowed = "the known providers and this machine"
    else:
        allowed = ", ".join(upstreams.names) or "no host"
    parts = [f"content may go to {allowed}"]
    if upstreams is not None and upstreams.cleartext:
        parts.append(f"in cleartext to {', '.join(upstreams.cleartext)}")
    if boundary.upstream_storage == "forbid":
        parts.append("which may not be asked to keep it")
    parts.append(f"patched: {', '.join(sorted(PATCHES.watched)) or 'nothing yet'}")
    if PATCHES.troubles:
        parts.append(f"of another shape than known: {', '.join(sorted(PATCHES.troubles))}")
    return {"network": Tier("watched", "; ".join(parts))}


def is_judged() -> bool:
    """Tell whether a request that this code makes now is to be judged at all; asked first."""
    if not PATCHES.active:
        return False
    return CURRENT.get() is not None or LIVE.busy


def judge(aim: Callable[[], Target], make: Callable[[], Request]) -> Passing | None:
    """Let a request pass, or raise; return what has to see pieces of a body that are not at hand.

    None where they may be anything: the way is open, or no exchange is known.

    Args:
        aim: Gives where it goes; an error in it counts as one of the guard.
        make: Gives what it says; only called if that matters.

    Raises:
        RetentionViolation: it may not leave (or a `Crossing` that carries it).
    """
    flight = CURRENT.get()
    if flight is None:
        _note_foreign(aim, make)
        return None
    try:
        found = _objection(flight, aim(), make)
    except Exception:  # noqa: BLE001 - whatever failed, it must not be what lets content out
        found = _failed()
    if isinstance(found, Pieces):
        return Passing(flight, found)
    refuse_if(found, flight)
    return None


def refuse_if(found: Kind | None, flight: Flight) -> None:
    """Raise what *found* calls for; nothing if there is none, or the runtime only reports."""
    if found is None:
        return
    try:
        violation = refuse(found, flight)
    except Exception:  # noqa: BLE001 - likewise
        enforced = flight.boundary.enforce
        violation = RetentionViolation("refused, and its place is unknown") if enforced else None
    if violation is not None:
        raise raised(violation)


class Passing:
    """A body on its way out in pieces; once one was refused, none passes any more."""

    __slots__ = ("_flight", "_found", "_pieces")

    def __init__(self, flight: Flight, pieces: Pieces) -> None:
        self._flight = flight
        self._pieces = pieces
        self._found: Kind | None = None

    def check(self, piece: Any) -> None:
        """Let *piece* (bytes, or a str as UTF-8) pass, or raise as `judge` does."""
        if self._found is not None:
            if self._flight.boundary.enforce:
                refuse_if(self._found, self._flight)
            return
        try:
            if self._pieces.takes(encoded(piece)):
                self._found = "upstream"
        except Exception:  # noqa: BLE001 - as in judge
            self._found = _failed()
        refuse_if(self._found, self._flight)

    def renew(self) -> bool:
        """Begin another message, of a size of its own; True if this one was found to be content."""
        self._pieces.renew()
        return self._found is not None


class Conversation:
    """A connection on which messages go out one by one, in one exchange or in several."""

    __slots__ = ("_flight", "_passing")

    def __init__(self) -> None:
        self._flight: weakref.ref[Flight] | None = None
        self._passing: Passing | None = None

    def check(self, aim: Callable[[], Target], message: Any) -> None:
        """Let *message* (bytes, or a str as UTF-8) pass to where *aim* says, or raise."""
        flight = CURRENT.get()
        if flight is None:
            judge(aim, lambda: Request("", "", body=encoded(message)))
            return
        if self._flight is None or self._flight() is not flight:
            self._passing = judge(aim, lambda: Request("", ""))
            self._flight = weakref.ref(flight)
        if self._passing is None:
            return
        try:
            self._passing.check(message)
        finally:
            if self._passing.renew():
                self._flight = None  # the next message is another matter


def conversation(holder: Any) -> Conversation:
    """Return the conversation of a connection object, kept in its ``__dict__``."""
    found: Conversation = holder.__dict__.setdefault("_zeroret_conversation", Conversation())
    return found


def encoded(text: Any) -> bytes:
    """Return what is about to leave as bytes: a str as UTF-8, a buffer as it is."""
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)


def _objection(flight: Flight, target: Target, make: Callable[[], Request]) -> Kind | Pieces | None:
    found = egress.way(flight.boundary, target)
    if found == "open" and flight.boundary.upstream_storage == "allow":
        return None
    if telling() or (found == "closed" and _is_sender()):
        return None  # the operator's own callback; a tracker's thread
    return egress.objection(flight, target, make(), found)


def _is_sender() -> bool:
    """Tell whether this thread does nothing but send what another guard has judged already.

    Trackers start theirs with the first event, so inside whatever exchange that was.
    """
    module = getattr(getattr(threading.current_thread(), "_target", None), "__module__", None)
    return SENDERS.get(str(module)) in trackers.PATCHES.watched


def _note_foreign(aim: Callable[[], Target], make: Callable[[], Request]) -> None:
    """Count a request of no known exchange that carries content of one in flight."""
    if threading.current_thread().name.startswith(OWN_PREFIX) or telling():
        return
    try:
        target = aim()
        flights = [
            flight for flight in LIVE.flights() if egress.way(flight.boundary, target) != "open"
        ]
        if flights and shares_any(egress.outline(target, make()), flights):
            report("upstream", "reported", None)
    except Exception:  # noqa: BLE001 - nothing says that it is any exchange's
        _failed()


def _failed() -> Kind:
    with suppress(Exception):
        tally.count("network", "failed")
    return "upstream"


PATCHES.leave_to(LIBRARIES)
