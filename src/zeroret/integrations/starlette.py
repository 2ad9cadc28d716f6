"""Starlette and FastAPI: route templates as routes are taken, and installation into an app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import wrapt

from zeroret.content.flight import CURRENT

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from zeroret.content.flight import Flight
    from zeroret.types import ASGIApp


def watch(routing: Any) -> None:
    """Note each route that *routing* (the module ``starlette.routing``) hands a request to.

    A partial match (405) is handed on like a full one, so it has its template too. Mounts nest:
    what they add stands before the template of the route inside.
    """
    wrapt.wrap_function_wrapper(routing, "Mount.handle", _mount_taken)
    wrapt.wrap_function_wrapper(routing, "Route.handle", _route_taken)
    wrapt.wrap_function_wrapper(routing, "WebSocketRoute.handle", _route_taken)
    wrapt.register_post_import_hook(_watch_fastapi, "fastapi.routing")


def _watch_fastapi(routing: Any) -> None:
    for name in ("APIRoute", "APIWebSocketRoute"):
        if "handle" in vars(getattr(routing, name)):
            wrapt.wrap_function_wrapper(routing, f"{name}.handle", _route_taken)


def _mount_taken(handle: Any, mount: Any, args: Any, kwargs: Any) -> Any:
    flight = CURRENT.get()
    if flight is not None:
        flight.route = flight.mount + mount.path_format
        flight.mount = flight.route.removesuffix("/{path}")
    return handle(*args, **kwargs)


def _route_taken(handle: Any, route: Any, args: Any, kwargs: Any) -> Any:
    flight = CURRENT.get()
    if flight is None:
        return handle(*args, **kwargs)
    template = flight.mount + _path_format(route, args[0] if args else kwargs["scope"])
    if flight.route == template:
        return handle(*args, **kwargs)  # a subclass has handed on to its base
    flight.route = template
    return _noting_errors(flight, handle(*args, **kwargs))


async def _noting_errors(flight: Flight, handling: Awaitable[None]) -> None:
    """Note what the route raised, before the framework answers it with a 500."""
    try:
        await handling
    except Exception as error:
        flight.note_error(error)
        raise


def _path_format(route: Any, scope: Any) -> str:
    """Return the route's template; a FastAPI router that was included keeps its prefix aside."""
    context = scope.get("fastapi", {}).get("effective_route_context")
    if context is not None and context.original_route is route:
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
