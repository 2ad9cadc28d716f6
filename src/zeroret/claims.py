"""Which runtimes there are: who has which journal, and who was started last."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Final

from zeroret.errors import ConfigurationError

if TYPE_CHECKING:
    from zeroret.runtime import ZeroRetention

_by_place: Final[weakref.WeakValueDictionary[str, ZeroRetention]] = weakref.WeakValueDictionary()


def claim(place: Any, runtime: ZeroRetention) -> None:
    """Refuse a second policy on one journal: its killed exchanges could not say which they obey.

    Raises:
        ConfigurationError: a runtime of another policy has the journal at *place* in this process.
    """
    if place == "memory":
        return
    owner = _by_place.setdefault(os.path.realpath(place), runtime)
    if owner.policy.stamp != runtime.policy.stamp:
        raise ConfigurationError(
            f"the journal {place} belongs to policy {owner.policy.stamp} in this process; "
            f"give {runtime.policy.stamp} a folder of its own with journal="
        )


_started: Final[list[weakref.ref[ZeroRetention]]] = []


def started(runtime: ZeroRetention) -> None:
    """Note that *runtime* was started."""
    others = [each for each in _started if each() not in {None, runtime}]
    _started[:] = [*others, weakref.ref(runtime)]


def running() -> ZeroRetention:
    """Return the runtime that was started last, and not closed since.

    Raises:
        ConfigurationError: there is none.
    """
    for each in reversed(_started):
        runtime = each()
        if runtime is not None and runtime.delivery is not None:
            return runtime
    raise ConfigurationError(
        "no runtime was started in this process: start one, as in "
        "zeroret.ZeroRetention(...).start(), or give metered() runtime= or policy= and sinks="
    )
