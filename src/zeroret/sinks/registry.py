"""From a sink's spec to the sink: a literal registry of schemes, then entry points."""

from __future__ import annotations

import re
from difflib import get_close_matches
from hashlib import sha256
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from zeroret.errors import ConfigurationError
from zeroret.sinks.callables import CallableSink

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeroret.types import UsageSink, UsageStore
    from zeroret.usage.layout import Layout

ENTRY_POINTS: Final = "zeroret.sinks"
"""The entry-point group whose names are URI schemes; each value is called as a sink's class is."""

_BUILT_IN: Final = {
    "sqlite": "zeroret.sinks.sqlite:SqliteSink",
    "jsonl": "zeroret.sinks.jsonl:JsonlSink",
    "memory": "zeroret.sinks.memory:MemorySink",
    "postgresql": "zeroret.sinks.postgresql:PostgresSink",
    "redis": "zeroret.sinks.redis:RedisSink",
    "rediss": "zeroret.sinks.redis:RedisSink",
    "nats": "zeroret.sinks.nats:NatsSink",
    "nats+tls": "zeroret.sinks.nats:NatsSink",
    "otel": "zeroret.sinks.otel:OtelSink",
    "prometheus": "zeroret.sinks.prometheus:PrometheusSink",
    "webhook+https": "zeroret.sinks.webhook:WebhookSink",
    "webhook+http": "zeroret.sinks.webhook:WebhookSink",
}
_EXAMPLES: Final = {
    "sqlite": "sqlite:///usage.db",
    "jsonl": "jsonl:///usage.jsonl",
    "memory": "memory:",
    "postgresql": "postgresql://user@127.0.0.1/billing",
    "redis": "redis://127.0.0.1/0",
    "rediss": "rediss://cache.internal/0",
    "nats": "nats://127.0.0.1:4222",
    "nats+tls": "nats+tls://nats.internal:4222",
    "otel": "otel:",
    "prometheus": "prometheus://127.0.0.1:9464",
    "webhook+https": "webhook+https://billing.internal/usage",
    "webhook+http": "webhook+http://127.0.0.1:8000/usage",
}
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_KEY_LENGTH: Final = 12


def schemes() -> tuple[str, ...]:
    """Return every known URI scheme, the built-in ones first."""
    others = {point.name for point in entry_points(group=ENTRY_POINTS)}
    return (*_BUILT_IN, *sorted(others - _BUILT_IN.keys()))


def check(spec: object) -> None:
    """Raise `ConfigurationError` if *spec* cannot be a sink; opens and creates nothing.

    Allowed are a URI, a callable that takes a list of records, an object with write and close.
    """
    if isinstance(spec, str):
        checker = getattr(_load(_scheme(spec)), "check", None)
        if checker is not None:
            checker(spec)
    elif not _is_object(spec) and (isinstance(spec, type) or not callable(spec)):
        kind = f"the class {spec.__name__}" if isinstance(spec, type) else type(spec).__name__
        raise ConfigurationError(
            f"a sink is a URI, a callable or an object with write() and close(), not {kind}: "
            f"write for example {_EXAMPLES['sqlite']!r}"
        )


def open_sink(spec: Any, *, columns: Iterable[str], layout: Layout | None = None) -> UsageSink:
    """Return the sink of *spec*, which writes no other columns than *columns*.

    One that keeps tables has those of *layout*, where the policy's collections apart have their
    place, too. Files and connections are opened at the first write. Raises what `check` raises.
    """
    check(spec)
    if isinstance(spec, str):
        target = _load(_scheme(spec))
        options = {"layout": layout} if layout is not None and keeps_tables(spec) else {}
        sink: UsageSink = getattr(target, "open", target)(spec, columns=columns, **options)
        return sink
    if _is_object(spec):
        target = spec
        return CallableSink(target.write, columns=columns, close=target.close)
    assert callable(spec)
    return CallableSink(spec, columns=columns)


def keeps_tables(spec: object) -> bool:
    """Tell whether the sink of *spec* keeps tables, which can be asked, swept and rebuilt."""
    return isinstance(spec, str) and bool(getattr(_load(_scheme(spec)), "keeps_tables", False))


def expires(spec: object) -> bool:
    """Tell whether the sink of *spec* can delete what is older than a moment."""
    if isinstance(spec, str):
        return callable(getattr(_load(_scheme(spec)), "expire", None))
    return callable(getattr(spec, "expire", None))


def open_store(uri: str, layout: Layout | None = None) -> UsageStore:
    """Return the store at *uri*; without a *layout* its tables are used as they are.

    Raises:
        ConfigurationError: *uri* names no sink, or one that keeps no tables.
    """
    check(uri)
    if not keeps_tables(uri):
        stores = ", ".join(f"{name}:" for name in schemes() if _keeps_tables(name))
        raise ConfigurationError(
            f"a {_scheme(uri)}: sink keeps no tables that could be asked; those that do: {stores}"
        )
    store: UsageStore = _load(_scheme(uri))(uri, layout=layout, migrates=layout is not None)
    return store


def _keeps_tables(scheme: str) -> bool:
    return scheme not in _BUILT_IN or bool(getattr(_load(scheme), "keeps_tables", False))


def sink_key(spec: object, index: int) -> str:
    """Return the stable short name of a sink, for its cursors: 12 hex digits, never the URI.

    *index* is the sink's place in the list; a URI has the same key at any place.
    """
    if isinstance(spec, str):
        text = spec
    else:
        named: Any = spec if hasattr(spec, "__qualname__") else type(spec)
        text = f"{index} {named.__module__}.{named.__qualname__}"
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_LENGTH]


def _is_object(spec: object) -> bool:
    return (
        not isinstance(spec, type)
        and callable(getattr(spec, "write", None))
        and callable(getattr(spec, "close", None))
    )


def _scheme(uri: str) -> str:
    """Return the scheme of *uri*; raises `ConfigurationError` for one that nobody serves."""
    match = _SCHEME.match(uri)
    known = schemes()
    scheme = match[1].lower() if match else ""
    if scheme in known:
        return scheme
    # Only the scheme is quoted: the rest may hold a password.
    given = f"the sink's scheme {scheme + ':'!r} is unknown" if match else "the sink has no scheme"
    close = get_close_matches(scheme, known, n=1) if scheme else ["sqlite"]
    hint = _EXAMPLES.get(close[0], f"{close[0]}:…") if close else _EXAMPLES["sqlite"]
    allowed = ", ".join(f"{name}:" for name in known)
    verb = "did you mean" if close and scheme else "write for example"
    raise ConfigurationError(f"{given}; allowed are {allowed}; {verb} {hint!r}?")


def _load(scheme: str) -> Any:
    target = _BUILT_IN.get(scheme)
    if target is not None:
        module, _, name = target.partition(":")
        return getattr(import_module(module), name)
    (point, *_) = entry_points(group=ENTRY_POINTS, name=scheme)
    return point.load()
