"""What is attached to every app: logs with all attributes, other loggers, Sentry, OpenTelemetry.

``$ATTACHED`` says which, ``$COLLECTOR`` where trackers send, and ``BARE=1`` leaves zeroret out.
``$SENTRY_FINDS=1`` has Sentry look for every library that it knows, which takes it seconds.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import queue
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

BARE = os.environ.get("BARE") == "1"
COLLECTOR = os.environ["COLLECTOR"]
ATTACHED = os.environ["ATTACHED"]

_flushing: list[Callable[[], object]] = []


class AllAttributes(logging.Formatter):
    """Dumps every attribute of a record as JSON, as formatters for log collectors do."""

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as one JSON object, what is no JSON by its repr."""
        values = {**record.__dict__, "message": record.getMessage()}
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return json.dumps(values, default=repr, skipkeys=True)


def configure() -> None:
    """Log to stderr, to ``app.log``, and with all attributes to ``log.jsonl``; start trackers."""
    warnings.simplefilter("always")
    lines = logging.FileHandler("app.log", encoding="utf-8")
    lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    everything = logging.FileHandler("log.jsonl", encoding="utf-8")
    everything.setFormatter(AllAttributes())
    logging.basicConfig(level=logging.INFO, handlers=[logging.StreamHandler(), lines, everything])
    logging.getLogger("careless").setLevel(logging.DEBUG)
    for name in ("uvicorn", "uvicorn.access", "gunicorn.access", "gunicorn.error"):
        logging.getLogger(name).addHandler(lines)
        logging.getLogger(name).addHandler(everything)
    {"loggers": _other_loggers, "sentry": _sentry, "otel": _opentelemetry}[ATTACHED]()


def flush() -> None:
    """Have trackers send what they hold."""
    for each in _flushing:
        each()


def wrap(app: Any, shell: str) -> Any:
    """Return *app* under zeroret, by the runtime's method *shell*; bare if that is asked for."""
    if BARE:
        return app
    from zeroret import ZeroRetention

    # Without upstreams of one's own, a collector on this machine would pass for a local model.
    runtime = ZeroRetention("usage-only", ["sqlite:///usage.db"], upstreams=["api.openai.com"])
    return getattr(runtime, shell)(app)


def instrumented(app: Any) -> Any:
    """Return an ASGI *app* with OpenTelemetry's instrumentation around it, if that is attached."""
    if ATTACHED != "otel":
        return app
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(app)


def _other_loggers() -> None:
    """Log through a queue, and with structlog and loguru."""
    import loguru
    import structlog

    waiting: queue.Queue[Any] = queue.Queue()
    target = logging.FileHandler("queued.jsonl", encoding="utf-8")
    target.setFormatter(AllAttributes())
    listener = logging.handlers.QueueListener(waiting, target)
    listener.start()
    logging.getLogger().addHandler(logging.handlers.QueueHandler(waiting))
    structlog.configure(processors=[structlog.processors.JSONRenderer(default=repr)])
    loguru.logger.remove()
    loguru.logger.add("loguru.log", diagnose=False, format="{message} {extra} {exception}")


def _sentry() -> None:
    import sentry_sdk

    sentry_sdk.init(
        dsn=f"http://key@{COLLECTOR}/1",
        traces_sample_rate=1.0,
        send_default_pii=True,
        enable_logs=True,
        max_request_body_size="always",
        include_local_variables=True,
        release="1.2.3",
        auto_enabling_integrations=os.environ["SENTRY_FINDS"] == "1",
        integrations=list(_integrations()),
    )
    _flushing.append(lambda: sentry_sdk.flush(5))


def _integrations() -> Iterator[Any]:
    """Yield Sentry's integrations of the framework that is loaded."""
    for name in ("Starlette", "FastApi", "Litestar", "Flask", "Django"):
        if name.lower() in sys.modules:
            module = import_module(f"sentry_sdk.integrations.{name.lower()}")
            yield getattr(module, f"{name}Integration")()


def _opentelemetry() -> None:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    traces = TracerProvider()
    spans = OTLPSpanExporter(f"http://{COLLECTOR}/v1/traces")
    traces.add_span_processor(BatchSpanProcessor(spans, schedule_delay_millis=200))
    trace.set_tracer_provider(traces)
    logs = LoggerProvider()
    records = OTLPLogExporter(f"http://{COLLECTOR}/v1/logs")
    logs.add_log_record_processor(BatchLogRecordProcessor(records, schedule_delay_millis=200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDK's own handler is to move
        logging.getLogger().addHandler(LoggingHandler(logger_provider=logs))
    _flushing.extend((traces.force_flush, logs.force_flush))
