"""Sentry's batches: logs, metrics and streamed spans, judged where they are added to a batch.

A batch is sent by a thread that knows no exchange. Each text that may be shown is vouched for here,
and nothing else is a text when the transport takes the batch.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import conventions, idents, judging, logs, tally, vouching
from zeroret.guards.judging import Dropped
from zeroret.guards.moments import moment, nanoseconds
from zeroret.guards.rules import flag, number
from zeroret.guards.trackers import PATCHES
from zeroret.guards.vouching import vouched
from zeroret.integrations import sentry_rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from zeroret.guards.judging import Judge

_PARAMETER: Final = "sentry.message.parameter."
_TEMPLATE: Final = "sentry.message.template"


def watch_batcher(batcher: Any) -> None:
    """Guard the batches of *batcher* (the module ``sentry_sdk._batcher``)."""
    PATCHES.replace(batcher.Batcher, "add", _adding)


def watch_span_batcher(batcher: Any) -> None:
    """Guard the batches of *batcher* (the module ``sentry_sdk._span_batcher``)."""
    PATCHES.replace(batcher.SpanBatcher, "add", _adding)


def watch_handlers(module: Any) -> None:
    """Note what log records *module* (``sentry_sdk.integrations.logging``) renders."""
    # Its frame stands between a handler and the code that logs.
    logs.SKIPPED.add(module.__file__)
    for name in ("EventHandler", "BreadcrumbHandler", "SentryLogsHandler"):
        handler = getattr(module, name, None)
        if handler is not None:
            PATCHES.replace(handler, "emit", _rendering)


def _rendering(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def emit(self: Any, record: Any) -> Any:
        if not PATCHES.active:
            return original(self, record)
        with vouching.rendering(record):
            return original(self, record)

    return emit


def _adding(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def add(self: Any, item: Any, *args: Any, **options: Any) -> Any:
        if PATCHES.active:
            item = _judged(item, sys._getframe(1))  # noqa: SLF001 - the documented way to the caller's frame
            if item is None:
                return None
        return original(self, item, *args, **options)

    return add


def _judged(item: Any, frame: FrameType | None) -> Any:
    """Return a log, metric or span as it may wait in its batch; None if judging it failed."""
    judge = judging.here(frame)
    try:
        shown = _copy(item, judge, frame)
        if judge.withheld:
            tally.count("telemetry", "withheld")
    except Exception:  # noqa: BLE001 - fails closed: whatever broke, the item is not kept
        tally.count("telemetry", "failed")
        return None
    return shown if judge.enforce else item


def _copy(item: Any, judge: Judge, frame: FrameType | None) -> dict[str, Any]:
    given = dict(item.get("attributes") or {})
    _name_parameters(given, frame)
    attributes = conventions.attributes(judge, given, sentry_rules.RULES)
    shown: dict[str, Any] = {}
    for key, value in item.items():
        rule = _FIELDS.get(key)
        if key == "attributes":
            shown[key] = vouched(attributes)
        elif key == "body":
            shown[key] = vouched(_body(judge, value, given))
        elif key == "name":
            shown[key] = vouched(_name(judge, value, attributes))
        else:
            judged = judge.drop() if rule is None else rule(judge, value)
            if not isinstance(judged, Dropped):
                shown[key] = vouched(judged)
    return shown


def _name_parameters(given: dict[str, Any], frame: FrameType | None) -> None:
    """Vouch for the keys of a template's parameters, as far as the program names those."""
    for key in [each for each in given if each.startswith(_PARAMETER)]:
        name = key[len(_PARAMETER) :]
        if (name.isascii() and name.isdecimal()) or vouching.prove(name, frame, name=True):
            given[vouching.Vouched(key)] = given.pop(key)


def _body(judge: Judge, value: Any, given: dict[str, Any]) -> Any:
    """Return the text of a log: itself, its template, or a marker."""
    template = given.get(_TEMPLATE)
    if judge.strict and isinstance(template, str):
        before = judge.withheld
        shown = judge.text(template)
        if judge.withheld == before and not vouching.is_rendered(value):
            return shown
        judge.withheld = before
    return judge.text(value) if isinstance(value, str) else judge.mark(value)


def _kept(_judge: Judge, value: Any) -> Any:
    return value


def _nanoseconds(_judge: Judge, value: Any) -> Any:
    return nanoseconds(value)


def _hex(length: int) -> Callable[[Judge, Any], Any]:
    def rule(_judge: Judge, value: Any) -> Any:
        return idents.hex_id(value, length)

    return rule


def _name(judge: Judge, value: Any, attributes: dict[str, Any]) -> str:
    """Return the name of a metric or span."""
    served = attributes.get("sentry.op") != "http.client"
    return conventions.operation(judge, value, attributes, served=served) or "withheld"


_FIELDS: Final[dict[str, Callable[[Judge, Any], Any]]] = {
    "time_unix_nano": _nanoseconds,
    "timestamp": moment,
    "start_timestamp": moment,
    "end_timestamp": moment,
    "trace_id": _hex(32),
    "span_id": _hex(16),
    "parent_span_id": _hex(16),
    "severity_text": sentry_rules.word,
    "severity_number": number,
    "type": sentry_rules.word,
    "value": number,
    "unit": sentry_rules.word,
    "status": sentry_rules.word,
    "is_segment": flag,
    # The batch asks it for the trace, which the envelope's header shows.
    "_segment_span": _kept,
}
