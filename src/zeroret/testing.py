"""What users' own test suites need: a runtime in memory, its records, and a clean end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from zeroret.errors import ConfigurationError
from zeroret.runtime import ZeroRetention
from zeroret.sharing import forget_shared
from zeroret.sinks.memory import MemorySink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeroret.usage.record import UsageRecord

_TIMEOUT: Final = 10.0


@contextmanager
def memory_runtime(policy: Any = "usage-only", **options: Any) -> Iterator[ZeroRetention]:
    """Give a started runtime whose records stay in memory; uninstall everything at the end.

    Takes the options of `zeroret.ZeroRetention` but *sinks*. The interpreter is left as it was
    found.

    Raises:
        ConfigurationError: an option is not allowed.
    """
    if "sinks" in options:
        raise ConfigurationError(
            "memory_runtime() brings its own sink: leave sinks= away, or make a ZeroRetention"
        )
    runtime = ZeroRetention(policy, [MemorySink()], **{"journal": "memory", **options})
    runtime.start()
    try:
        yield runtime
    finally:
        runtime.close()


def usage_records(runtime: ZeroRetention) -> list[UsageRecord]:
    """Return the records that *runtime* has written to its memory sink so far, oldest first.

    Raises:
        TypeError: *runtime* has no memory sink.
        TimeoutError: delivery did not catch up.
    """
    for sink in runtime.options.sinks:
        if isinstance(sink, MemorySink):
            if not runtime.flush(_TIMEOUT):
                raise TimeoutError(f"records were not delivered within {_TIMEOUT:g} seconds")
            return list(sink.records)
    raise TypeError("this runtime has no memory sink: make it with memory_runtime()")


def uninstall() -> None:
    """Close every runtime that middlewares of this process share, and undo what they patched."""
    forget_shared()
