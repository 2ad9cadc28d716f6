"""Shared runtimes: middlewares with equal options have one, however often they are built."""

from __future__ import annotations

from typing import Any, Final

from zeroret.errors import ConfigurationError
from zeroret.options import checked
from zeroret.runtime import ZeroRetention

_shared: Final[dict[tuple[object, ...], ZeroRetention]] = {}


def shared(runtime: ZeroRetention | None, options: dict[str, Any]) -> ZeroRetention:
    """Return *runtime*, or the one runtime of these *options* in this process.

    Raises:
        ConfigurationError: both were given, or an option is not allowed.
    """
    if runtime is not None:
        if options:
            raise ConfigurationError(
                f"runtime= was given together with {', '.join(sorted(options))}; "
                "a runtime has its options already"
            )
        return runtime
    rest = dict(options)
    key = checked(rest.pop("policy", "usage-only"), rest.pop("sinks", ()), rest).key()
    if key not in _shared:
        _shared[key] = ZeroRetention(**options)
    return _shared[key]


def forget_shared() -> None:
    """Close the runtimes that middlewares share, so that the next one starts afresh."""
    while _shared:
        _shared.popitem()[1].close()
