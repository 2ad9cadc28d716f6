"""Log libraries beside `logging`: each is guarded by its integration once it is imported."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards.patches import Patches
from zeroret.guards.tiers import Tier

if TYPE_CHECKING:
    from zeroret.content.boundary import Boundary
    from zeroret.guards.tiers import Grade

PATCHES: Final = Patches("log libraries")

_DJANGO: Final = "zeroret.integrations.django_reports"
_STRUCTLOG: Final = "zeroret.integrations.structlog"
_LOGURU: Final = "zeroret.integrations.loguru"
_RICH: Final = "zeroret.integrations.rich"

WATCHED: Final = {
    "django.middleware.common": (_DJANGO, "watch_common"),
    "django.utils.log": (_DJANGO, "watch_log"),
    "django.views.debug": (_DJANGO, "watch_debug"),
    "linecache": ("zeroret.guards.sourcelines", "watch"),
    "loguru": (_LOGURU, "watch"),
    "rich.console": (_RICH, "watch_console"),
    "rich.logging": (_RICH, "watch_logging"),
    "rich.traceback": (_RICH, "watch_traceback"),
    "structlog": (_STRUCTLOG, "watch"),
}
"""Modules, and who guards them: ``function(module, PATCHES)`` of an integration."""

_HOW: Final = {
    "django": "error reports and their mails show classes and places, and no request",
    "loguru": "messages are judged as they take arguments, records before any handler",
    "rich": "tracebacks show neither texts nor locals; its log handler shows guarded records",
    "structlog": "events are judged before and after each processor, and at the output loggers",
}


def _watch(integration: str, function: str, module: Any) -> None:
    getattr(import_module(integration), function)(module, PATCHES)


for _name, _integration in WATCHED.items():
    PATCHES.when_imported(_name)(partial(_watch, *_integration))


def install() -> None:
    """Guard what is loaded, and the rest when it is; each call needs its `uninstall`."""
    PATCHES.install()


def uninstall() -> None:
    """Undo one `install`; the last one leaves the libraries as they were."""
    PATCHES.uninstall()


def guards(package: str) -> bool:
    """Tell whether *package*, which is loaded, has the shape that its guard expects."""
    install()
    try:
        return not any(_is_of(each, package) for each in PATCHES.troubles)
    finally:
        uninstall()


def tiers(boundary: Boundary) -> dict[str, Tier]:
    """Return what the posture says of each library."""
    found: dict[str, Tier] = {}
    grade: Grade = "closed" if boundary.enforce else "watched"
    for name, how in _HOW.items():
        troubles = [PATCHES.troubles[each] for each in PATCHES.troubles if _is_of(each, name)]
        shape = f"this version has another shape ({', '.join(troubles)})"
        found[name] = Tier("out of reach", shape) if troubles else Tier(grade, how)
    return found


def _is_of(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
