"""OpenTelemetry logs: records are judged where they are emitted, and before an exporter has them.

What a logging handler turns a guarded record into is passed on: the log guard has judged it.
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.trace import get_current_span, set_span_in_context

from zeroret.guards import conventions, idents, judging, names, tally, vouching
from zeroret.guards.moments import nanoseconds
from zeroret.guards.subclasses import guard_method
from zeroret.guards.trackers import PATCHES

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.guards.judging import Judge

_SEAL: Final = "_zeroret_seal"
_WITHHELD: Final = "[withheld]"
_SEVERITIES: Final = frozenset(
    {
        *(f"{name}{number}" for name in ("TRACE", "DEBUG", "INFO") for number in ("", 2, 3, 4)),
        *(f"{name}{number}" for name in ("WARN", "ERROR", "FATAL") for number in ("", 2, 3, 4)),
    }
)


def watch_records(logs: Any) -> None:
    """Guard the records of *logs* (the module ``opentelemetry.sdk._logs._internal``)."""
    PATCHES.replace(logs.ReadWriteLogRecord, "__post_init__", _emitting)
    watch_handler(logs)


def watch_handler(module: Any) -> None:
    """Note what log record the ``LoggingHandler`` of *module* renders, if it has one."""
    handler = getattr(module, "LoggingHandler", None)
    if handler is not None:
        PATCHES.replace(handler, "emit", _rendering)


def watch_exporters(export: Any) -> None:
    """Guard the exporters of *export* (``opentelemetry.sdk._logs._internal.export``)."""

    def exporting(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def guarded_export(self: Any, batch: Any, *args: Any, **options: Any) -> Any:
            if not PATCHES.active:
                return original(self, batch, *args, **options)
            shown = _shown_batch(batch)
            if not shown and batch:
                return export.LogRecordExportResult.SUCCESS
            return original(self, shown, *args, **options)

        return guarded_export

    guard_method(PATCHES, export.LogRecordExporter, "export", exporting)


def _rendering(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def emit(self: Any, record: Any) -> None:
        if not PATCHES.active:
            original(self, record)
            return
        with vouching.rendering(record, whole=True):
            original(self, record)

    return emit


def _emitting(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def __post_init__(self: Any) -> None:  # noqa: N807 - the method's own name
        original(self)
        if PATCHES.active:
            self.log_record = _judged(self.log_record, judging.here(sys._getframe(2)))  # noqa: SLF001 - the documented way to the caller's frame

    return __post_init__


def _shown_batch(batch: Any) -> list[Any]:
    """Return a batch as an exporter may have it: sealed records as they are, others judged."""
    try:
        return [each if _is_sealed(each.log_record) else _rejudged(each) for each in list(batch)]
    except Exception:  # noqa: BLE001 - fails closed: the batch is not exported
        tally.count("telemetry", "failed")
        return []


def _rejudged(readable: Any) -> Any:
    record = _judged(readable.log_record, judging.stranger())
    return dataclasses.replace(readable, log_record=record)


def _judged(record: Any, judge: Judge) -> Any:
    """Return a log record as it may leave, sealed; without text if judging it failed."""
    try:
        shown = _copy(record, judge)
        if judge.withheld:
            tally.count("telemetry", "withheld")
        if not judge.enforce:
            shown = record
    except Exception:  # noqa: BLE001 - fails closed: whatever broke, the record shows nothing
        tally.count("telemetry", "failed")
        shown = _emptied(record)
    _seal(shown)
    return shown


def _copy(record: Any, judge: Judge) -> Any:
    shown = copy.copy(record)
    given = record.attributes
    if not vouching.renders_whole():
        shown.body = None if record.body is None else judge.value(record.body)
        known = getattr(record, _SEAL, {})
        rest = {k: v for k, v in dict(given or {}).items() if known.get(k, _SEAL) is not v}
        kept = {k: v for k, v in dict(given or {}).items() if k not in rest}
        shown.attributes = _bounded({**kept, **conventions.attributes(judge, rest)}, given)
        shown.severity_text = _severity(record.severity_text, judge)
        shown.event_name = _event_name(record.event_name, judge)
    shown.timestamp = nanoseconds(record.timestamp) or None
    shown.observed_timestamp = nanoseconds(record.observed_timestamp) or None
    shown.trace_id = idents.trace_id(record.trace_id or 0)
    shown.span_id = idents.span_id(record.span_id or 0)
    shown.exception = None
    # Of the context, baggage is what a client sent.
    shown.context = set_span_in_context(get_current_span(record.context), Context())
    return shown


def _emptied(record: Any) -> Any:
    shown = copy.copy(record)
    shown.body, shown.attributes, shown.exception = _WITHHELD, _bounded({}, None), None
    shown.severity_text, shown.event_name, shown.context = None, None, Context()
    return shown


def _bounded(attributes: dict[str, Any], given: Any) -> BoundedAttributes:
    made = BoundedAttributes(
        getattr(given, "maxlen", None),
        attributes,
        immutable=False,
        max_value_len=getattr(given, "max_value_len", None),
    )
    made.dropped = getattr(given, "dropped", 0)
    return made


def _severity(text: Any, judge: Judge) -> Any:
    if text is None or text in _SEVERITIES or text in names.levels:
        return text
    return judge.text(text) if isinstance(text, str) else None


def _event_name(name: Any, judge: Judge) -> Any:
    if name is None:
        return None
    shown = judge.name(name)
    judge.withheld += shown is None
    return shown or _WITHHELD


def _seal(record: Any) -> None:
    vars(record)[_SEAL] = {**dict(record.attributes or {}), None: _fields(record)}


def _is_sealed(record: Any) -> bool:
    """Tell whether *record* says what it said when it was judged."""
    seal = vars(record).get(_SEAL)
    given = dict(record.attributes or {})
    return (
        seal is not None
        and all(one is other for one, other in zip(seal[None], _fields(record), strict=True))
        and all(seal.get(key, _SEAL) is value for key, value in given.items())
    )


def _fields(record: Any) -> tuple[Any, ...]:
    return (record.body, record.event_name, record.severity_text, record.trace_id)
