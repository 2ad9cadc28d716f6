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

    from zeroret.types import UsageSink

ENTRY_POINTS: Final = "zeroret.sinks"
"""The entry-point group whose names are URI schemes; each value is called as a sink's class is."""

_BUILT_IN: Final = {
    "sqlite": "zeroret.sinks.sqlite:SqliteSink",
    "jsonl": "zeroret.sinks.jsonl:JsonlSink",
    "memory": "zeroret.sinks.memory:MemorySink",
}
_EXAMPLES: Final = {
    "sqlite": "sqlite:///usage.db",
    "jsonl": "jsonl:///usage.jsonl",
    "memory": "memory:",
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


def open_sink(spec: Any, *, columns: Iterable[str]) -> UsageSink:
    """Return the sink of *spec*, which writes no other columns than *columns*.

    Files and connections are opened at the first write. Raises what `check` raises.
    """
    check(spec)
    if isinstance(spec, str):
        target = _load(_scheme(spec))
        sink: UsageSink = getattr(target, "open", target)(spec, columns=columns)
        return sink
    if _is_object(spec):
        target = spec
        return CallableSink(target.write, columns=columns, close=target.close)
    assert callable(spec)
    return CallableSink(spec, columns=columns)


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
