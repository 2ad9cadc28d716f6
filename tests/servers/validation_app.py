"""A FastAPI application that logs what pydantic says of a body: run by test_validation_errors.

Usage: ``validation_app.py JSON``, with ``dsn``, ``log_guard`` and ``body`` (what is sent); prints a
JSON object of the replies and of all that was logged, traced and raised.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import warnings
from typing import Any

import loguru
import sentry_sdk
import structlog
from fastapi import FastAPI, Request
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, ValidationError

from zeroret import testing

given = json.loads(sys.argv[1])
logged = io.StringIO()
logging.basicConfig(level=logging.DEBUG, stream=logged, force=True)
log = logging.getLogger("app")
loguru.logger.remove()
loguru.logger.add(logged, diagnose=False, backtrace=True)
events = structlog.wrap_logger(
    structlog.PrintLogger(logged),
    processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
)
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
tracer = provider.get_tracer("app")
sentry_sdk.init(
    given["dsn"],
    send_default_pii=True,
    traces_sample_rate=1.0,
    max_request_body_size="always",
    shutdown_timeout=5,
)


class Person(BaseModel):
    """What the body has to be."""

    name: str
    age: int
    email: str


app = FastAPI()


def tell(error: Any, body: Any) -> None:
    """Hand the error to every surface, as colleagues do."""
    errors = error.errors()
    log.warning("invalid body: %s", errors)
    log.warning("invalid body: %s of %s", error, body)
    log.warning(f"invalid body: {errors} {body!r}")  # noqa: G004 - that is the case
    log.error("invalid", exc_info=error, extra={"errors": errors, "body": body})
    for each in errors:
        log.warning("%s: %s (%r)", each["loc"], each["msg"], each["input"])
        log.warning("%(loc)s %(input)s", each)
    events.warning("invalid", errors=errors, body=body, exc_info=error)
    loguru.logger.bind(body=body).opt(exception=error).warning("invalid {}", errors)
    print(errors, body, file=sys.stderr)  # noqa: T201 - likewise
    warnings.warn(str(errors), stacklevel=1)
    with tracer.start_as_current_span("validate") as span:
        span.set_attribute("errors", json.dumps(errors, default=str))
        span.set_attribute("body", json.dumps(body))
        span.record_exception(error, attributes={"input": str(errors[0]["input"])})
        span.set_status(status=provider_status(str(error)))
    sentry_sdk.set_context("validation", {"errors": errors, "body": body})
    sentry_sdk.set_tag("input", str(errors[0]["input"]))
    sentry_sdk.add_breadcrumb(message=str(errors), data={"body": body})
    sentry_sdk.capture_exception(error)
    sentry_sdk.capture_message(str(errors))


def provider_status(text: str) -> Any:
    """Return the status of a span that failed."""
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR, text)


@app.exception_handler(RequestValidationError)
async def invalid(request: Request, error: RequestValidationError) -> Any:
    """Tell everybody, and answer as FastAPI does."""
    tell(error, error.body)
    return await request_validation_exception_handler(request, error)


@app.post("/people")
async def create(person: Person) -> str:
    """Take a person."""
    return person.name


@app.post("/caught")
async def caught(request: Request) -> str:
    """Validate by hand, and tell everybody."""
    body = await request.json()
    try:
        Person.model_validate(body)
    except ValidationError as error:
        tell(error, body)
    return "caught"


@app.post("/raised")
async def raised(request: Request) -> str:
    """Validate by hand, and let it go."""
    return Person.model_validate(await request.json()).name


async def call(served: Any, path: str) -> tuple[int, str, str]:
    """Return status, body, and what the server was left with."""
    sent: list[Any] = []
    body = json.dumps(given["body"]).encode()

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "headers": headers}
    scope |= {"query_string": b"", "server": ("127.0.0.1", 80), "scheme": "http"}
    left = ""
    try:
        await served(scope, receive, send)
    except Exception as error:
        left = f"{error} {error!r} {vars(error)} {error.__context__} {error.__cause__}"
        log.exception("Exception in ASGI application")
    text = b"".join(each.get("body", b"") for each in sent).decode()
    return sent[0]["status"] if sent else 0, text, left


async def main() -> dict[str, Any]:
    """Call every endpoint; return the replies."""
    served = runtime.asgi(app)
    return {
        path: await asyncio.create_task(call(served, path))
        for path in ("/people", "/caught", "/raised")
    }


with testing.memory_runtime(grace=0.05, log_guard=given["log_guard"]) as runtime:
    replies = asyncio.run(main())
    sentry_sdk.flush(5)
traced = [span.to_json() for span in spans.get_finished_spans()]
shown = {"logged": logged.getvalue(), "traced": traced}
print(json.dumps({"replies": replies, "shown": shown}))  # noqa: T201 - for whoever started it
