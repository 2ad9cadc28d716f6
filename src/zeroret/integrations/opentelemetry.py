"""OpenTelemetry traces: spans are judged when they end, and once more before an exporter has them.

A span is judged in the thread that ends it, where its exchange and the code that named it are
known; every processor gets the judged copy, however it exports. An exporter's own guard stops what
came another way. What code sets on a span is looked at when it is set, for its frame's constants.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import wraps
from operator import is_
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from zeroret.guards import (
    conventions,
    exceptions,
    idents,
    judging,
    program,
    tally,
    vouching,
)
from zeroret.guards.classes import OTHER, full_name
from zeroret.guards.judging import Judge
from zeroret.guards.moments import nanoseconds
from zeroret.guards.noting import note
from zeroret.guards.subclasses import guard_method
from zeroret.guards.trackers import PATCHES
from zeroret.guards.vouching import Vouched

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

_FLIGHT: Final = "_zeroret_flight"
_SEAL: Final = "_zeroret_seal"
_OUTGOING: Final = frozenset({SpanKind.CLIENT, SpanKind.PRODUCER})
_WITHHELD: Final = "withheld"


def watch_spans(trace: Any) -> None:
    """Guard the spans of *trace* (the module ``opentelemetry.sdk.trace``)."""
    PATCHES.replace(trace.Span, "_readable_span", _ending)
    PATCHES.replace(trace.Span, "record_exception", _recording)
    PATCHES.replace(trace.Span, "__init__", _starting)
    for name in ("set_attribute", "set_attributes", "add_event", "update_name", "add_link"):
        PATCHES.replace(trace.Span, name, _noting)


def watch_exporters(export: Any) -> None:
    """Guard the span exporters of *export* (the module ``opentelemetry.sdk.trace.export``)."""

    def exporting(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def guarded_export(self: Any, spans: Any, *args: Any, **options: Any) -> Any:
            if not PATCHES.active:
                return original(self, spans, *args, **options)
            shown = _shown_batch(spans)
            if not shown and spans:
                return export.SpanExportResult.SUCCESS
            return original(self, shown, *args, **options)

        return guarded_export

    guard_method(PATCHES, export.SpanExporter, "export", exporting)


# Where spans are made.


def _starting(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def __init__(self: Any, *args: Any, **options: Any) -> None:  # noqa: N807 - the method's own name
        original(self, *args, **options)
        if PATCHES.active:
            _started(self, sys._getframe(1))  # noqa: SLF001 - the documented way to the caller's frame

    return __init__


def _started(span: Any, frame: FrameType) -> None:
    """Note the exchange in which *span* starts, and what of it the program's source names."""
    try:
        flight = judging.current()
        if flight is not None:
            span.__dict__[_FLIGHT] = flight
        note(frame, span.name, span.attributes)
        for link in span.links:
            note(frame, "", link.attributes)
    except Exception:  # noqa: BLE001 - what is not noted now is withheld later
        tally.count("telemetry", "failed")


def _noting(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def noted(self: Any, *args: Any, **options: Any) -> Any:
        if PATCHES.active:
            try:
                _note_call(sys._getframe(1), original.__name__, args, options)  # noqa: SLF001 - the documented way to the caller's frame
            except Exception:  # noqa: BLE001 - what is not noted now is withheld later
                tally.count("telemetry", "failed")
        return original(self, *args, **options)

    return noted


def _note_call(frame: FrameType, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    given = [*args, *options.values()]
    if name == "set_attribute":
        note(frame, "", {given[0]: given[1]})
        return
    named = given[0] if name in ("add_event", "update_name") else ""
    for each in given:
        if isinstance(each, Mapping):
            note(frame, "", each)
    note(frame, named, None)


def _recording(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def record_exception(
        self: Any,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 - the method's own signature
    ) -> None:
        flight = judging.current() or self.__dict__.get(_FLIGHT)
        if not PATCHES.active or flight is None or not flight.enforce:
            original(self, exception, attributes, timestamp, escaped)
            return
        described: dict[str, Any] = {"exception.escaped": str(escaped), **(attributes or {})}
        described |= _description(exception)
        self.add_event("exception", described, timestamp)

    return record_exception


def _description(error: BaseException) -> dict[str, str]:
    """Return what an exception's event may say: its class and its places."""
    try:
        return {
            "exception.type": Vouched(full_name(type(error))),
            "exception.message": Vouched(exceptions.substitute(error, None)),
            "exception.stacktrace": Vouched(exceptions.describe(error)),
        }
    except Exception:  # noqa: BLE001 - fails closed: the exception is then only counted
        tally.count("telemetry", "failed")
        return {"exception.type": Vouched(OTHER)}


# Where spans end.


def _ending(original: Callable[..., ReadableSpan]) -> Callable[..., ReadableSpan]:
    @wraps(original)
    def _readable_span(self: Any) -> ReadableSpan:
        span = original(self)
        if not PATCHES.active:
            return span
        flight = self.__dict__.get(_FLIGHT) or judging.current()
        frame = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller's frame
        return _judged(span, Judge(flight, frame, strict=flight is not None))

    return _readable_span


def _shown_batch(spans: Sequence[Any]) -> list[Any]:
    """Return a batch as an exporter may have it: sealed spans as they are, others judged."""
    try:
        return [
            span if is_sealed(span) else _judged(span, judging.stranger()) for span in list(spans)
        ]
    except Exception:  # noqa: BLE001 - fails closed: the batch is not exported
        tally.count("telemetry", "failed")
        return []


def _judged(span: Any, judge: Judge) -> ReadableSpan:
    """Return *span* as it may leave, sealed; an empty one if judging it failed."""
    try:
        shown = _copy(span, judge)
        if judge.withheld:
            tally.count("telemetry", "withheld")
        if not judge.enforce:
            shown = span
        _seal(shown)
    except Exception:  # noqa: BLE001 - fails closed: whatever broke, the span shows nothing
        tally.count("telemetry", "failed")
        return _EMPTY
    return shown


def _copy(span: Any, judge: Judge) -> ReadableSpan:
    attributes = conventions.attributes(judge, dict(span.attributes or {}))
    kind = span.kind if type(span.kind) is SpanKind else SpanKind.INTERNAL
    scope = span.instrumentation_scope
    served = kind not in _OUTGOING
    name = conventions.operation(judge, span.name, attributes, served=served)
    shown = ReadableSpan(
        name=name or kind.name.lower(),
        context=_context(span.context),
        parent=_context(span.parent),
        resource=span.resource,
        attributes=bounded(attributes, span.dropped_attributes),
        events=_list([_event(each, judge) for each in span.events], span.dropped_events),
        links=_list([_link(each, judge) for each in span.links], span.dropped_links),
        kind=kind,
        status=_status(span.status, judge),
        start_time=nanoseconds(span.start_time),
        end_time=nanoseconds(span.end_time),
        instrumentation_scope=scope,
    )
    info = getattr(span, "_instrumentation_info", None)
    if info is not None and scope is not None and info.name == scope.name:
        vars(shown)["_instrumentation_info"] = info
    return shown


def bounded(attributes: dict[str, Any], dropped: int = 0) -> BoundedAttributes:
    """Return judged attributes as the SDK holds them, how many it dropped itself kept."""
    made = BoundedAttributes(attributes=attributes, immutable=True)
    made.dropped = dropped
    return made


def _list(items: list[Any], dropped: int) -> Any:
    made = BoundedList.from_seq(max(len(items), 1), items)
    made.dropped = dropped
    return made


def _context(context: Any) -> SpanContext | None:
    """Return a span's context: its ids and flags; the state is text that a client may send."""
    if context is None:
        return None
    shown = idents.trace_id(context.trace_id)
    if type(context) is SpanContext and shown == context.trace_id and not context.trace_state:
        return context
    return SpanContext(
        shown,
        idents.span_id(context.span_id),
        bool(context.is_remote),
        TraceFlags(int(context.trace_flags) & 0xFF),
        TraceState(),
    )


def _event(event: Any, judge: Judge) -> Event:
    attributes = conventions.attributes(judge, dict(event.attributes or {}))
    name = judge.name(event.name)
    judge.withheld += name is None
    return Event(
        name or _WITHHELD,
        bounded(attributes, getattr(event, "dropped_attributes", 0)),
        nanoseconds(event.timestamp),
    )


def _link(link: Any, judge: Judge) -> Link:
    attributes = conventions.attributes(judge, dict(link.attributes or {}))
    return Link(_context(link.context), bounded(attributes, link.dropped_attributes))  # type: ignore[arg-type] # a link has a context


def _status(status: Any, judge: Judge) -> Status:
    """Return a span's status; of ``ValueError: text`` the class is left."""
    code = status.status_code if type(status.status_code) is StatusCode else StatusCode.UNSET
    description = status.description
    if code is not StatusCode.ERROR or not description:
        return Status(code)
    error, colon, _ = description.partition(": ")
    before = judge.withheld
    shown = judge.text(description)
    if judge.strict and judge.withheld > before and colon and program.is_error(error):
        shown = f"{vouching.plain(error)}: [withheld]"
    return Status(code, shown)


def is_sealed(span: Any) -> bool:
    """Tell whether *span* says what it said when it was judged."""
    seal = getattr(span, "__dict__", {}).get(_SEAL)
    return seal is not None and all(map(is_, seal, _fields(span)))


def _seal(span: Any) -> None:
    span.__dict__[_SEAL] = _fields(span)


def _fields(span: Any) -> tuple[Any, ...]:
    held = span.__dict__
    names = ("_name", "_context", "_parent", "_resource", "_attributes", "_events", "_links")
    return (*(held.get(name) for name in names), held.get("_status"))


_EMPTY: Final = ReadableSpan(
    _WITHHELD, SpanContext(0, 0, is_remote=False), end_time=0, start_time=0
)
_seal(_EMPTY)
