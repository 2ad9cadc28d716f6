"""The upstream of a replay: it answers with recorded bytes, cut at random places.

``$DEMO_EXCHANGES`` is the file; the header ``x-demo-exchange`` says which of its exchanges is
wanted. Cuts fall anywhere, also within a character or between CR and LF.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from zeroret.cli.demo.chunks import cut
from zeroret.cli.demo.recorded import read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

_exchanges = {one.id: one for one in read(Path(os.environ["DEMO_EXCHANGES"]))}


async def answer(request: Request) -> Response:
    """Answer as was recorded."""
    one = _exchanges[request.headers["x-demo-exchange"]]
    pieces = cut(one.response_body.encode(), random.Random(one.id))  # noqa: S311 - cuts to repeat, no secret
    headers = {"content-type": one.content_type} if one.content_type else {}
    return StreamingResponse(_flow(pieces), status_code=one.status, headers=headers)


async def _flow(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)  # so that the pieces leave one by one


app = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
