"""OpenTelemetry metrics: attributes are judged with each measurement, before they are summed up.

So no content waits in an aggregation for the next export. What a reader collects is judged once
more: only what was vouched for with its measurement is a text there.
"""

from __future__ import annotations

import dataclasses
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics._internal.measurement import Measurement
from opentelemetry.sdk.metrics._internal.point import MetricsData

from zeroret.guards import conventions, idents, judging, program, tally
from zeroret.guards.subclasses import guard_method
from zeroret.guards.trackers import PATCHES
from zeroret.guards.values import NUMBER_LIMIT
from zeroret.guards.vouching import vouched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_WITHHELD: Final = "withheld"
_MOST: Final = 100_000
_SINKS: Final = frozenset({"zeroret.sinks.otel"})


class JudgedMetrics(MetricsData):
    """Collected metrics that were judged."""


def watch_measurements(consumer: Any) -> None:
    """Guard the measurements of *consumer* (the module ``…_internal.measurement_consumer``)."""

    def consuming(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def consume_measurement(self: Any, measurement: Any, *args: Any, **options: Any) -> Any:
            if PATCHES.active:
                if not _is_measure(measurement.value):
                    return None
                measurement = _measured(measurement, sys._getframe(1))  # noqa: SLF001 - the documented way to the caller's frame
            return original(self, measurement, *args, **options)

        return consume_measurement

    PATCHES.replace(consumer.SynchronousMeasurementConsumer, "consume_measurement", consuming)


def watch_instruments(instrument: Any) -> None:
    """Guard the instruments of *instrument* (the module ``…_internal.instrument``)."""
    for cls in (instrument._Synchronous, instrument._Asynchronous):  # noqa: SLF001 - where names are taken
        PATCHES.replace(cls, "__init__", _naming)

    def calling(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def callback(self: Any, *args: Any, **options: Any) -> Iterator[Any]:
            frame = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller's frame
            for measurement in original(self, *args, **options):
                if not PATCHES.active:
                    yield measurement
                elif _is_measure(measurement.value):
                    yield _measured(measurement, frame)

        return callback

    PATCHES.replace(instrument._Asynchronous, "callback", calling)  # noqa: SLF001 - where observations arrive


def watch_exporters(export: Any) -> None:
    """Guard the readers and exporters of *export* (the module ``…metrics._internal.export``)."""

    def taking(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def guarded_take(self: Any, metrics_data: Any, *args: Any, **options: Any) -> Any:
            if PATCHES.active:
                metrics_data = _shown(metrics_data)
            return original(self, metrics_data, *args, **options)

        return guarded_take

    guard_method(PATCHES, export.MetricReader, "_receive_metrics", taking)
    guard_method(PATCHES, export.MetricExporter, "export", taking)


def _naming(original: Callable[..., None]) -> Callable[..., None]:
    names = original.__code__.co_varnames[1 : original.__code__.co_argcount]

    @wraps(original)
    def __init__(self: Any, *args: Any, **options: Any) -> None:  # noqa: N807 - the method's own name
        flight = judging.current() if PATCHES.active else None
        if flight is not None and flight.enforce:
            given = dict(zip(names, args, strict=False)) | options
            args, options = (), _named(given, sys._getframe(1))  # noqa: SLF001 - the documented way to the caller's frame
        original(self, *args, **options)

    return __init__


def _named(given: dict[str, Any], frame: FrameType | None) -> dict[str, Any]:
    """Return what an instrument is made with, its texts judged."""
    judge = judging.here(frame)
    for key in [each for each in ("name", "unit", "description") if given.get(each)]:
        try:
            given[key] = judge.name(given[key]) or _WITHHELD
        except Exception:  # noqa: BLE001 - fails closed: the instrument has no name of its own
            tally.count("telemetry", "failed")
            given[key] = _WITHHELD
    return given


def _is_measure(value: Any) -> bool:
    """Tell whether a measurement's value is a number that cannot hold a text."""
    if type(value) is float or (type(value) is int and -NUMBER_LIMIT < value < NUMBER_LIMIT):
        return True
    tally.count("telemetry", "withheld")
    return not judging.stranger().enforce


def _measured(measurement: Any, frame: FrameType | None) -> Any:
    """Return a measurement whose attributes are judged, each text vouched for."""
    if not measurement.attributes:
        return measurement
    judge = judging.here(frame, series=True)
    try:
        if _is_ours(frame):
            shown = vouched(dict(measurement.attributes))
        else:
            shown = vouched(conventions.attributes(judge, measurement.attributes))
        if judge.withheld:
            tally.count("telemetry", "withheld")
        if not judge.enforce:
            # The text passes, and counts as passed when it is collected.
            shown = vouched(dict(measurement.attributes))
    except Exception:  # noqa: BLE001 - fails closed: the number is kept, what it belongs to is not
        tally.count("telemetry", "failed")
        shown = {}
    return Measurement(
        measurement.value,
        measurement.time_unix_nano,
        measurement.instrument,
        measurement.context,
        shown,
    )


def _is_ours(frame: FrameType | None) -> bool:
    """Tell whether one of our own sinks measures: its records hold no free text."""
    caller = None if frame is None else frame.f_back
    name = "" if caller is None else caller.f_globals.get("__name__", "")
    return (
        caller is not None
        and name in _SINKS
        and program.namespace_of(name) is caller.f_globals
        and caller.f_code.co_filename == caller.f_globals.get("__file__")
    )


def _shown(data: Any) -> Any:
    """Return collected metrics as they may leave; none if judging them failed."""
    if type(data) is JudgedMetrics:
        return data
    judge = judging.stranger(series=True)
    try:
        resources = [_resource(each, judge) for each in data.resource_metrics]
        if judge.withheld:
            tally.count("telemetry", "withheld")
        return JudgedMetrics(resources if judge.enforce else data.resource_metrics)
    except Exception:  # noqa: BLE001 - fails closed: whatever broke, no metric leaves
        tally.count("telemetry", "failed")
        return JudgedMetrics([])


def _resource(given: Any, judge: judging.Judge) -> Any:
    scopes = [
        dataclasses.replace(scope, metrics=[_metric(metric, judge) for metric in scope.metrics])
        for scope in given.scope_metrics
    ]
    return dataclasses.replace(given, scope_metrics=scopes)


def _metric(metric: Any, judge: judging.Judge) -> Any:
    points = [_point(point, judge) for point in list(metric.data.data_points)[:_MOST]]
    return dataclasses.replace(metric, data=dataclasses.replace(metric.data, data_points=points))


def _point(point: Any, judge: judging.Judge) -> Any:
    return dataclasses.replace(
        point,
        attributes=_attributes(point.attributes, judge),
        exemplars=[_exemplar(each, judge) for each in point.exemplars],
    )


def _exemplar(exemplar: Any, judge: judging.Judge) -> Any:
    return dataclasses.replace(
        exemplar,
        filtered_attributes=_attributes(exemplar.filtered_attributes, judge),
        trace_id=exemplar.trace_id and idents.trace_id(exemplar.trace_id),
    )


def _attributes(given: Any, judge: judging.Judge) -> dict[str, Any]:
    """Return a point's attributes, each point with an allowance of its own."""
    if not given:
        return {}
    own = judging.stranger(series=True)
    shown = conventions.attributes(own, given)
    judge.withheld += own.withheld
    return shown
