"""OpenTelemetry: exporters get what is provably not content, whoever set it, however it leaves."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import math
import secrets
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped] # no stubs
from opentelemetry import baggage, context, trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler, LogRecordProcessor
from opentelemetry.sdk._logs import export as logs_export
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics import export as metrics_export
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import export as trace_export
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState
from starlette.applications import Starlette
from starlette.routing import Route

from collectors import Collector, collecting
from zeroret import ZeroRetention, testing
from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.content.live import LIVE
from zeroret.guards import conventions, exceptions, judging, tally, trackers, vouching
from zeroret.integrations import opentelemetry as guarding
from zeroret.integrations import opentelemetry_logs, opentelemetry_metrics
from zeroret.sinks.otel import OtelSink
from zeroret.types import ASGIApp, Message, Receive, Scope, Send
from zeroret.usage.record import UsageRecord

MODEL = "gpt-4o"


class Canaries:
    """Random texts, one for each kind of content of a request."""

    KINDS = ("prompt", "path", "query", "agent", "header", "host", "state", "baggage", "address")

    def __init__(self) -> None:
        self.texts = {kind: secrets.token_hex(16) for kind in self.KINDS}

    def __getitem__(self, kind: str) -> str:
        return self.texts[kind]

    def found_in(self, data: bytes | str) -> list[str]:
        """Return the kinds that *data* holds, plainly or in a disguise."""
        whole = data.encode() if isinstance(data, str) else data
        return [
            kind
            for kind, text in self.texts.items()
            if any(
                form in whole
                for form in (
                    text.encode(),
                    text.upper().encode(),
                    text.encode().hex().encode(),
                    base64.b64encode(text.encode())[:-4],
                    bytes.fromhex(text),
                    text[:16].encode(),
                    text[-16:].encode(),
                )
            )
        ]


class Telemetry:
    """Providers of all three signals, each with an exporter to a collector and one in memory."""

    def __init__(self, collector: Collector) -> None:
        url = f"http://127.0.0.1:{collector.port}"
        self.collector = collector
        self.spans = InMemorySpanExporter()
        self.traces = TracerProvider(shutdown_on_exit=False)
        self.traces.add_span_processor(
            trace_export.BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces"))
        )
        self.traces.add_span_processor(trace_export.SimpleSpanProcessor(self.spans))
        self.records = logs_export.InMemoryLogRecordExporter()  # type: ignore[no-untyped-call] # theirs
        self.logs = LoggerProvider(shutdown_on_exit=False)
        self.logs.add_log_record_processor(
            logs_export.BatchLogRecordProcessor(OTLPLogExporter(f"{url}/v1/logs"))
        )
        self.logs.add_log_record_processor(logs_export.SimpleLogRecordProcessor(self.records))
        self.reader = metrics_export.InMemoryMetricReader()
        sending = metrics_export.PeriodicExportingMetricReader(
            OTLPMetricExporter(f"{url}/v1/metrics"), math.inf
        )
        self.metrics = MeterProvider([sending, self.reader], shutdown_on_exit=False)
        self.tracer = self.traces.get_tracer(__name__)

    def flush(self) -> str:
        """Have everything sent; return all that left, in memory and on the wire."""
        self.traces.force_flush()
        self.logs.force_flush()
        self.metrics.force_flush()
        data = self.reader.get_metrics_data()
        parts = [span.to_json() for span in self.spans.get_finished_spans()]
        parts += [record.to_json() for record in self.records.get_finished_logs()]
        parts += [data.to_json()] if data is not None else []
        kinds: dict[str, Any] = {
            "traces": ExportTraceServiceRequest,
            "logs": ExportLogsServiceRequest,
            "metrics": ExportMetricsServiceRequest,
        }
        for name, kind in kinds.items():
            for body in self.collector.bodies(name):
                parts.append(json.dumps(MessageToDict(kind.FromString(body))))
        parts.append(self.collector.everything.decode("latin-1"))
        return "\n".join(parts)

    def span(self, name: str) -> ReadableSpan:
        """Return the one finished span of a name."""
        (found,) = [span for span in self.spans.get_finished_spans() if span.name == name]
        return found

    def close(self) -> None:
        """End every thread."""
        for provider in (self.traces, self.logs, self.metrics):
            provider.shutdown()


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Telemetry that was set up before any guard was."""
    with collecting(b"") as collector:
        made = Telemetry(collector)
        yield made
        made.close()


@pytest.fixture
def canaries() -> Canaries:
    """One request's content."""
    return Canaries()


@pytest.fixture
def inside(canaries: Canaries) -> Iterator[Flight]:
    """An exchange that runs now; the guards are installed."""
    flight = Flight("strict", names=frozenset({MODEL}))
    flight.route = "/chat/{room}"
    for text in canaries.texts.values():
        flight.hold(text)
    trackers.install()
    LIVE.enter(flight)
    token, last = CURRENT.set(flight), LAST.set(flight)
    yield flight
    CURRENT.reset(token)
    LAST.reset(last)
    LIVE.leave(flight, 0)
    trackers.uninstall()


@pytest.fixture
def guards() -> Iterator[None]:
    """The telemetry guard alone, for one test."""
    trackers.install()
    yield
    trackers.uninstall()


def careless(telemetry: Telemetry, *, fails: bool) -> ASGIApp:
    """Return an app that puts everything it knows into telemetry."""
    histogram = telemetry.metrics.get_meter(__name__).create_histogram("prompt.tokens")
    counter = telemetry.metrics.get_meter(__name__).create_counter("prompts")
    events = telemetry.logs.get_logger(__name__)
    log = logging.getLogger("tests.integrations.careless")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        prompt = (await receive())["body"].decode()
        span = trace.get_current_span()
        span.set_attribute("app.stage", "handling")
        span.set_attribute("app.prompt", prompt)
        span.set_attributes({prompt: 1, "headers": [f"{k}{v}" for k, v in scope["headers"]]})
        with telemetry.tracer.start_as_current_span(
            "look up documents", attributes={"given.at.start": prompt, "top.k": 5}
        ) as inner:
            inner.add_event("found some", {"text": prompt, "count": 3})
            inner.add_event(prompt)
        with telemetry.tracer.start_as_current_span(f"chat {prompt}") as inner:
            inner.update_name(f"chat {MODEL}")
            inner.set_attribute("gen_ai.request.model", MODEL)
            inner.set_attribute("gen_ai.input.messages", prompt)
            inner.set_status(StatusCode.ERROR, prompt)
        histogram.record(12, {"stage": "handling", "user": prompt, prompt: "x"})
        counter.add(1, {"gen_ai.request.model": MODEL})
        log.warning("prompt %s took %d ms", prompt, 12, extra={"request": prompt})
        events.emit(
            LogRecord(
                body={"content": prompt},
                event_name="gen_ai.user.message",
                severity_number=SeverityNumber.INFO,
                attributes={"gen_ai.system": "openai", "text": prompt},
            )
        )
        if fails:
            with telemetry.tracer.start_as_current_span("fails"):
                raise ValueError(prompt) from KeyError(prompt)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": prompt.encode()})

    return app


class Endpoint:
    """An ASGI app as the endpoint of a route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run it."""
        await self._app(scope, receive, send)


def call(app: ASGIApp, canaries: Canaries) -> None:
    """Make one request, every part of which carries a canary."""

    async def receive() -> Message:
        return {"type": "http.request", "body": canaries["prompt"].encode()}

    async def send(message: Message) -> None:
        pass

    headers = {
        "host": f"{canaries['host']}.example",
        "user-agent": canaries["agent"],
        "x-secret": canaries["header"],
        "tracestate": f"vendor={canaries['state']}",
        "baggage": f"key={canaries['baggage']}",
        "traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01",
    }
    scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": (canaries["address"], 5),
        "method": "POST",
        "path": f"/chat/{canaries['path']}",
        "query_string": f"q={canaries['query']}".encode(),
        "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
    }

    async def main() -> None:
        try:
            await app(scope, receive, send)
        except ValueError:
            assert canaries["prompt"]

    asyncio.run(main())


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("outermost", [False, True])
def test_no_content_reaches_a_collector(
    runtime: ZeroRetention,
    telemetry: Telemetry,
    canaries: Canaries,
    *,
    fails: bool,
    outermost: bool,
) -> None:
    """A real server span, the app's own, metrics and logs: nothing of the request leaves.

    Whether OpenTelemetry's middleware stands outside of ours or inside.
    """
    log = logging.getLogger("tests.integrations.careless")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        handler = LoggingHandler(logger_provider=telemetry.logs)
    log.addHandler(handler)
    providers: dict[str, Any] = {
        "tracer_provider": telemetry.traces,
        "meter_provider": telemetry.metrics,
    }
    try:
        routes = [Route("/chat/{room}", Endpoint(careless(telemetry, fails=fails)))]
        app: Any = Starlette(routes=routes)
        if outermost:
            app = OpenTelemetryMiddleware(runtime.asgi(app), **providers)
        else:
            app = runtime.asgi(OpenTelemetryMiddleware(app, **providers))
        call(app, canaries)
        everything = telemetry.flush()
    finally:
        log.removeHandler(handler)
    assert canaries.found_in(everything) == []
    # What is left is still of use.
    server = next(
        span for span in telemetry.spans.get_finished_spans() if span.kind is SpanKind.SERVER
    )
    assert server.name == "POST /chat/{room}"
    assert server.attributes is not None
    assert server.attributes["http.method"] == "POST"
    assert server.attributes["app.stage"] == "handling"
    found = telemetry.span("look up documents")
    assert dict(found.attributes or {}) == {
        "given.at.start": "[withheld 32 chars]",
        "top.k": 5,
    }
    assert [event.name for event in found.events] == ["found some", "withheld"]
    assert dict(found.events[0].attributes or {})["count"] == 3
    model = telemetry.span(f"chat {MODEL}")
    assert dict(model.attributes or {})["gen_ai.request.model"] == MODEL
    assert model.status.description == "[withheld 32 chars]"
    assert "prompt.tokens" in everything
    assert '"stage": "handling"' in everything
    assert "prompt [withheld 32 chars test_opentelemetry.py:" in everything
    assert "gen_ai.user.message" in everything
    if fails:
        failed = telemetry.span("fails")
        assert failed.status.description == "ValueError: [withheld]"
        (event,) = failed.events
        assert event.attributes is not None
        assert event.attributes["exception.type"] == "ValueError"
        assert "test_opentelemetry.py" in str(event.attributes["exception.message"])
        assert "KeyError: [withheld]" in str(event.attributes["exception.stacktrace"])


class Keeping(SpanProcessor):
    """Exports by itself: keeps all it can see of a span that ends."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Keep what a span says, and all it holds."""
        self.kept += [span.to_json(), repr(vars(span)), repr(span.attributes)]


class Duck:
    """An exporter by its shape alone."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def export(self, spans: Sequence[Any]) -> Any:
        """Keep what is exported."""
        self.kept += [repr(vars(span)) + span.to_json() for span in spans]
        return trace_export.SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Do nothing."""


def test_whoever_exports_later_gets_no_more(
    telemetry: Telemetry, canaries: Canaries, inside: Flight
) -> None:
    """Processors added after the start, exporters defined after it, mixins and mere ducks alike."""

    class Writing:
        def __init__(self) -> None:
            self.kept: list[str] = []

        def export(self, spans: Sequence[ReadableSpan]) -> trace_export.SpanExportResult:
            self.kept += [repr(vars(span)) + span.to_json() for span in spans]
            return trace_export.SpanExportResult.SUCCESS

    class Later(Writing, trace_export.SpanExporter):
        pass

    out = io.StringIO()
    later, duck, keeping = Later(), Duck(), Keeping()
    add = telemetry.traces.add_span_processor
    add(trace_export.SimpleSpanProcessor(later))
    add(trace_export.SimpleSpanProcessor(duck))  # type: ignore[arg-type] # on purpose
    add(trace_export.SimpleSpanProcessor(trace_export.ConsoleSpanExporter(out=out)))
    add(keeping)
    with telemetry.tracer.start_as_current_span("a constant name") as span:
        span.set_attribute("app.prompt", canaries["prompt"])
    for text in ("".join(later.kept), "".join(duck.kept), out.getvalue(), "".join(keeping.kept)):
        assert "a constant name" in text
        assert canaries.found_in(text) == []


def test_a_span_made_by_hand_is_judged_at_the_exporter(
    telemetry: Telemetry, canaries: Canaries, inside: Flight
) -> None:
    """What never ended as spans do, or was changed since, is judged by the exporter."""
    exporter = InMemorySpanExporter()
    by_hand = ReadableSpan(canaries["prompt"], attributes={"a": canaries["prompt"]})
    live: Any = telemetry.tracer.start_span("still running", attributes={"b": canaries["path"]})
    with telemetry.tracer.start_as_current_span("a constant name"):
        pass
    changed: Any = telemetry.span("a constant name")
    changed._attributes = {"c": canaries["query"]}
    exporter.export([by_hand, live, changed])
    text = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert canaries.found_in(text) == []
    assert len(exporter.get_finished_spans()) == 3


DISGUISES: dict[str, Callable[[str], Any]] = {
    "bytes": str.encode,
    "json": json.dumps,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "reversed": lambda text: text[::-1],
    "pieces": lambda text: [text[at : at + 4] for at in range(0, 32, 4)],
    "list of ints": lambda text: list(text.encode()),
    "one int": lambda text: int.from_bytes(text.encode()[:7]) * 2,
    "dict": lambda text: {"role": "user", "content": text},
    "dict key": lambda text: {text: 1},
    "object": lambda text: type("Request", (), {"__repr__": lambda _: text})(),
    "class": lambda text: type(text, (), {}),
    "exception": ValueError,
    "subclass": type("Text", (str,), {}),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_no_disguise_gets_through(
    telemetry: Telemetry, canaries: Canaries, inside: Flight, disguise: str
) -> None:
    """However a prompt is dressed up, no part of telemetry takes it: value, key, name or body."""
    value = DISGUISES[disguise](canaries["prompt"])
    given = str(value)
    with telemetry.tracer.start_as_current_span(given, attributes={"at.start": value}) as span:
        span.set_attributes({"later": value, given: value})
        span.add_event(given, {"in.an.event": value})
        span.set_status(StatusCode.ERROR, given)
        span.update_name(given)
    telemetry.logs.get_logger(given).emit(LogRecord(body=value, attributes={"of.a.log": value}))
    counter = telemetry.metrics.get_meter(__name__).create_counter("a.counter")
    counter.add(1, {"of.a.metric": value, given: value})
    text = telemetry.flush()
    assert canaries.found_in(text) == []
    assert given[:24] not in text
    assert canaries["prompt"][::-1] not in text


def test_links_states_and_origins_are_judged(
    telemetry: Telemetry, canaries: Canaries, inside: Flight
) -> None:
    """Link attributes, trace states, scopes and resources that an exchange makes show nothing."""
    state = TraceState([("vendor", canaries["state"])])
    linked = SpanContext(7, 8, True, trace.TraceFlags(1), state)
    provider = TracerProvider(
        resource=Resource({"service.name": canaries["prompt"], "other": 5}), shutdown_on_exit=False
    )
    exporter = InMemorySpanExporter()
    provider.add_span_processor(trace_export.SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer(
        canaries["path"], canaries["query"], canaries["header"], {"key": canaries["agent"]}
    )
    link = Link(linked, {"link.text": canaries["prompt"], "link.count": 3})
    parent = trace.set_span_in_context(trace.NonRecordingSpan(linked))
    span = tracer.start_span("a constant name", parent, links=[link])
    span.add_link(linked, {"later.text": canaries["prompt"]})
    span.end()
    (shown,) = exporter.get_finished_spans()
    text = repr(vars(shown)) + shown.to_json() + repr(vars(shown.resource))
    text += repr(shown.instrumentation_scope) + repr([vars(each) for each in shown.links])
    assert canaries.found_in(text) == []
    assert dict(shown.links[0].attributes or {})["link.count"] == 3
    assert shown.context is not None
    assert len(shown.context.trace_state) == 0
    provider.shutdown()


def test_a_trace_id_that_spells_text_is_replaced(telemetry: Telemetry, inside: Flight) -> None:
    """A client's `traceparent` of sixteen letters does not reach a span, nor its child."""
    spelt = int.from_bytes(b"my secret prompt")
    remote = SpanContext(spelt, 8, is_remote=True, trace_flags=trace.TraceFlags(1))
    parent = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    with telemetry.tracer.start_as_current_span("outer", parent):
        telemetry.tracer.start_span("inner").end()
    ids = {span.context.trace_id for span in telemetry.spans.get_finished_spans() if span.context}
    assert len(ids) == 1
    assert spelt not in ids


def test_content_in_a_thread_of_the_exporters(
    telemetry: Telemetry, canaries: Canaries, inside: Flight
) -> None:
    """A span that another thread ends is judged as its exchange's own."""
    span = telemetry.tracer.start_span("a constant name")

    def end() -> None:
        CURRENT.set(None)
        LAST.set(None)
        span.set_attribute("app.prompt", canaries["prompt"][:12])
        span.end()

    thread = threading.Thread(target=end)
    thread.start()
    thread.join()
    shown = telemetry.span("a constant name")
    assert dict(shown.attributes or {}) == {"app.prompt": "[withheld 12 chars]"}


@pytest.mark.usefixtures("guards")
def test_spans_of_no_exchange_stay_as_they_are(telemetry: Telemetry) -> None:
    """What a program does at its start keeps its texts; what a client chose is never shown."""
    name = "warm up " + str(3)
    with telemetry.tracer.start_as_current_span(name) as span:
        span.set_attribute("pool." + str(1), "a text of " + str(5))
        span.set_attribute("url.query", "a=b")
        span.record_exception(ValueError("a text of " + str(6)))
    shown = telemetry.span(name)
    assert dict(shown.attributes or {}) == {
        "pool.1": "a text of 5",
        "url.query": "[withheld 3 chars]",
    }
    assert "a text of 6" in str(shown.events[0].attributes)


def test_content_that_is_in_flight_stays_out_of_others_spans(
    telemetry: Telemetry, canaries: Canaries, inside: Flight
) -> None:
    """A span of no exchange is compared with the content of those that run."""
    token, last = CURRENT.set(None), LAST.set(None)
    try:
        with telemetry.tracer.start_as_current_span("in the background") as span:
            span.set_attribute("what", f"saw {canaries['prompt']} today")
            span.set_attribute(canaries["prompt"], 1)
    finally:
        CURRENT.reset(token)
        LAST.reset(last)
    shown = telemetry.span("in the background")
    assert dict(shown.attributes or {}) == {"what": "saw [withheld 32 chars] today"}


def test_metrics_keep_their_numbers_and_known_attributes(
    telemetry: Telemetry, canaries: Canaries, inside: Flight
) -> None:
    """Attributes are judged before they are summed up, observed ones and exemplars too."""
    meter = telemetry.metrics.get_meter(canaries["path"], canaries["query"])
    histogram = meter.create_histogram("a.histogram", "ms", "a constant text")
    for size in (1, 2):
        with telemetry.tracer.start_as_current_span("measured"):
            histogram.record(size, {"stage": "first", "user": canaries["prompt"] * size})
    named = meter.create_counter(f"n{canaries['prompt']}", canaries["path"], canaries["query"])
    named.add(4)
    large = meter.create_counter("a.large.number")
    large.add(int.from_bytes(canaries["prompt"].encode()[:7]) * 2)
    large.add(5)

    def observe(_options: CallbackOptions) -> list[Observation]:
        return [Observation(7, {"state": "idle", "user": canaries["prompt"]})]

    meter.create_observable_gauge("a.gauge", [observe])
    text = telemetry.flush()
    assert canaries.found_in(text) == []
    data = telemetry.reader.get_metrics_data()
    assert data is not None
    metrics = {
        metric.name: metric.data
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    (point,) = metrics["a.histogram"].data_points
    assert point.count == 2  # type: ignore[union-attr] # a histogram's
    assert dict(point.attributes or {}) == {"stage": "first", "user": "[withheld]"}
    assert "withheld" in metrics
    assert metrics["a.large.number"].data_points[0].value == 5  # type: ignore[union-attr] # a sum's
    assert dict(metrics["a.gauge"].data_points[0].attributes or {})["state"] == "idle"


@pytest.mark.usefixtures("guards")
def test_counters_balance_across_the_edge_of_an_exchange(telemetry: Telemetry) -> None:
    """A counter that goes up outside of an exchange and down inside is one series."""
    counter = telemetry.metrics.get_meter(__name__).create_up_down_counter("active")
    attributes = {"http.server_name": "a.host" + ".example", "http.method": "POST"}
    counter.add(1, attributes)
    token = CURRENT.set(Flight("strict"))
    counter.add(-1, attributes)
    CURRENT.reset(token)
    data = telemetry.reader.get_metrics_data()
    assert data is not None
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert point.value == 0  # type: ignore[union-attr] # a sum's
    assert dict(point.attributes or {}) == {"http.server_name": "[withheld]", "http.method": "POST"}


@pytest.mark.usefixtures("guards")
def test_our_own_records_come_through(
    telemetry: Telemetry,
    make: Callable[..., UsageRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the sink for OpenTelemetry says of a record, models and all, is not withheld."""
    monkeypatch.setattr("opentelemetry.metrics.get_meter_provider", lambda: telemetry.metrics)
    sink = OtelSink("otel:")
    sink.write([make(7, dialect="openai.chat", provider="azure", request_model="gpt-4o")])
    text = telemetry.flush()
    assert '"gen_ai.request.model": "gpt-4o"' in text
    assert '"gen_ai.provider.name": "azure.ai.openai"' in text
    assert "[withheld" not in text


class Enriching(LogRecordProcessor):
    """Adds to every record what it was made with."""

    def __init__(self, text: str) -> None:
        self._text = text

    def on_emit(self, log_record: Any) -> None:
        """Add the text."""
        log_record.log_record.attributes["added"] = self._text

    def shutdown(self) -> None:
        """Do nothing."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Do nothing."""
        return True


def test_logs_are_judged_in_every_part(
    telemetry: Telemetry, canaries: Canaries, inside: Flight
) -> None:
    """Bodies, attributes, event names, severities, exceptions, and what a processor adds."""
    provider = LoggerProvider(shutdown_on_exit=False)
    exporter = logs_export.InMemoryLogRecordExporter()  # type: ignore[no-untyped-call] # theirs
    provider.add_log_record_processor(Enriching(canaries["path"]))
    provider.add_log_record_processor(logs_export.SimpleLogRecordProcessor(exporter))
    logger = provider.get_logger(canaries["query"])
    carried = baggage.set_baggage("key", canaries["baggage"], context.get_current())
    for body in (canaries["prompt"], {"a": [canaries["prompt"]]}, canaries["prompt"].encode(), 5):
        logger.emit(LogRecord(body=body, context=carried, severity_text=canaries["agent"]))
    logger.emit(LogRecord(body="a constant body", event_name=canaries["header"]))
    logger.emit(body="a constant body", exception=ValueError(canaries["prompt"]))
    records = exporter.get_finished_logs()
    text = "".join(each.to_json() + repr(vars(each.log_record)) for each in records)
    assert canaries.found_in(text) == []
    assert [each.log_record.body for each in records][-3:] == [5, *["a constant body"] * 2]
    assert records[-1].log_record.attributes is not None
    assert records[-1].log_record.attributes["exception.type"] == "ValueError"
    provider.shutdown()


def test_report_mode_counts_and_changes_nothing(telemetry: Telemetry, canaries: Canaries) -> None:
    """With ``mode="report"`` telemetry is what it would be without us, and counted."""
    with testing.memory_runtime(mode="report") as runtime:
        before = tally.snapshot().get("telemetry.withheld", 0)
        app = careless(telemetry, fails=True)
        call(runtime.asgi(OpenTelemetryMiddleware(app, tracer_provider=telemetry.traces)), canaries)
        text = telemetry.flush()
        assert runtime.posture()["guards"]["telemetry"]["tier"] == "watched"
    assert {"prompt", "path", "query", "agent"} <= set(canaries.found_in(text))
    assert tally.snapshot()["telemetry.withheld"] > before


def _broken(*_: Any, **__: Any) -> Any:
    raise MemoryError


@pytest.mark.parametrize(
    "target",
    [
        (guarding, "_copy"),
        (guarding, "_seal"),
        (guarding, "note"),
        (guarding, "_context"),
        (exceptions, "describe"),
        (opentelemetry_logs, "_copy"),
        (opentelemetry_metrics, "_attributes"),
        (conventions, "attributes"),
        (judging.Judge, "text"),
        (judging.Judge, "name"),
        (vouching, "prove"),
    ],
    ids=lambda target: f"{target[0].__name__}.{target[1]}",
)
def test_a_guard_that_breaks_shows_nothing_and_harms_nobody(
    telemetry: Telemetry,
    canaries: Canaries,
    monkeypatch: pytest.MonkeyPatch,
    target: tuple[Any, str],
) -> None:
    """Whatever fails in the guard, no content leaves, and the app's code goes on."""
    with testing.memory_runtime() as runtime:
        app = careless(telemetry, fails=True)
        wrapped = runtime.asgi(OpenTelemetryMiddleware(app, tracer_provider=telemetry.traces))
        monkeypatch.setattr(*target, _broken)
        call(wrapped, canaries)
        text = telemetry.flush()
        monkeypatch.undo()
        (record,) = testing.usage_records(runtime)
    assert canaries.found_in(text) == []
    assert record.outcome == "error"


def test_the_library_is_left_as_it_was() -> None:
    """After the last uninstall no class is other than before, nor one defined meanwhile."""
    classes = (
        Span,
        trace_export.SpanExporter,
        trace_export.ConsoleSpanExporter,
        InMemorySpanExporter,
        logs_export.InMemoryLogRecordExporter,
        metrics_export.InMemoryMetricReader,
        Resource,
    )
    before = [dict(vars(cls)) for cls in classes]
    trackers.install()

    class Later(trace_export.SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> Any:
            return spans

    guarded = Later.export
    trackers.uninstall()
    assert [dict(vars(cls)) for cls in classes] == before
    assert Later.export is not guarded
    assert Later().export([1]) == [1]  # type: ignore[list-item] # anything passes


def test_forked_guards_stay(canaries: Canaries, inside: Flight, telemetry: Telemetry) -> None:
    """A forked child judges as its parent does."""
    import os

    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the exporters have threads
        pid = os.fork()
    if pid == 0:
        try:
            exporter = InMemorySpanExporter()
            provider = TracerProvider(shutdown_on_exit=False)
            provider.add_span_processor(trace_export.SimpleSpanProcessor(exporter))
            provider.get_tracer("t").start_span(canaries["prompt"]).end()
            os.write(write, exporter.get_finished_spans()[0].to_json().encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read()
    assert b"internal" in text
    assert canaries.found_in(text) == []


@pytest.mark.parametrize("status", [Status(StatusCode.ERROR, "ValueError: "), None])
def test_a_status_keeps_the_class_of_an_error(
    telemetry: Telemetry, canaries: Canaries, inside: Flight, status: Status | None
) -> None:
    """Of ``ValueError: text`` the class stays, whoever wrote it."""
    with telemetry.tracer.start_as_current_span("a constant name") as span:
        text = f"ValueError: {canaries['prompt']}" if status else f"{canaries['prompt']}: x"
        span.set_status(Status(StatusCode.ERROR, text))
    shown = telemetry.span("a constant name").status.description
    assert shown == ("ValueError: [withheld]" if status else f"[withheld {len(text)} chars]")
