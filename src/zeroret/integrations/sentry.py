"""Sentry: envelopes are judged where a transport takes them, in the thread that captured them.

Breadcrumbs are judged when they are added, since they wait for the next event; tags, extra data and
spans are looked at for constants of the program.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from sentry_sdk.envelope import Envelope, Item, PayloadRef

from zeroret.guards import judging, tally, vouching
from zeroret.guards.judging import Dropped, Judge
from zeroret.guards.noting import note
from zeroret.guards.subclasses import guard_method
from zeroret.guards.telemetry import allowed
from zeroret.guards.trackers import PATCHES
from zeroret.guards.vouching import vouched
from zeroret.integrations import sentry_rules, sentry_shapes

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_BATCHES: Final = frozenset({"log", "trace_metric", "span"})
_MOST: Final = 64


def watch_transports(transport: Any) -> None:
    """Guard the transports of *transport* (the module ``sentry_sdk.transport``)."""
    guard_method(PATCHES, transport.Transport, "capture_envelope", _capturing)


def watch_spotlight(spotlight: Any) -> None:
    """Guard the client of *spotlight* (the module ``sentry_sdk.spotlight``)."""
    guard_method(PATCHES, spotlight.SpotlightClient, "capture_envelope", _capturing)


def watch_scope(scope: Any) -> None:
    """Judge what the scopes of *scope* (the module ``sentry_sdk.scope``) gather."""
    PATCHES.replace(scope.Scope, "add_breadcrumb", _adding)
    for name in ("set_tag", "set_extra", "set_attribute"):
        PATCHES.replace(scope.Scope, name, _setting)
    PATCHES.replace(scope.Scope, "set_tags", _setting_many)


def watch_tracing(tracing: Any) -> None:
    """Look at what the spans of *tracing* (the module ``sentry_sdk.tracing``) are given."""
    for name in ("__init__", "set_tag", "set_data"):
        PATCHES.replace(tracing.Span, name, _noting)


def _capturing(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def capture_envelope(self: Any, envelope: Any, *args: Any, **options: Any) -> Any:
        if PATCHES.active:
            envelope = _shown(envelope, sys._getframe(1))  # noqa: SLF001 - the documented way to the caller's frame
            if envelope is None:
                return None
        return original(self, envelope, *args, **options)

    return capture_envelope


def _shown(envelope: Any, frame: FrameType | None) -> Any:
    """Return an envelope as it may leave; None if nothing of it does, or judging it failed."""
    if type(envelope) is JudgedEnvelope:
        return envelope
    judge = judging.here(frame)
    try:
        made = JudgedEnvelope(allowed(dict(envelope.headers), sentry_shapes.HEADERS, judge))
        for item in envelope.items:
            shown = _item(item, judge, frame)
            if shown is not None:
                made.add_item(shown)
        if judge.withheld:
            tally.count("telemetry", "withheld")
        if not judge.enforce:
            return envelope
    except Exception:  # noqa: BLE001 - fails closed: whatever broke, the envelope is not sent
        tally.count("telemetry", "failed")
        return None
    return made if made.items else None


class JudgedEnvelope(Envelope):
    """An envelope that was judged: transports wrap one another."""


def _item(item: Any, judge: Judge, frame: FrameType | None) -> Item | None:
    shape = sentry_shapes.ITEMS.get(item.type)
    payload = getattr(item.payload, "json", None)
    if shape is None or not isinstance(payload, dict):
        judge.withheld += 1
        return None
    own = judge
    if item.type in _BATCHES:
        # Gathered in many contexts: only what was vouched for where it was added is a text.
        own = Judge(judge.flight, frame, strict=True)
    shown = allowed(payload, shape, own)
    judge.withheld += own.withheld if own is not judge else 0
    if isinstance(shown, Dropped):
        return None
    headers: dict[str, Any] = {}
    if type(item.headers.get("item_count")) is int:
        headers["item_count"] = len(shown.get("items", ()))
    return Item(
        payload=PayloadRef(json=shown),
        type=item.type,
        content_type=_CONTENT_TYPES.get(item.type, "application/json"),
        headers=headers,
    )


_CONTENT_TYPES: Final = {
    "log": "application/vnd.sentry.items.log+json",
    "trace_metric": "application/vnd.sentry.items.trace-metric+json",
    "span": "application/vnd.sentry.items.span.v2+json",
}


def _adding(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def add_breadcrumb(self: Any, crumb: Any = None, hint: Any = None, **options: Any) -> Any:
        if PATCHES.active:
            given = {**(crumb or {}), **options}
            crumb, options = _crumb(given, sys._getframe(1)), {}  # noqa: SLF001 - the documented way to the caller's frame
            if crumb is None:
                return None
        return original(self, crumb, hint, **options)

    return add_breadcrumb


def _crumb(given: dict[str, Any], frame: FrameType | None) -> Any:
    """Return a breadcrumb as it may wait for an event; None if judging it failed."""
    judge = judging.here(frame)
    try:
        shown = allowed(given, sentry_shapes.CRUMB, judge)
        if judge.withheld:
            tally.count("telemetry", "withheld")
        return vouched(shown) if judge.enforce else given
    except Exception:  # noqa: BLE001 - fails closed: the breadcrumb is not kept
        tally.count("telemetry", "failed")
        return None


def _setting(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def set_judged(self: Any, key: Any, value: Any) -> None:
        given = {key: value}
        for name, shown in _attributes(given, sys._getframe(1)).items():  # noqa: SLF001 - the documented way to the caller's frame
            original(self, name, shown)

    return set_judged


def _setting_many(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def set_judged(self: Any, tags: Any) -> None:
        original(self, _attributes(tags, sys._getframe(1)))  # noqa: SLF001 - the documented way to the caller's frame

    return set_judged


def _attributes(given: Any, frame: FrameType | None) -> Any:
    """Return tags, extra data or attributes as they may wait in a scope."""
    if not PATCHES.active or not isinstance(given, dict):
        return given
    judge = judging.here(frame)
    try:
        shown = vouched(sentry_rules.attributes(judge, given))
    except Exception:  # noqa: BLE001 - fails closed: the scope does not learn it
        tally.count("telemetry", "failed")
        return {}
    if judge.withheld:
        tally.count("telemetry", "withheld")
    return shown if judge.enforce else given


def _noting(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def noted(self: Any, *args: Any, **options: Any) -> Any:
        if PATCHES.active:
            try:
                _note(sys._getframe(1), args, options)  # noqa: SLF001 - the documented way to the caller's frame
            except Exception:  # noqa: BLE001 - what is not noted now is withheld later
                tally.count("telemetry", "failed")
        return original(self, *args, **options)

    return noted


def _note(frame: FrameType, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Remember which texts among the arguments are constants of the program."""
    named = args[0] if args else None
    if isinstance(named, str):
        vouching.prove(named, frame, name=True)
    for each in (*args[1:], *options.values()):
        vouching.prove(each, frame)
    for each in (*args, *options.values()):
        if isinstance(each, dict) and len(each) <= _MOST:
            note(frame, "", each)
