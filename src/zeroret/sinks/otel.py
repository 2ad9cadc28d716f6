"""Records as OpenTelemetry metrics, by the conventions for generative AI.

Extra ``zeroret[otel]``. ``otel:`` uses the meter provider that the application set; with
``?endpoint=`` the sink has one of its own, which exports over OTLP/HTTP.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from zeroret.errors import ConfigurationError, MissingExtraError
from zeroret.sinks import semconv
from zeroret.sinks.columns import Restriction
from zeroret.sinks.health import readings
from zeroret.sinks.known import Known
from zeroret.sinks.location import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from zeroret.sinks.health import Counters
    from zeroret.usage.record import UsageRecord

_ALLOWED: Final = "otel:, otel:?names=old, otel:?endpoint=https://collector.internal/v1/metrics"
_INTERVAL: Final = 10_000  # milliseconds between exports


class OtelSink:
    """Adds each new record to counters and histograms; a process remembers 100,000 ids.

    Metrics are not a ledger: what a process had not exported when it was killed is lost.
    """

    def __init__(self, uri: str, *, columns: Iterable[str] | None = None) -> None:
        self._endpoint, self._old = _parsed(uri)
        self._restriction = Restriction(columns)
        self._known = Known()
        self._provider: Any = None
        self._instruments: dict[str, Callable[..., None]] = {}
        self._counters: Counters | None = None
        self._pid = 0

    @staticmethod
    def check(uri: str) -> None:
        """Raise `ConfigurationError` if *uri* asks for what there is not.

        Raises `MissingExtraError` where OpenTelemetry is not installed.
        """
        _metrics()
        _parsed(uri)

    def observe(self, counters: Counters) -> None:
        """Show the health of journal and delivery, too; *counters* tells it when asked."""
        self._counters = counters

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Add what is new."""
        if not self._instruments or self._pid != os.getpid():
            self._open()
        for record in self._restriction.apply(self._known.fresh(records)):
            for name, value, attributes in semconv.measurements(record, old=self._old):
                self._instruments[name](value, attributes)

    def close(self) -> None:
        """Export what is left, if the exporter is the sink's own."""
        provider, self._provider = self._provider, None
        self._instruments = {}
        if provider is not None and self._pid == os.getpid():
            provider.shutdown()

    def _open(self) -> None:
        metrics = _metrics()
        self._pid = os.getpid()
        self._provider = _provider(self._endpoint) if self._endpoint else None
        provider = self._provider or metrics.get_meter_provider()
        meter = provider.get_meter("zeroret")
        for metric in semconv.OLD if self._old else semconv.METRICS:
            self._instruments[metric.name] = _instrument(meter, metric)
        if self._counters is not None:
            _show_health(meter, metrics, self._counters)


def _instrument(meter: Any, metric: semconv.Metric) -> Callable[..., None]:
    if metric.kind == "counter":
        add: Callable[..., None] = meter.create_counter(
            metric.name, unit=metric.unit, description=metric.about
        ).add
        return add
    record: Callable[..., None] = meter.create_histogram(
        metric.name,
        unit=metric.unit,
        description=metric.about,
        explicit_bucket_boundaries_advisory=list(metric.buckets),
    ).record
    return record


def _show_health(meter: Any, metrics: Any, counters: Counters) -> None:
    by_name: dict[str, Callable[[Any], list[Any]]] = {}

    def reader(name: str) -> Callable[[Any], list[Any]]:
        def read(_options: Any) -> list[Any]:
            return [
                metrics.Observation(each.value, {"zeroret.sink": each.sink} if each.sink else {})
                for each in readings(counters())
                if each.name == name
            ]

        return read

    for each in readings(counters()):
        if each.name not in by_name:
            by_name[each.name] = reader(each.name)
            create = (
                meter.create_observable_counter if each.grows else meter.create_observable_gauge
            )
            create("zeroret." + each.name, [by_name[each.name]], each.unit, each.about)


def _provider(endpoint: str) -> Any:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=endpoint), export_interval_millis=_INTERVAL
    )
    # Exit handlers of its own would start threads there; the runtime's closes it.
    return MeterProvider([reader], shutdown_on_exit=False)


def _parsed(uri: str) -> tuple[str, bool]:
    """Return the endpoint of an exporter of one's own, or nothing, and whether names are old."""
    path, _, query = uri.partition(":")[2].partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    names, endpoint = given.pop("names", "current"), given.pop("endpoint", "")
    if path.strip("/") or given or names not in {"current", "old"}:
        raise ConfigurationError(f"the otel: sink knows names= and endpoint=: write {_ALLOWED}")
    if endpoint:
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"endpoint={endpoint!r} is no URL: write {_ALLOWED}")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ConfigurationError(
                "the otel: sink would send metrics to another machine without TLS: "
                "write endpoint=https://…"
            )
    return endpoint, names == "old"


def _metrics() -> Any:
    try:
        import opentelemetry.sdk.metrics
        from opentelemetry import metrics
    except ImportError:
        raise MissingExtraError("the otel: sink", "otel") from None
    assert opentelemetry.sdk.metrics
    return metrics
