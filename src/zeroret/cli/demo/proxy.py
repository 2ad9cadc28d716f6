"""The server of a replay: a plain proxy that passes bytes on as they come, bare or wrapped."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Keep one pool of connections to the upstream."""
    async with httpx.AsyncClient(base_url=os.environ["DEMO_UPSTREAM"], timeout=60) as client:
        app.state.upstream = client
        yield


async def forward(request: Request) -> Response:
    """Pass a request on, and its answer back."""
    client: httpx.AsyncClient = request.app.state.upstream
    passed = ("content-type", "x-demo-exchange")
    headers = {name: request.headers[name] for name in passed if name in request.headers}
    onward = client.build_request(
        "POST", request.url.path, content=await request.body(), headers=headers
    )
    answer = await client.send(onward, stream=True)
    kept = ("content-type", "content-encoding")
    return StreamingResponse(
        answer.aiter_raw(),
        status_code=answer.status_code,
        headers={name: answer.headers[name] for name in kept if name in answer.headers},
        background=BackgroundTask(answer.aclose),
    )


app = Starlette(routes=[Route("/{path:path}", forward, methods=["POST"])], lifespan=lifespan)

if "DEMO_USAGE" in os.environ:
    import zeroret

    zr = zeroret.ZeroRetention(policy="usage-only", sinks=[os.environ["DEMO_USAGE"]])
    zr.install(app)
