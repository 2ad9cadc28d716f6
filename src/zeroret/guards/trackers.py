"""Trackers: the libraries that send telemetry, and who guards each where it sends."""

from __future__ import annotations

import sys
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import judging
from zeroret.guards.patches import Patches
from zeroret.guards.telemetry import guarded
from zeroret.guards.tiers import Tier
from zeroret.guards.violations import report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from zeroret.content.boundary import Boundary
    from zeroret.guards.telemetry import Shape

PATCHES: Final = Patches("telemetry")
"""What stands in the libraries' modules."""

_OTEL: Final = "zeroret.integrations.opentelemetry"
ADAPTERS: Final = {
    "opentelemetry.sdk.trace": (_OTEL, "watch_spans"),
    "opentelemetry.sdk.trace.export": (_OTEL, "watch_exporters"),
    "opentelemetry.sdk.resources": (f"{_OTEL}_origins", "watch_resources"),
    "opentelemetry.sdk.util.instrumentation": (f"{_OTEL}_origins", "watch_scopes"),
    "opentelemetry.sdk._logs._internal": (f"{_OTEL}_logs", "watch_records"),
    "opentelemetry.sdk._logs._internal.export": (f"{_OTEL}_logs", "watch_exporters"),
    "opentelemetry.instrumentation.logging.handler": (f"{_OTEL}_logs", "watch_handler"),
    "opentelemetry.sdk.metrics._internal.instrument": (f"{_OTEL}_metrics", "watch_instruments"),
    "opentelemetry.sdk.metrics._internal.measurement_consumer": (
        f"{_OTEL}_metrics",
        "watch_measurements",
    ),
    "opentelemetry.sdk.metrics._internal.export": (f"{_OTEL}_metrics", "watch_exporters"),
    "sentry_sdk.transport": ("zeroret.integrations.sentry", "watch_transports"),
    "sentry_sdk.spotlight": ("zeroret.integrations.sentry", "watch_spotlight"),
    "sentry_sdk.scope": ("zeroret.integrations.sentry", "watch_scope"),
    "sentry_sdk.tracing": ("zeroret.integrations.sentry", "watch_tracing"),
    "sentry_sdk._batcher": ("zeroret.integrations.sentry_batches", "watch_batcher"),
    "sentry_sdk._span_batcher": ("zeroret.integrations.sentry_batches", "watch_span_batcher"),
    "sentry_sdk.integrations.logging": ("zeroret.integrations.sentry_batches", "watch_handlers"),
    "rollbar": ("zeroret.integrations.rollbar", "watch"),
}
"""Modules of trackers, and who guards each when it is loaded."""

UNGUARDED: Final = (
    *("airbrake", "appsignal", "bugsnag", "ddtrace", "elasticapm", "honeybadger", "instana"),
    *("newrelic", "raygun4py", "scout_apm"),
)
"""Trackers that are known, and that nothing of ours guards; an adapter of the operator's may."""

_own: Final[dict[str, Callable[[ModuleType], None]]] = {}


class UnguardedError(Exception):
    """A tracker was loaded that no adapter guards."""


class _Start:
    """Whether the guards are being installed now: what fails then is the start's to refuse."""

    def __init__(self) -> None:
        self.under_way = False


_start: Final = _Start()


def adapter(module: str) -> Callable[[Callable[[ModuleType], None]], Callable[[ModuleType], None]]:
    """Have the decorated function guard the tracker *module*, at the start or when it is loaded.

    It gets the module, and replaces the function that sends by one that sends less, such as
    ``PATCHES.replace(module, "send", sending(SHAPE))``. What it raises makes the start refuse. Call
    this before a runtime starts.
    """

    def register(watch: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        if module not in ADAPTERS and module not in UNGUARDED:
            PATCHES.when_imported(module)(_told(module, watch))
        _own[module] = watch
        return watch

    return register


def sending(
    shape: Shape, *, at: int = 0, failed: Any = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what makes a guarded function of one that sends, for ``PATCHES.replace``.

    Args:
        shape: What an event may consist of.
        at: Which positional argument is the event: 0 of a function, 1 of a method.
        failed: What is sent in place of an event whose judging failed; None sends nothing.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def send(*args: Any, **options: Any) -> Any:
            if PATCHES.active:
                judge = judging.here(sys._getframe(1))  # noqa: SLF001 - the documented way to the caller's frame
                event = guarded(args[at], shape, judge, failed=failed)
                if event is None:
                    return None
                args = (*args[:at], event, *args[at + 1 :])
            return original(*args, **options)

        return send

    return make


def install() -> None:
    """Guard the trackers that are loaded, and the others when they are; counted."""
    _start.under_way = True
    try:
        PATCHES.install()
    finally:
        _start.under_way = False


def uninstall() -> None:
    """Undo one `install`; the last one leaves the trackers as they were."""
    PATCHES.uninstall()


def troubles() -> dict[str, str]:
    """Return the loaded trackers that are not guarded: distribution and version, and why."""
    return {_title(name): why for name, why in sorted(PATCHES.troubles.items())}


def tiers(boundary: Boundary) -> dict[str, Tier]:
    """Return what the posture says of telemetry."""
    open_ones = troubles()
    guarded = sorted(_roots(PATCHES.watched) - _roots(PATCHES.troubles))
    loaded = f" (loaded: {', '.join(guarded)})" if guarded else ""
    if open_ones:
        which = ", ".join(f"{name}: {why}" for name, why in open_ones.items())
        return {"telemetry": Tier("out of reach", f"not guarded: {which}{loaded}")}
    if not boundary.enforce:
        return {"telemetry": Tier("watched", f"what would be withheld is counted{loaded}")}
    return {
        "telemetry": Tier(
            "closed",
            "OpenTelemetry exporters, Sentry and Rollbar send what is provably not content"
            + loaded,
        ),
        "telemetry.start": Tier(
            "out of reach", "span processors that send a span when it starts, not when it ends"
        ),
    }


def _roots(modules: Iterable[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def _title(module: str) -> str:
    """Return distribution and version of a tracker's module."""
    from importlib import metadata  # slow to load, and needed where something is wrong

    root = module.partition(".")[0]
    found = metadata.packages_distributions().get(root, [root])
    name = next((each for each in found if module.startswith(each.replace("-", "."))), found[0])
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name


def _told(name: str, watch: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    """Return *watch*, telling at once of a tracker that appears after the start and fails."""

    def watching(module: ModuleType) -> None:
        try:
            _own.get(name, watch)(module)
        except Exception:
            if not _start.under_way:
                report("telemetry", "reported", None)
            raise

    return watching


def _adapted(integration: str, function: str) -> Callable[[ModuleType], None]:
    def watch(module: ModuleType) -> None:
        guard: Any = getattr(import_module(integration), function)
        guard(module)

    return watch


def _unguarded(_module: ModuleType) -> None:
    raise UnguardedError


for _name, (_integration, _function) in ADAPTERS.items():
    PATCHES.when_imported(_name)(_told(_name, _adapted(_integration, _function)))
for _name in UNGUARDED:
    PATCHES.when_imported(_name)(_told(_name, _unguarded))
