"""The guards of this process: which there are, and their common life and posture."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from zeroret.content.boundary import Boundary
    from zeroret.guards.tiers import Tier


class Guard(Protocol):
    """What a module of a guard offers; each call of `install` has its `uninstall`."""

    def install(self) -> None:
        """Close the way out; idempotent, counted, kept across forks."""

    def uninstall(self) -> None:
        """Undo one `install`; the last one leaves everything as it was before the first."""

    def tiers(self, boundary: Boundary) -> dict[str, Tier]:
        """Return what the posture says of its ways out, by name."""


GUARDS: Final[tuple[str, ...]] = (
    "zeroret.guards.libraries",
    "zeroret.guards.process",
    "zeroret.guards.caches",
    "zeroret.guards.files",
    "zeroret.guards.children",
    "zeroret.guards.spools",
    "zeroret.guards.connections",
    "zeroret.guards.trackers",
    "zeroret.guards.network",
    "zeroret.guards.stores",
    "zeroret.guards.stdio",
    "zeroret.guards.warned",
    "zeroret.guards.hooks",
    "zeroret.guards.loops",
)
"""The modules of the guards, in the order of their installation."""


def install() -> None:
    """Install every guard of `GUARDS`."""
    for name in GUARDS:
        _guard(name).install()


def uninstall() -> None:
    """Undo one `install`, in reverse."""
    for name in reversed(GUARDS):
        _guard(name).uninstall()


def tiers(boundary: Boundary) -> dict[str, Tier]:
    """Return what the posture says of every way out that `GUARDS` look after."""
    found: dict[str, Tier] = {}
    for name in GUARDS:
        found |= _guard(name).tiers(boundary)
    return found


def _guard(name: str) -> Guard:
    guard: Guard = import_module(name)
    return guard
