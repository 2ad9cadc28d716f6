"""Owner: whose is what is about to leave the process, and what holds for it?

What an exchange's own code writes is its exchange's. What nobody's code writes while exchanges are
live may be any one's; while none is, it is the program's and passes untouched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from zeroret.content.flight import CURRENT
from zeroret.content.live import LIVE
from zeroret.guards.logs import here

if TYPE_CHECKING:
    from zeroret.content.company import Company
    from zeroret.content.flight import Flight
    from zeroret.content.matching import Others


class Owner(NamedTuple):
    """Whose it is, and how it is held."""

    flight: Flight | None
    """The exchange; None if nothing says which, then every one of `others` counts as it."""
    others: Others
    """Every exchange whose content counts besides."""
    strict: bool
    """Whether only what is provably no content is shown, instead of what matches none."""
    enforce: bool
    """Whether anything is withheld, instead of counted."""


_UNKNOWN: Final = Owner(None, (), strict=True, enforce=True)
"""What holds if it cannot be found out whose a text is."""


def owner_of_text() -> Owner | None:
    """Return whose a text is that this code writes; None if nobody holds it to any rule.

    Never raises: if it cannot be found out, the text is held strictly.
    """
    try:
        return _owner_of_text()
    except Exception:  # noqa: BLE001 - fails closed
        return _UNKNOWN


def _owner_of_text() -> Owner | None:
    flight = here()
    if flight is not None:
        if flight.log_guard == "none":
            return None
        strict = flight.log_guard == "strict" or not flight.matchable
        return Owner(flight, () if strict else LIVE.everyone, strict, flight.enforce)
    if not LIVE.busy:
        return None
    return _of_nobody(LIVE.logged)


def owner_of_error(known: Flight | None = None) -> Owner | None:
    """Return whose an exception is that nobody caught; None if no exchange can have raised it.

    Args:
        known: The exchange that a task, a handle or a traceback names.
    """
    try:
        flight = CURRENT.get() or known or here()
    except Exception:  # noqa: BLE001 - fails closed
        return _UNKNOWN
    if flight is not None:
        return Owner(flight, (), strict=True, enforce=flight.enforce)
    return _of_nobody(LIVE.everyone) if LIVE.busy else None


def exchange_in(context: Any) -> Flight | None:
    """Return the exchange in which a `contextvars.Context` runs; None for no context."""
    flight: Flight | None = None if context is None else context.get(CURRENT)
    return flight


def _of_nobody(others: Company) -> Owner | None:
    if others.first is None:
        return None
    return Owner(None, others, strict=False, enforce=others.enforce)
