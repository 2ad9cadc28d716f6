"""A reverse proxy to OpenAI that asks for the usage of every stream, and hides the answer.

OpenAI tells what a stream used only if the request asks for it. Most callers do not ask; their
provider bills all the same. Here the client to the upstream asks for them, and takes the one chunk
that answers out of the stream again: every other byte passes unchanged, both ways.

Start it:   OPENAI_API_KEY=... python examples/openai_proxy.py
Use it:     openai.OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="customer-1-secret")
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

import zeroret

UPSTREAM = os.environ.get("UPSTREAM", "https://api.openai.com")
API_KEY = os.environ.get("OPENAI_API_KEY", "")
CUSTOMERS = {"customer-1-secret": "customer-1"}
HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
REPLACED = {*HOP_BY_HOP, "authorization"}


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Keep one connection pool to the upstream; its calls are metered."""
    async with httpx.AsyncClient(base_url=UPSTREAM, timeout=600) as client:
        app.state.upstream = zeroret.instrument(client, ask_usage=True)
        yield


async def completions(request: Request) -> Response:
    """Pass a call on, and the answer back as it comes."""
    exchange = zeroret.current()
    if exchange is None or exchange.account is None:
        return Response('{"error": {}}', status_code=401, media_type="application/json")
    client: httpx.AsyncClient = request.app.state.upstream
    headers = {name: value for name, value in request.headers.items() if name not in REPLACED}
    upstream = await client.send(
        client.build_request(
            "POST",
            request.url.path,
            content=await request.body(),
            headers={**headers, "authorization": f"Bearer {API_KEY}"},
        ),
        stream=True,
    )
    return StreamingResponse(
        upstream.aiter_raw(),
        status_code=upstream.status_code,
        headers={k: v for k, v in upstream.headers.items() if k not in HOP_BY_HOP},
        background=BackgroundTask(upstream.aclose),
    )


def identify(credential: str) -> str | None:
    """Say whose key this is; None if nobody's."""
    return CUSTOMERS.get(credential)


ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
app = Starlette(
    routes=[Route(path, completions, methods=["POST"]) for path in ENDPOINTS], lifespan=lifespan
)
zr = zeroret.ZeroRetention(
    policy="usage-only",
    sinks=[os.environ.get("USAGE_SINK", "sqlite:///usage.db")],
    identify=identify,
)
zr.install(app)

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
