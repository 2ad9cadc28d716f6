"""Violations: content that tried to leave by a way the policy closes, counted and located.

An event says what kind of way out it was, what was done and where in the code, never what tried to
leave. Each place tells its callback and the log at most once in ten seconds.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from zeroret.errors import RetentionViolation
from zeroret.guards import source
from zeroret.guards.values import server_made

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from zeroret.content.flight import Flight

Kind: TypeAlias = Literal[
    "file",
    "child",
    "connect",
    "upstream",
    "store",
    "storage",
    "cleartext",
    "stdio",
    "telemetry",
    "system",
]
"""The way out: a file opened for writing, a child process, a connection of nobody's client, a
request to a host that is no upstream, a database or queue, a request that lets the upstream keep
it, a request without verified TLS, a standard stream, a tracker that is not guarded,
the environment or the system's log."""

Action: TypeAlias = Literal["refused", "reported", "withheld"]
"""``refused``: the code that tried got a `RetentionViolation`. ``reported``: it was counted and
passed (report mode, or a way that is only watched). ``withheld``: the content was taken out."""

REMEDIES: Final[dict[Kind, str]] = {
    "file": "a file was opened for writing outside the folders of writable=[…]",
    "child": "a child process was started that children=[…] does not name",
    "connect": "a connection was opened by no client library that is guarded",
    "upstream": "content was about to be sent to a host that upstreams=[…] does not name",
    "store": "content was about to be written to a store that stores=[…] does not name",
    "storage": 'a request lets the upstream keep it, and upstream_storage="forbid" is set',
    "cleartext": "content was about to be sent without TLS, or with its verification off",
    "stdio": "content was written to a standard stream, or one was opened past its guard",
    "system": "content was about to be put into the environment or the system's log",
    "telemetry": "a tracker was loaded that is not guarded: what it sends may hold content",
}
"""What each kind says, and with it what to change."""

INTERVAL: Final = 10.0
"""Seconds between two events of one kind and place."""

PLACES_LIMIT: Final = 512
"""Places that are told apart; what comes later is counted by its kind alone."""

_log: Final = logging.getLogger("zeroret.violations")
_local: Final = threading.local()


@dataclass(frozen=True, slots=True)
class Violation:
    """One event, ready for a callback: no field can hold content.

    Args:
        kind: The way out.
        action: What was done.
        place: ``file.py:42`` of the code that did it; empty where that is not source code.
        exchange: The id of the exchange, which is its record's; None where none is known.
        count: How many of this kind and place happened since the last event, this one included.
    """

    kind: Kind
    action: Action
    place: str
    exchange: str | None
    count: int


class Violations:
    """Counts violations of one process and tells about them, each place once in a while.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Re-entrant: what happens inside may itself violate.
        self._lock = threading.RLock()
        self._counts: dict[str, int] = {}
        self._places: dict[tuple[Kind, Action, str], list[float]] = {}

    def count(self, kind: Kind, action: Action, place: str) -> int:
        """Count one violation; return how many an event must speak for, 0 if none is due."""
        with self._lock:
            key = f"{kind}.{action}"
            self._counts[key] = self._counts.get(key, 0) + 1
            at = (kind, action, place)
            if at not in self._places and len(self._places) >= PLACES_LIMIT:
                at = (kind, action, "")
            # total, how many were told, when
            entry = self._places.setdefault(at, [0, 0, -INTERVAL])
            entry[0] += 1
            now = self._clock()
            if now - entry[2] < INTERVAL:
                return 0
            due = int(entry[0] - entry[1])
            entry[1], entry[2] = entry[0], now
            return due

    def counts(self) -> dict[str, int]:
        """Return how many there were by ``kind.action``."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def places(self) -> list[dict[str, Any]]:
        """Return kind, action, place and count of each place, the most frequent first."""
        with self._lock:
            entries = sorted(self._places.items(), key=lambda item: -item[1][0])
        return [
            {"kind": kind, "action": action, "place": place, "count": int(entry[0])}
            for (kind, action, place), entry in entries
        ]

    def renew(self) -> None:
        """Start at zero with a lock of this process."""
        self._lock = threading.RLock()
        self._counts = {}
        self._places = {}


VIOLATIONS: Final = Violations()
"""The violations of this process."""

os.register_at_fork(after_in_child=VIOLATIONS.renew)


def telling() -> bool:
    """Tell whether this thread is just telling about a violation: what it does then is ours."""
    return getattr(_local, "telling", False)


def report(
    kind: Kind, action: Action, flight: Flight | None, frame: FrameType | None = None
) -> None:
    """Count one violation, and tell callback and log if it is their turn. Never raises.

    Args:
        kind: The way out.
        action: What was done about it.
        flight: The exchange whose content it was; None if none is known.
        frame: The frame that did it; default: the innermost one outside zeroret and the libraries
            between, as `culprit` finds it.
    """
    if telling():
        return
    try:
        place = source.place(frame or culprit()).strip()
        due = VIOLATIONS.count(kind, action, place)
        if due:
            _tell(Violation(kind, action, place, getattr(flight, "id", None), due), flight)
    except Exception:  # noqa: BLE001 - an error about an event must not become one of the app's
        return


def refuse(
    kind: Kind, flight: Flight | None, frame: FrameType | None = None
) -> RetentionViolation | None:
    """Count one violation; return what to raise, or None if the exchange's runtime only reports."""
    frame = frame or culprit()
    if flight is None or not flight.boundary.enforce:
        report(kind, "reported", flight, frame)
        return None
    report(kind, "refused", flight, frame)
    return RetentionViolation(
        f"{REMEDIES[kind]} ({source.place(frame).strip() or 'place unknown'})"
    )


def culprit() -> FrameType | None:
    """Return the innermost frame of the application: no zeroret, no installed library, no stdlib.

    Where there is none, the innermost frame outside zeroret.
    """
    outside: FrameType | None = None
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller's frame
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_OURS):
            outside = outside or frame
            if not name.startswith(_LIBRARIES) and "site-packages" not in name and name[:1] != "<":
                return frame
        frame = frame.f_back
    return outside


_OURS: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120 - a prefix of co_filename, as text
_LIBRARIES: Final = os.path.dirname(os.path.abspath(os.__file__)) + os.sep  # noqa: PTH100, PTH120 - likewise


def _tell(violation: Violation, flight: Flight | None) -> None:
    _local.telling = True
    try:
        callback = None if flight is None else flight.boundary.on_violation
        if callback is not None:
            callback(violation)
    except Exception:  # noqa: BLE001 - the operator's own code must not hurt the reply
        _log.warning("on_violation failed")
    finally:
        _local.telling = False
    _log.warning(
        "%s, %s at %s (%d)",
        server_made(REMEDIES[violation.kind]),
        server_made(violation.action),
        server_made(violation.place or "an unknown place"),
        violation.count,
    )
