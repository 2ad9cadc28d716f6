"""The posture: what is guarded, in which tier, and how the journal does, right now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zeroret import guarding
from zeroret.guards import configuration
from zeroret.guards.violations import VIOLATIONS

if TYPE_CHECKING:
    from zeroret.guards.tiers import Grade
    from zeroret.runtime import ZeroRetention

_OUT_OF_REACH: Final = {
    "handler.emit": "a handler of one's own that neither formats, pickles nor maps its record",
}
"""Ways out that stand open, said aloud: nothing is claimed beyond its tier."""

_LIKE_LOGS: Final = frozenset(
    {"stdio", "descriptors", "warnings", "loguru", "rich", "structlog"},
)
"""Ways out of texts, which `log_guard` is for, too."""

_WITH_LOGS: Final = frozenset({"django"})
"""Ways out that `log_guard` turns off, and that show no text at all in its other modes."""

_MOST_PLACES: Final = 32
"""Places of violations that a posture lists."""


def posture(runtime: ZeroRetention) -> dict[str, Any]:
    """Return a content-free statement about this process, ready for JSON.

    Tiers: ``closed`` (a guard withholds), ``watched`` (seen and counted, not stopped),
    ``out of reach``, and ``off`` (an option turned the guard off).
    """
    import zeroret

    delivery = runtime.delivery
    return {
        "version": zeroret.__version__,
        "policy": runtime.policy.stamp,
        "mode": runtime.options.mode,
        "started": delivery is not None,
        "grace": runtime.options.grace,
        "guards": _guards(runtime),
        "withheld": runtime.tally,
        "violations": VIOLATIONS.counts(),
        "places": VIOLATIONS.places()[:_MOST_PLACES],
        "configuration": configuration.problems(configuration.facts(runtime.apps)),
        "failures": runtime.failures,
        "unread": runtime.unread,
        "retention": runtime.retention.posture(),
        "journal": {} if delivery is None else delivery.counters(),
    }


def _guards(runtime: ZeroRetention) -> dict[str, dict[str, str]]:
    guards: dict[str, dict[str, str]] = {
        "logs": {"tier": _logs_tier(runtime), "how": runtime.log_guard},
        "exceptions": {
            "tier": "closed" if runtime.enforce else "off",
            "how": (
                "the server gets a content-free stand-in"
                if runtime.enforce
                else "in report mode the server gets the exception itself"
            ),
        },
        "usage record": {"tier": "closed", "how": "no column can hold free text"},
    }
    for name, why in _OUT_OF_REACH.items():
        guards[name] = {"tier": "out of reach", "how": why}
    for name, tier in guarding.tiers(runtime.boundary).items():
        started = runtime.delivery is not None  # guards are installed by the start
        grade: Grade = tier.grade if started else "off"
        if name in _LIKE_LOGS and grade != "out of reach":
            grade = _at_most(grade, _logs_tier(runtime))
        if name in _WITH_LOGS and runtime.log_guard == "none":
            grade = "off"
        guards[name] = {"tier": grade, "how": tier.how}
    return guards


def _at_most(grade: Grade, logs: Grade) -> Grade:
    """Return the weaker of two grades."""
    return max(grade, logs, key=("closed", "watched", "off").index)


def _logs_tier(runtime: ZeroRetention) -> Grade:
    if runtime.log_guard == "none" or runtime.delivery is None:
        return "off"  # guards are installed by the start
    # Matching finds what it knows to look for: that is no closed way out.
    return "closed" if runtime.enforce and runtime.log_guard == "strict" else "watched"
