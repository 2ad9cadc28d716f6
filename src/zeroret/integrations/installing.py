"""Finding the way into an application object, framework by framework."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from zeroret.errors import ConfigurationError

if TYPE_CHECKING:
    from zeroret.runtime import ZeroRetention

FRAMEWORKS: Final = {
    ("starlette.applications", "Starlette"): ("zeroret.integrations.starlette", "asgi"),
    ("litestar.app", "Litestar"): ("zeroret.integrations.litestar", "asgi"),
    ("flask.app", "Flask"): ("zeroret.integrations.flask", "wsgi"),
}
"""Application classes by module and name (FastAPI is a Starlette), and who installs into them."""

_INSTALLED: Final = "_zeroret_installed"


def install(app: Any, runtime: ZeroRetention) -> None:
    """Wrap *app* from within, once; a second installation changes nothing.

    Raises:
        ConfigurationError: *app* is of no known framework.
    """
    for kind in type(app).__mro__:
        found = FRAMEWORKS.get((kind.__module__, kind.__name__))
        if found is not None:
            break
    else:
        raise ConfigurationError(
            f"install() knows Starlette, FastAPI, Litestar and Flask apps; a "
            f"{type(app).__name__} was given: wrap it with .asgi(app) or .wsgi(app)"
        )
    if getattr(app, _INSTALLED, False):
        return
    integration, interface = found
    import_module(integration).install(app, partial(_middleware, runtime, interface))
    # Litestar's application has slots; its handler then tells that it is wrapped already.
    if hasattr(app, "__dict__"):
        setattr(app, _INSTALLED, True)


def _middleware(runtime: ZeroRetention, interface: str, app: Any) -> Any:
    return runtime.asgi(app) if interface == "asgi" else runtime.wsgi(app)
