"""OpenTelemetry: real SDK, real collector over HTTP, each record counted once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from zeroret import ZeroRetention
from zeroret.content.flight import Flight
from zeroret.content.live import LIVE
from zeroret.errors import ConfigurationError
from zeroret.sinks.otel import OtelSink
from zeroret.usage.record import UsageRecord

MakeRecord = Callable[..., UsageRecord]


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the reader of a meter provider that the application has set."""
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    found = InMemoryMetricReader()
    provider = MeterProvider([found])
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    return found


def metrics_of(reader: Any) -> dict[str, Any]:
    """Return the metrics collected so far, by name."""
    data = reader.get_metrics_data()
    return {
        metric.name: metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def record(make: MakeRecord, number: int) -> UsageRecord:
    """Return the record of a chat."""
    return make(
        number,
        dialect="openai.chat",
        provider="openai",
        request_model="gpt-4o",
        input_tokens=10,
        output_tokens=3,
        duration=0.5,
    )


def test_the_applications_provider_gets_the_metrics(reader: Any, make: MakeRecord) -> None:
    """Sums are right, a record that comes twice counts once, buckets are the convention's."""
    sink = OtelSink("otel:")
    sink.write([record(make, 1), record(make, 2)])
    sink.write([record(make, 2), record(make, 3)])
    metrics = metrics_of(reader)
    usage = metrics["gen_ai.client.inference.usage.input_tokens"]
    (point,) = usage.data.data_points
    assert (point.value, usage.unit, usage.data.is_monotonic) == (30, "{token}", True)
    assert point.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.token.modality": "unknown",
    }
    duration = metrics["gen_ai.server.request.duration"]
    (point,) = duration.data.data_points
    assert point.explicit_bounds[:3] == (0.01, 0.02, 0.04)
    assert (point.count, point.sum, duration.unit) == (3, 1.5, "s")
    sink.close()


def test_health_is_shown(reader: Any) -> None:
    """Lag, retries, shed and dead counts are metrics of the same provider, whatever is live."""
    flight = Flight("strict")
    flight.hold(b"what a client said to this server")
    LIVE.enter(flight)
    with ZeroRetention("usage-only", ["otel:"], journal="memory") as runtime:
        runtime.journal.append(UsageRecord(id="0190a1b2-0000-7000-8000-000000000001", policy="p@1"))
        assert runtime.flush(30)
        metrics = metrics_of(reader)
    LIVE.leave(flight, 0)
    assert {
        "zeroret.journal.shed",
        "zeroret.journal.dead",
        "zeroret.delivery.lag",
        "zeroret.delivery.retries",
    } <= metrics.keys()
    (point,) = metrics["zeroret.delivery.delivered"].data.data_points
    assert point.value == 1
    assert len(point.attributes["zeroret.sink"]) == 12


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Give the endpoint of an OTLP collector, and the bodies that it got."""
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/metrics", got
    server.shutdown()
    server.server_close()


def test_an_exporter_of_its_own(collector: tuple[str, list[bytes]], make: MakeRecord) -> None:
    """With an endpoint the sink exports by itself, and closing exports what is left."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
    )

    endpoint, got = collector
    sink = OtelSink(f"otel:?endpoint={endpoint}&names=old")
    sink.write([record(make, 1)])
    sink.close()
    request = ExportMetricsServiceRequest.FromString(got[-1])
    names = [
        metric.name
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    assert "gen_ai.client.token.usage" in names


@pytest.mark.parametrize(
    "uri",
    [
        "otel:?names=new",
        "otel:?endpint=https://x/",
        "otel:?endpoint=collector:4318",
        "otel:?endpoint=http://collector.internal/v1/metrics",
        "otel://collector",
    ],
)
def test_mistakes_are_told(uri: str) -> None:
    """Anything but names and a TLS endpoint is refused when the runtime is made."""
    with pytest.raises(ConfigurationError, match=r"write (otel:|endpoint=https)"):
        OtelSink.check(uri)
