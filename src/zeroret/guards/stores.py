"""Stores: writes of content to databases, caches and queues, judged where their clients write.

Inside an exchange what is written to a store that is not allowed may share no content; reads pass.
The caller's credential and cookies may be stored anywhere: an app's own authentication does. Where
no exchange is known, content of any in flight is counted and passes.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.destinations import Stores
from zeroret.content.flight import CURRENT
from zeroret.content.live import LIVE
from zeroret.content.matching import OWN
from zeroret.guards import sql, tally
from zeroret.guards.network import refuse_if
from zeroret.guards.patches import Patches
from zeroret.guards.sharing import LIMIT, shares, shares_any
from zeroret.guards.texts import TooMuchError, gathered
from zeroret.guards.threads import OWN_PREFIX
from zeroret.guards.tiers import Tier
from zeroret.guards.violations import report, telling

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.content.boundary import Boundary
    from zeroret.content.destinations import Store
    from zeroret.content.flight import Flight
    from zeroret.guards.violations import Kind

LIBRARIES: Final = {
    "aiosqlite": "aiosqlite",
    "celery": "celery",
    "django.db.backends.utils": "django_database",
    "kombu": "kombu",
    "nats.aio.client": "nats",
    "psycopg": "psycopg",
    "pymongo": "pymongo",
    "redis": "redis",
    "sqlalchemy.engine": "sqlalchemy",
    "sqlite3": "sqlite",
}
"""Modules that are patched, and the module of `zeroret.integrations` that knows how."""

PATCHES: Final = Patches("stores")
"""The patches of this guard."""

_NONE: Final = Stores()
_undoing: Final[list[Callable[[], object]]] = []


def install() -> None:
    """Guard the libraries of `LIBRARIES`, now or when they come; each call needs its undoing."""
    PATCHES.install()


def uninstall() -> None:
    """Undo one `install`."""
    PATCHES.uninstall()
    if not PATCHES.active:
        while _undoing:
            _undoing.pop()()


def on_uninstall(undo: Callable[[], object]) -> None:
    """Have *undo* called by the last `uninstall`, for what is no replaced attribute."""
    _undoing.append(undo)


def tiers(boundary: Boundary) -> dict[str, Tier]:
    """Return what the posture says of stores."""
    allowed = ", ".join((boundary.stores or _NONE).names) or "no store"
    parts = [f"content may be written to {allowed}"]
    parts.append(
        "values of fewer than 16 bytes, reads, and SQLite connections from before the start "
        "are not looked at"
    )
    parts.append(f"patched: {', '.join(sorted(PATCHES.watched)) or 'nothing yet'}")
    if PATCHES.troubles:
        parts.append(f"of another shape than known: {', '.join(sorted(PATCHES.troubles))}")
    return {"stores": Tier("watched", "; ".join(parts))}


def is_judged() -> bool:
    """Tell whether a write that this code makes now is to be judged at all; asked first."""
    if not PATCHES.active:
        return False
    return CURRENT.get() is not None or LIVE.busy


class _Write:
    """One write: where it goes, and what it says, asked only as far as it matters."""

    def __init__(self, aim: Callable[[], Store], values: tuple[Any, ...]) -> None:
        self.aim = aim
        """Gives where it goes."""
        self._values = values

    def only_reads(self) -> bool:
        """Tell whether it is known to write nothing."""
        return False

    def text(self) -> bytes:
        """Return all that it says."""
        return b"\n".join(gathered(*self._values))

    def could_hold(self) -> list[bytes]:
        """Return each part that could hold a text of a client's."""
        return gathered(*self._values)


class _Statement(_Write):
    """A write by an SQL statement with its parameters."""

    def __init__(self, aim: Callable[[], Store], statement: Any, parameters: Any) -> None:
        super().__init__(aim, (statement, parameters))

    def only_reads(self) -> bool:
        return sql.is_read(self._words())

    def could_hold(self) -> list[bytes]:
        return gathered(sql.spoken(self._words()), self._values[1])

    def _words(self) -> str:
        statement = self._values[0]
        return statement.decode("latin-1") if isinstance(statement, bytes) else str(statement)


def judge(aim: Callable[[], Store], *values: Any) -> None:
    """Let a write of *values* pass, or raise.

    Args:
        aim: Gives where it goes; an error in it counts as one of the guard.
        values: What is written, as the client took it.

    Raises:
        RetentionViolation: it may not be stored there (or a `Crossing` that carries it).
    """
    _judge(_Write(aim, values))


def judge_statement(aim: Callable[[], Store], statement: Any, parameters: Any) -> None:
    """Let an SQL statement pass, or raise as `judge` does; reads pass.

    Args:
        aim: As for `judge`.
        statement: The statement, str or bytes.
        parameters: Its parameters, for one row or for many.
    """
    _judge(_Statement(aim, statement, parameters))


def _judge(write: _Write) -> None:
    flight = CURRENT.get()
    if flight is None:
        _note_foreign(write)
        return
    try:
        found = _objection(flight, write)
    except Exception:  # noqa: BLE001 - whatever failed, it must not be what lets content out
        found = _failed()
    refuse_if(found, flight)


def _objection(flight: Flight, write: _Write) -> Kind | None:
    if (flight.boundary.stores or _NONE).allows(write.aim()) or write.only_reads() or telling():
        return None
    try:
        if not flight.matchable and any(len(text) >= OWN for text in write.could_hold()):
            return "store"  # it could be what is not known any more
        data = write.text()
    except TooMuchError:
        return "store"
    return "store" if len(data) > LIMIT or shares(data, flight, identifiers=True) else None


def _note_foreign(write: _Write) -> None:
    """Count a write of no known exchange that carries content of one in flight."""
    if threading.current_thread().name.startswith(OWN_PREFIX) or telling():
        return
    try:
        store = write.aim()
        flights = [
            flight
            for flight in LIVE.flights()
            if not (flight.boundary.stores or _NONE).allows(store)
        ]
        if flights and not write.only_reads() and shares_any(write.text(), flights):
            report("store", "reported", None)
    except Exception:  # noqa: BLE001 - nothing says that it is any exchange's
        _failed()


def _failed() -> Kind:
    with suppress(Exception):
        tally.count("stores", "failed")
    return "store"


PATCHES.leave_to(LIBRARIES)
