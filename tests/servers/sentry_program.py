"""A program with Sentry and a careless app: makes requests of itself, and tells Sentry everything.

Run as ``python sentry_program.py <options as JSON>`` with ``$CANARIES`` as JSON; ``$ZERORET_OFF``
leaves us out, which shows that the app would leak.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import warnings
from contextlib import suppress
from typing import Any

warnings.simplefilter("ignore")

import httpx  # noqa: E402 - after the filter
import sentry_sdk  # noqa: E402 - likewise
from fastapi import FastAPI, Request  # noqa: E402 - likewise
from sentry_sdk.crons import monitor  # noqa: E402 - likewise
from sentry_sdk.integrations.fastapi import FastApiIntegration  # noqa: E402 - likewise
from sentry_sdk.integrations.starlette import StarletteIntegration  # noqa: E402 - likewise

import zeroret  # noqa: E402 - likewise

OPTIONS: dict[str, Any] = json.loads(sys.argv[1])
CANARIES: dict[str, str] = json.loads(os.environ["CANARIES"])
PII = OPTIONS.get("send_default_pii", False)

sentry_sdk.init(
    auto_enabling_integrations=False,
    integrations=[StarletteIntegration(), FastApiIntegration()],
    release="1.2.3",
    environment="testing",
    traces_sample_rate=1.0,
    enable_logs=True,
    max_request_body_size="always",
    include_local_variables=True,
    **OPTIONS,
)

log = logging.getLogger("careless")
app = FastAPI()


def deeper(prompt: str) -> None:
    """Raise the prompt from a function of its own, chained."""
    held_in_a_local = prompt
    try:
        raise KeyError(prompt)
    except KeyError:
        raise ValueError(held_in_a_local) from None


@monitor("a-nightly-job")
def job(prompt: str) -> str:
    """Be watched as a job."""
    return prompt


@app.post("/chat/{room}")
async def chat(room: str, request: Request) -> dict[str, Any]:
    """Tell Sentry everything, in every way it takes."""
    prompt: str = (await request.json())["prompt"]
    sentry_sdk.set_user({"id": prompt, "email": f"{prompt}@example.org"})
    sentry_sdk.set_tag("stage", "handling")
    sentry_sdk.set_tag("prompt", prompt)
    sentry_sdk.set_tags({"room": room, prompt: "x"})
    sentry_sdk.set_extra("request", {"prompt": prompt})
    sentry_sdk.set_context("conversation", {"prompt": prompt})
    sentry_sdk.add_breadcrumb(category="chat", message=prompt, data={"prompt": prompt})
    sentry_sdk.add_breadcrumb(category="chat", message="a constant crumb", level="info")
    sentry_sdk.get_current_scope().add_attachment(bytes=prompt.encode(), filename=f"{prompt}.txt")
    log.warning("prompt %s took %d ms", prompt, 12)
    log.error("could not handle %s", prompt, extra={"prompt": prompt})
    if PII is not None:
        sentry_sdk.logger.info(  # type: ignore[attr-defined] # it is there
            "asked {what} {times} times", what=prompt, times=3
        )
        sentry_sdk.metrics.count("prompts", 1, attributes={"stage": "handling", "user": prompt})
    if OPTIONS.get("trace_lifecycle") != "stream":
        with sentry_sdk.start_span(op="search", name="look up documents") as span:
            span.set_data("top.k", 5)
            span.set_data("text", prompt)
        with sentry_sdk.start_span(op="gen_ai.chat", name=f"chat {prompt}") as span:
            span.set_data("gen_ai.request.messages", prompt)
    sentry_sdk.capture_message(f"about {prompt}")
    sentry_sdk.capture_message("a constant message")
    job(prompt)
    thread = threading.Thread(target=fail_quietly, args=(prompt,))
    thread.start()
    thread.join()
    if room.endswith("boom"):
        deeper(prompt)
    return {"answer": prompt}


def fail_quietly(prompt: str) -> None:
    """Capture an exception in a thread of the exchange."""
    try:
        deeper(prompt)
    except ValueError as error:
        sentry_sdk.capture_exception(error)


async def main() -> None:
    """Make two requests, one of which fails."""
    wrapped: Any = app
    if not os.environ.get("ZERORET_OFF"):
        runtime = zeroret.ZeroRetention(sinks=["memory:sentry"], journal="memory").start()
        wrapped = runtime.asgi(app)
    trace = "0123456789abcdef0123456789abcdef"
    headers = {
        "user-agent": CANARIES["agent"],
        "x-secret": CANARIES["header"],
        "cookie": f"session={CANARIES['cookie']}",
        "sentry-trace": f"{trace}-0123456789abcdef-1",
        "baggage": f"sentry-trace_id={trace},sentry-environment={CANARIES['baggage']},"
        f"sentry-transaction={CANARIES['baggage']},sentry-public_key={CANARIES['baggage']},"
        "sentry-sample_rate=0.5,sentry-sampled=true",
    }
    transport = httpx.ASGITransport(wrapped, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://a.example") as client:
        for room in (CANARIES["path"], f"{CANARIES['path']}boom"):
            with suppress(ValueError):
                await client.post(
                    f"/chat/{room}?q={CANARIES['query']}",
                    json={"prompt": CANARIES["prompt"]},
                    headers=headers,
                )


asyncio.run(main())
# Outside of any exchange, with what the scope still holds of it.
sentry_sdk.capture_message("a message of no exchange")
sentry_sdk.flush()
