"""The sample server: a small reseller of LLM APIs in FastAPI, careless on purpose.

It logs what it should not, as many do: prompts as arguments and in f-strings, whole bodies and
headers as attributes of records, upstream errors with their text, and it crashes with the prompt in
the exception. Bare and wrapped are the same code; the three lines at the end make the difference.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any

from anthropic import APIStatusError as AnthropicStatusError
from anthropic import AsyncAnthropic
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from openai import APIStatusError as OpenAIStatusError
from openai import AsyncOpenAI

from zeroret.cli.demo.logs import configure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

configure()
logger = logging.getLogger("reseller")

UPSTREAM = os.environ["DEMO_UPSTREAM"]
openai = AsyncOpenAI(base_url=f"{UPSTREAM}/v1", api_key="operator", max_retries=0)
anthropic = AsyncAnthropic(base_url=UPSTREAM, api_key="operator", max_retries=0)
TIERS = ("gold", "silver")

app = FastAPI()


@app.post("/v1/chat/completions")
async def chat(request: Request) -> Response:
    """Pass a chat completion on."""
    body = await request.json()
    prompt = body["messages"][-1]["content"]
    _note(request, body, prompt)
    if body["metadata"]["tier"] not in TIERS:
        raise RuntimeError(f"no such tier, asked {prompt!r}")
    create: Any = openai.chat.completions.create
    try:
        answer = await create(**body, extra_query=dict(request.query_params))
    except OpenAIStatusError as error:
        logger.exception("upstream refused: %s", prompt)
        return JSONResponse({"error": error.body}, status_code=error.status_code)
    if body.get("stream"):
        return StreamingResponse(_openai_events(answer), media_type="text/event-stream")
    logger.info("answered %s", answer.choices[0].message)
    return JSONResponse(answer.model_dump(mode="json"))


@app.post("/v1/embeddings")
async def embed(request: Request) -> Response:
    """Pass an embedding on."""
    body = await request.json()
    _note(request, body, body["input"])
    create: Any = openai.embeddings.create
    answer = await create(**body)
    return JSONResponse(answer.model_dump(mode="json"))


@app.post("/v1/messages")
async def messages(request: Request) -> Response:
    """Pass an Anthropic message on."""
    body = await request.json()
    prompt = body["messages"][-1]["content"]
    _note(request, body, prompt)
    create: Any = anthropic.messages.create
    try:
        answer = await create(**body, extra_query=dict(request.query_params))
    except AnthropicStatusError as error:
        logger.error(f"upstream said {error} to {prompt}")  # noqa: G004, TRY400 - careless on purpose
        return JSONResponse(error.body, status_code=error.status_code)
    if body.get("stream"):
        return StreamingResponse(_anthropic_events(answer), media_type="text/event-stream")
    logger.info("answered %s", answer.content)
    return JSONResponse(answer.model_dump(mode="json"))


def _note(request: Request, body: dict[str, Any], prompt: str) -> None:
    """Write down everything, in the ways people do."""
    logger.info("prompt: %s", prompt)
    logger.info(f"{body.get('user')} asks {body['model']} with {len(body)} options")  # noqa: G004 - careless on purpose
    logger.debug("request", extra={"body": body, "headers": dict(request.headers)})
    asyncio.get_running_loop().call_later(
        0.3, logger.info, "billed %s for %r", body["model"], prompt
    )


async def _openai_events(stream: Any) -> AsyncIterator[str]:
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            logger.debug("delta %s", chunk.choices[0].delta.content)
        yield f"data: {chunk.model_dump_json()}\n\n"
    yield "data: [DONE]\n\n"


async def _anthropic_events(stream: Any) -> AsyncIterator[str]:
    async for event in stream:
        if event.type == "content_block_delta":
            logger.debug("delta %s", event.delta)
        yield f"event: {event.type}\ndata: {event.model_dump_json()}\n\n"


if "DEMO_USAGE" in os.environ:
    import zeroret

    zr = zeroret.ZeroRetention(policy="usage-only", sinks=[os.environ["DEMO_USAGE"]])
    zr.install(app)
