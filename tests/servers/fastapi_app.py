"""A careless FastAPI app for the tests of real servers; ``BARE=1`` leaves zeroret out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import careless  # type: ignore[import-not-found] # stands beside this file, where servers look
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

import zeroret

app = FastAPI()


class Order(BaseModel):
    """A body that is validated."""

    count: int


@app.post("/chat/{user}")
async def chat(user: str, request: Request) -> dict[str, str | int]:
    """Log everything, now, in a pool, in a loop callback, in a thread; then echo."""
    text = (await request.body()).decode()
    careless.log_all(text, user, request.headers["user-agent"])
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, careless.logger.info, "in a pool: %s", text)
    loop.call_later(careless.LATER, careless.logger.info, "in a callback: %s", text)
    return {"echo": text, "pid": os.getpid()}


@app.post("/crash/{user}")
async def crash(user: str, request: Request) -> None:
    """Fail with the prompt in the exception."""
    careless.fail((await request.body()).decode())


@app.post("/order/{user}")
async def order(user: str, order: Order) -> None:
    """Take a valid order; an invalid one is answered with a 422."""


@app.post("/stream/{user}")
async def stream(user: str, request: Request) -> StreamingResponse:
    """Stream until the client has enough."""
    text = (await request.body()).decode()

    async def flow() -> AsyncIterator[str]:
        while True:
            for event in careless.events(text):
                yield event
            await asyncio.sleep(0.02)

    return StreamingResponse(flow(), media_type="text/event-stream")


@app.post("/break/{user}")
async def broken(user: str, request: Request) -> StreamingResponse:
    """Fail in the middle of the reply."""
    text = (await request.body()).decode()

    async def flow() -> AsyncIterator[str]:
        yield "data: first\n\n"
        careless.fail(text)

    return StreamingResponse(flow(), media_type="text/event-stream")


if os.environ.get("BARE") != "1":
    zr = zeroret.ZeroRetention(
        sinks=[os.environ["USAGE_SINK"]], identify=lambda key: key.removeprefix("cnry-")
    )
    zr.install(app)
