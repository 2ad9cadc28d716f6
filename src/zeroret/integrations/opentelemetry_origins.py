"""OpenTelemetry's origins: resources and scopes, judged when they are made.

Both say who sends telemetry and are made at the start, as configuration. One that an exchange makes
is held to the rules; exporters then take either as it is.
"""

from __future__ import annotations

import re
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import conventions, judging, tally
from zeroret.guards.rules import module
from zeroret.guards.trackers import PATCHES

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.guards.judging import Judge

_WITHHELD: Final = "[withheld]"
_VERSION: Final = re.compile(
    r"\d{1,4}(?:\.\d{1,4}){0,3}(?:(?:a|b|rc|\.dev|\.post)\d{1,3})?", re.ASCII
)
_SCHEMA: Final = re.compile(
    r"https://opentelemetry\.io/schemas/\d{1,2}\.\d{1,3}\.\d{1,2}", re.ASCII
)


def watch_resources(resources: Any) -> None:
    """Guard the resources of *resources* (the module ``opentelemetry.sdk.resources``)."""
    PATCHES.replace(resources.Resource, "__init__", lambda original: _making(original, _resource))


def watch_scopes(instrumentation: Any) -> None:
    """Guard the scopes of *instrumentation* (``opentelemetry.sdk.util.instrumentation``)."""
    scope = instrumentation.InstrumentationScope
    PATCHES.replace(scope, "__init__", lambda original: _making(original, _scope))


def _making(
    original: Callable[..., None], judged: Callable[[Judge, tuple[Any, ...]], tuple[Any, ...]]
) -> Callable[..., None]:
    names = original.__code__.co_varnames[1 : original.__code__.co_argcount]

    @wraps(original)
    def __init__(self: Any, *args: Any, **options: Any) -> None:  # noqa: N807 - the method's own name
        flight = judging.current() if PATCHES.active else None
        if flight is not None and flight.enforce:
            given = [*args, *(options.get(name) for name in names[len(args) :])]
            args, options = _shown(judged, judging.here(sys._getframe(1)), tuple(given)), {}  # noqa: SLF001 - the documented way to the caller's frame
        original(self, *args, **options)

    return __init__


def _shown(
    judged: Callable[[Judge, tuple[Any, ...]], tuple[Any, ...]],
    judge: Judge,
    given: tuple[Any, ...],
) -> tuple[Any, ...]:
    try:
        shown = judged(judge, given)
    except Exception:  # noqa: BLE001 - fails closed: the origin says nothing
        tally.count("telemetry", "failed")
        return ({},) if judged is _resource else (_WITHHELD,)
    if judge.withheld:
        tally.count("telemetry", "withheld")
    return shown


def _resource(judge: Judge, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return attributes and schema of a resource that an exchange makes."""
    if given[0]:
        # A merge of resources that were there before keeps what they say.
        known = _attributes_of_providers()
        rest = {key: value for key, value in given[0].items() if known.get(key) != value}
        kept = {key: value for key, value in given[0].items() if key not in rest}
        return ({**kept, **conventions.attributes(judge, rest)}, _schema(judge, given[1]))
    return (given[0], _schema(judge, given[1]))


def _attributes_of_providers() -> dict[str, Any]:
    from opentelemetry import trace

    resource = getattr(trace.get_tracer_provider(), "resource", None)
    return dict(resource.attributes) if resource is not None else {}


def _scope(judge: Judge, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return name, version, schema and attributes of a scope that an exchange makes."""
    name, version, schema, attributes = given
    shown = judge.name(name) or module(judge, name)
    if version and not _VERSION.fullmatch(version):
        version = judge.text(version)
    judged = conventions.attributes(judge, attributes) if attributes else attributes
    return (shown, version, _schema(judge, schema), judged)


def _schema(judge: Judge, schema: Any) -> Any:
    if not schema or (isinstance(schema, str) and _SCHEMA.fullmatch(schema)):
        return schema
    return judge.text(schema) if isinstance(schema, str) else ""
