"""Litestar: installation into an app; its templates stand in the scope already."""

from __future__ import annotations

from typing import Any


def install(app: Any, middleware: Any) -> None:
    """Put *middleware* around the ASGI handler of *app*, outside its own error handling."""
    app.asgi_handler = middleware(app.asgi_handler)
