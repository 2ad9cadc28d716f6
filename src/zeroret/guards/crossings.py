"""Crossings: acts that could carry content out, judged in the code that is about to do them.

Inside an exchange what is not allowed raises a `RetentionViolation`, or is counted in report mode.
Where no exchange is known it is counted while any is in flight, and never refused. An error of the
guard itself refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from zeroret.content.flight import CURRENT
from zeroret.content.live import LIVE
from zeroret.errors import RetentionViolation
from zeroret.guards import tally
from zeroret.guards.acting import exempt, is_own_thread
from zeroret.guards.violations import refuse, report

if TYPE_CHECKING:
    from zeroret.content.flight import Flight
    from zeroret.guards.audit import Handler
    from zeroret.guards.violations import Kind

Allows: TypeAlias = Callable[[tuple[Any, ...], "Flight"], bool]
"""Whether an act, by its arguments, is allowed inside an exchange."""

Concerns: TypeAlias = Callable[[tuple[Any, ...]], bool]
"""Whether an act, by its arguments, could carry anything out at all; asked first, so quick."""


def always(_args: tuple[Any, ...]) -> bool:
    """Every act of this kind concerns the guard."""
    return True


def judged(
    kind: Kind,
    allows: Allows,
    concerns: Concerns = always,
    *,
    everywhere: bool = True,
    exempts: bool = True,
) -> Handler:
    """Return a handler that lets an act pass or raises; *allows* and *concerns* may raise.

    Args:
        kind: The way out.
        allows: Asked inside an exchange; elsewhere asked of the exchanges in flight.
        concerns: Asked before.
        everywhere: Whether acts of no exchange are counted while any is in flight.
        exempts: Whether what is always allowed (imports, log handlers' files) is asked after.
    """

    def judge(args: tuple[Any, ...]) -> None:
        flight = CURRENT.get()
        if flight is None:
            if everywhere and LIVE.busy:
                _count_foreign(kind, allows, concerns, args)
            return
        refused: RetentionViolation | None
        try:
            if not concerns(args) or allows(args, flight) or (exempts and exempt()):
                return
            refused = refuse(kind, flight)
        except Exception:  # noqa: BLE001 - whatever failed, it must not be what lets content out
            refused = _failed(flight)
        # Raised out here so that Python chains nothing.
        if refused is not None:
            raise refused

    return judge


def _count_foreign(kind: Kind, allows: Allows, concerns: Concerns, args: tuple[Any, ...]) -> None:
    """Count an act of a thread that no exchange started, unless any exchange in flight allows it.

    Nothing says whose content it could carry, so nothing is refused.
    """
    try:
        if not concerns(args):
            return
        # One of each boundary: thousands of streams share one runtime.
        flights = {flight.boundary: flight for flight in LIVE.flights()}.values()
        if not flights or any(allows(args, flight) for flight in flights):
            return
        if not (is_own_thread() or exempt()):
            report(kind, "reported", None)
    except Exception:  # noqa: BLE001 - it is not known to be any exchange's
        _count_failure()


def _failed(flight: Flight) -> RetentionViolation | None:
    _count_failure()
    if not flight.boundary.enforce:
        return None
    return RetentionViolation("refused, since the guard that was to judge it failed")


def _count_failure() -> None:
    with suppress(Exception):
        tally.count("crossings", "failed")
