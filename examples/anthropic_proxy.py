"""A streaming reverse proxy to Anthropic that keeps no prompt and meters every call.

What a small reseller runs: customers call it with keys of its own, it calls Anthropic with the
operator's key, and bytes pass unchanged in both directions.

Start it:   ANTHROPIC_API_KEY=... python examples/anthropic_proxy.py
Use it:     anthropic.Anthropic(base_url="http://127.0.0.1:8000", api_key="customer-1-secret")
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

UPSTREAM = os.environ.get("UPSTREAM", "https://api.anthropic.com")
API_KEY = os.environ.get("ANTHROPIC_API_KEY", "")
CUSTOMERS = {"customer-1-secret": "customer-1"}
HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
REPLACED = {*HOP_BY_HOP, "authorization", "x-api-key"}


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Keep one connection pool to the upstream."""
    async with httpx.AsyncClient(base_url=UPSTREAM, timeout=600) as client:
        app.state.upstream = client
        yield


async def messages(request: Request) -> Response:
    """Pass a call on, and the answer back as it comes."""
    exchange = zeroret.current()
    if exchange is None or exchange.account is None:  # the key, in whichever header, is nobody's
        return Response('{"type": "error"}', status_code=401, media_type="application/json")
    client: httpx.AsyncClient = request.app.state.upstream
    headers = {name: value for name, value in request.headers.items() if name not in REPLACED}
    upstream = await client.send(
        client.build_request(
            "POST",
            "/v1/messages",
            content=request.stream(),
            headers={**headers, "x-api-key": API_KEY},
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


app = Starlette(routes=[Route("/v1/messages", messages, methods=["POST"])], lifespan=lifespan)
zr = zeroret.ZeroRetention(
    policy="usage-only",
    sinks=[os.environ.get("USAGE_SINK", "sqlite:///usage.db")],
    identify=identify,
)
zr.install(app)

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
