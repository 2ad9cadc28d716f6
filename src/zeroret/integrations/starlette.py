"""Starlette and FastAPI: route templates as routes are taken, and installation into an app."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import wrapt

from zeroret.content.flight import CURRENT

if TYPE_CHECKING:
    from zeroret.types import ASGIApp, Receive, Scope, Send


def watch(routing: Any) -> None:
    """Note each route that *routing* (the module ``starlette.routing``) hands a request to.

    A partial match (405) is handed on like a full one, so it has its template too. Mounts nest:
    what they add stands before the template of the route inside.
    """
    wrapt.wrap_function_wrapper(routing, "Mount.handle", _mount_taken)
    for owner in (routing.Route, routing.WebSocketRoute):
        watch_handle(owner)


def _mount_taken(handle: Any, mount: Any, args: Any, kwargs: Any) -> Any:
    flight = CURRENT.get()
    if flight is not None and isinstance(getattr(mount, "path_format", None), str):
        flight.route = flight.mount + mount.path_format
        flight.mount = flight.route.removesuffix("/{path}")
    return handle(*args, **kwargs)


def watch_handle(owner: Any) -> None:
    """Note the route, and what it raised before the framework answers it with a 500.

    A plain function in place of the method: every request passes it, and a wrapper object that
    binds anew each time costs more than all the rest of this.
    """
    handle = owner.handle

    @functools.wraps(handle)
    async def handle_noted(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        flight = CURRENT.get()
        if flight is None:
            await handle(self, scope, receive, send)
            return
        try:
            flight.route = flight.mount + _path_format(self, scope)
        except Exception:  # noqa: BLE001 - a route of another making has no template; its reply stands
            flight.route = None
        try:
            await handle(self, scope, receive, send)
        except Exception as error:
            flight.note_error(error)
            raise

    owner.handle = handle_noted


def _path_format(route: Any, scope: Any) -> str:
    """Return the route's template; a FastAPI router that was included keeps its prefix aside."""
    fastapi = scope.get("fastapi")
    context: Any = fastapi.get("effective_route_context") if isinstance(fastapi, dict) else None
    if getattr(context, "original_route", None) is route:
        return str(context.path_format)
    return str(route.path_format)


def install(app: Any, middleware: Any) -> None:
    """Put *middleware* around the whole stack of *app*, its own error handling included.

    Outside of ``ServerErrorMiddleware``, so that its handlers see the real exception and its reply
    is metered, while the server sees the stand-in.
    """
    if app.middleware_stack is not None:
        app.middleware_stack = middleware(app.middleware_stack)
        return
    build = app.build_middleware_stack

    def build_middleware_stack() -> ASGIApp:
        wrapped: ASGIApp = middleware(build())
        return wrapped

    app.build_middleware_stack = build_middleware_stack
