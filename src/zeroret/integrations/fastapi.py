"""FastAPI: its routes answer for themselves where Starlette's base class would."""

from __future__ import annotations

from typing import Any

from zeroret.integrations.starlette import watch_handle


def watch(routing: Any) -> None:
    """Note each route that *routing* (the module ``fastapi.routing``) hands a request to."""
    for owner in (routing.APIRoute, routing.APIWebSocketRoute):
        if "handle" in vars(owner):
            watch_handle(owner)
