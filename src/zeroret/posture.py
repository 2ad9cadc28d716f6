"""The posture: what is guarded, in which tier, and how the journal does, right now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from zeroret.runtime import ZeroRetention

_OUT_OF_REACH: Final = {
    "handler.emit": "code that calls emit() of a log handler instead of handle() is not seen",
    "stdio": "print and direct writes to stdout and stderr are not guarded by this version",
    "telemetry": "span exporters and error trackers are not guarded by this version",
    "files": "files, children and upload spools are not guarded by this version",
    "network": "connections other than the reply are not guarded by this version",
    "process": "memory, core dumps and debuggers are not guarded by this version",
}
"""Ways out that stand open, said aloud: nothing is claimed beyond its tier."""


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
        "failures": runtime.failures,
        "journal": {} if delivery is None else delivery.counters(),
    }


def _guards(runtime: ZeroRetention) -> dict[str, dict[str, str]]:
    guards = {
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
    return guards


def _logs_tier(runtime: ZeroRetention) -> str:
    if runtime.log_guard == "none" or runtime.delivery is None:
        return "off"  # guards are installed by the start
    # Matching finds what it knows to look for: that is no closed way out.
    return "closed" if runtime.enforce and runtime.log_guard == "strict" else "watched"
