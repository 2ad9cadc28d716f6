"""Route templates: which framework names them, and where. Never the path a client sent."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import wrapt

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUTERS: Final = {
    "starlette.routing": "zeroret.integrations.starlette",
    "fastapi.routing": "zeroret.integrations.fastapi",
    "django.core.handlers.base": "zeroret.integrations.django",
    "flask.ctx": "zeroret.integrations.flask",
}
"""Routers that have to be watched as they route: their module, and who watches it."""

_watched: set[str] = set()


def watch_routers() -> None:
    """Watch each router of `ROUTERS`, now if it is loaded, else when it is; idempotent."""
    for module, integration in ROUTERS.items():
        if module not in _watched:
            _watched.add(module)
            wrapt.register_post_import_hook(_watcher(integration), module)


def _watcher(integration: str) -> Any:
    def watch(router: Any) -> None:
        import_module(integration).watch(router)

    return watch


def asgi_route(scope: Mapping[str, Any]) -> str | None:
    """Return the template that the application left in the scope (Litestar does)."""
    template = scope.get("path_template")
    return template if isinstance(template, str) and template else None
