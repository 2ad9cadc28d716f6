"""Debugging aids of frameworks and libraries that are on: what shows content by their own design.

Only what is loaded is looked at, and nothing is changed.
"""

from __future__ import annotations

import gc
import logging
import sys
import weakref
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FRAMEWORKS: Final = {
    ("starlette.applications", "Starlette"): "the application's debug",
    ("starlette.middleware.errors", "ServerErrorMiddleware"): "the application's debug",
    ("starlette.middleware.exceptions", "ExceptionMiddleware"): "the application's debug",
    ("flask.app", "Flask"): "the Flask application's debug",
    ("quart.app", "Quart"): "the Quart application's debug",
    ("litestar.app", "Litestar"): "the Litestar application's debug",
}
"""Classes whose ``debug`` shows tracebacks with content to whoever calls, and what to call it."""

_INNER: Final = ("app", "_app", "application", "asgi_handler", "wsgi_app", "__wrapped__")
_DEEPEST: Final = 32
_ENGINE: Final = "sqlalchemy.engine.Engine"


class Applications:
    """The applications that a runtime wraps, kept alive by nobody's memory of them."""

    def __init__(self) -> None:
        self._known: list[Any] = []

    def add(self, app: Any) -> None:
        """Remember *app*; a bound method by its object."""
        each = app.__self__ if isinstance(app, MethodType) else app
        try:
            self._known.append(weakref.ref(each))
        except TypeError:  # Litestar's application has slots
            self._known.append(lambda: each)

    def __iter__(self) -> Iterator[Any]:
        return iter([app for known in self._known if (app := known()) is not None])


def debugged(apps: Iterable[Any]) -> list[str]:
    """Return which of *apps*, or of what they wrap, are in debug mode, each name once."""
    found: dict[str, None] = {}
    for app in apps:
        for each in _chain(app):
            for kind in type(each).__mro__:
                name = FRAMEWORKS.get((kind.__module__, kind.__name__))
                if name is not None and getattr(each, "debug", False) is True:
                    found[name] = None
    if "django.conf" in sys.modules:
        from django.conf import settings

        if settings.configured and settings.DEBUG:
            found["Django's settings.DEBUG"] = None
    return list(found)


def echoing() -> int:
    """Return how many SQLAlchemy engines print each statement with its parameters."""
    module = sys.modules.get("sqlalchemy.engine.base")
    known = logging.root.manager.loggerDict
    if module is None or not any(
        name.startswith(_ENGINE) and getattr(known[name], "handlers", ()) for name in list(known)
    ):
        return 0  # an engine that echoes gives its logger a handler
    return sum(1 for each in gc.get_objects() if type(each) is module.Engine and _echoes(each))


def diagnosing() -> bool:
    """Tell whether loguru prints the values of variables with tracebacks, where it is used."""
    loguru = sys.modules.get("loguru")
    logger = getattr(loguru, "logger", None)
    handlers = getattr(getattr(logger, "_core", None), "handlers", {})
    for number, handler in list(handlers.items()):
        formatter = getattr(handler, "_exception_formatter", None)
        # The handler it starts with counts where the program itself uses loguru.
        if getattr(formatter, "_diagnose", False) and (number > 0 or _is_used(logger)):
            return True
    return False


def _chain(app: Any) -> Iterator[Any]:
    """Yield *app* and what it wraps, outermost first."""
    waiting: list[Any] = [app]
    seen: set[int] = set()
    while waiting and len(seen) < _DEEPEST:
        each = waiting.pop()
        if isinstance(each, MethodType):
            each = each.__self__
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        held = getattr(each, "__dict__", {})
        waiting += [held[name] for name in _INNER if held.get(name) is not None]


def _echoes(engine: Any) -> bool:
    logger = getattr(engine, "logger", None)
    return bool(getattr(logger, "echo", False)) and not getattr(engine, "hide_parameters", False)


def _is_used(logger: Any) -> bool:
    for name, module in list(sys.modules.items()):
        root = name.partition(".")[0]
        if root not in ("loguru", "sentry_sdk", "zeroret") and (
            getattr(module, "__dict__", {}).get("logger") is logger
        ):
            return True
    return False
