"""Company: the exchanges whose content a text may quote besides its own exchange's."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from zeroret.content.crowd import WORK

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.content.crowd import Crowd
    from zeroret.content.flight import Flight
    from zeroret.content.live import LiveSet


class Company:
    """All exchanges of a live set, or those of a kind: matched at once, never one by one.

    Args:
        live: The live set.
        admits: Which of its exchanges count.
        work: Bytes of new content that may be read for one text; a text that needs more counts as
            shared.
    """

    __slots__ = ("_live", "admits", "work")

    def __init__(
        self, live: LiveSet, admits: Callable[[Flight], bool], *, work: float = WORK
    ) -> None:
        self._live = live
        self.admits: Final = admits
        self.work: Final = work

    @property
    def crowd(self) -> Crowd:
        """The content of the live set in blocks."""
        return self._live.crowd

    @property
    def first(self) -> Flight | None:
        """The exchange that runs for the longest time, else the next to be dropped; or None."""
        return next(filter(self.admits, self._live.flights()), None)

    @property
    def enforce(self) -> bool:
        """Whether any of them withholds, instead of counting only."""
        return any(flight.enforce for flight in filter(self.admits, self._live.flights()))

    def fell_behind(self) -> None:
        """Note that a text could not be matched: what is missing is read in the background."""
        self._live.read_on()

    def patient(self) -> Company:
        """Return the same exchanges, for a text that is matched whatever that takes."""
        return Company(self._live, self.admits, work=inf)
