"""Zero retention for LLM API servers: keep no prompt, meter every exchange, prove both.

The public names; each is imported when it is first used, so that importing this package costs
nothing but the standard library (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from zeroret import sinks, testing
    from zeroret.asgi import ZeroRetentionMiddleware
    from zeroret.content.redaction import Redactor
    from zeroret.content.sealed import Sealed
    from zeroret.errors import (
        ConfigurationError,
        MissingExtraError,
        RetentionViolation,
        ZeroRetentionError,
    )
    from zeroret.exchange import Exchange, current
    from zeroret.guards.filter import RedactingFilter
    from zeroret.guards.values import server_made
    from zeroret.instrumentation import instrument
    from zeroret.policy import Policy
    from zeroret.runtime import ZeroRetention
    from zeroret.tokens import TokenCounter
    from zeroret.types import UsageSink
    from zeroret.usage.record import UsageRecord
    from zeroret.work import metered
    from zeroret.wsgi import ZeroRetentionWSGIMiddleware

_PUBLIC: Final = {
    "ConfigurationError": "zeroret.errors",
    "Exchange": "zeroret.exchange",
    "MissingExtraError": "zeroret.errors",
    "Policy": "zeroret.policy",
    "RedactingFilter": "zeroret.guards.filter",
    "Redactor": "zeroret.content.redaction",
    "RetentionViolation": "zeroret.errors",
    "Sealed": "zeroret.content.sealed",
    "TokenCounter": "zeroret.tokens",
    "UsageRecord": "zeroret.usage.record",
    "UsageSink": "zeroret.types",
    "ZeroRetention": "zeroret.runtime",
    "ZeroRetentionError": "zeroret.errors",
    "ZeroRetentionMiddleware": "zeroret.asgi",
    "ZeroRetentionWSGIMiddleware": "zeroret.wsgi",
    "current": "zeroret.exchange",
    "instrument": "zeroret.instrumentation",
    "metered": "zeroret.work",
    "server_made": "zeroret.guards.values",
    "sinks": "zeroret.sinks",
    "testing": "zeroret.testing",
}

__all__ = [
    "ConfigurationError",
    "Exchange",
    "MissingExtraError",
    "Policy",
    "RedactingFilter",
    "Redactor",
    "RetentionViolation",
    "Sealed",
    "TokenCounter",
    "UsageRecord",
    "UsageSink",
    "ZeroRetention",
    "ZeroRetentionError",
    "ZeroRetentionMiddleware",
    "ZeroRetentionWSGIMiddleware",
    "current",
    "instrument",
    "metered",
    "server_made",
    "sinks",
    "testing",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("zeroret")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'zeroret' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    value = module if _PUBLIC[name] == f"zeroret.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
