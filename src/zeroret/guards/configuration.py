"""Configuration that breaks the promise: found at the start, refused or listed.

Each problem says what was found and what to change. Values of variables are the operator's, but may
hold secrets: they are not repeated.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from zeroret.errors import ConfigurationError
from zeroret.guards import libraries, trackers
from zeroret.integrations import debugging, uwsgi

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CAPTURE: Final = {
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": frozenset({"false", "no_content"}),
    "TRACELOOP_TRACE_CONTENT": frozenset({"false"}),
}
"""Variables that have prompts and answers put into telemetry, and the values that do not."""

HOOKS: Final = (
    "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK",
    "OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH",
)
"""Variables that have prompts and answers uploaded."""

HEADERS: Final = tuple(
    f"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_{side}_{message}"
    for side in ("SERVER", "CLIENT")
    for message in ("REQUEST", "RESPONSE")
)
"""Variables that have headers put into spans."""

PLAIN_HEADERS: Final = frozenset(
    {
        *("accept", "accept-encoding", "cache-control", "connection", "content-encoding"),
        *("content-length", "content-type", "date", "keep-alive", "retry-after", "server"),
        *("transfer-encoding", "vary"),
    }
)
"""Headers in which nobody's secret stands."""


class RefusedError(ConfigurationError):
    """The process is configured in a way that breaks the promise, and the runtime enforces it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the process.

    Args:
        environ: Its environment.
        debugged: Frameworks in debug mode, as `debugging.debugged` names them.
        echoing: SQLAlchemy engines that print parameters.
        diagnosing: Whether loguru prints the values of variables, and could not be guarded.
        unguarded: Trackers that could not be guarded, and why.
        uwsgi: The options of uWSGI, where it is the server.
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    debugged: tuple[str, ...] = ()
    echoing: int = 0
    diagnosing: bool = False
    unguarded: Mapping[str, str] = field(default_factory=dict)
    uwsgi: Mapping[str, object] | None = None


def problems(facts: Facts) -> list[str]:
    """Return what of *facts* breaks the promise, one sentence each, and how to change it."""
    found = [
        f"{name} is on: it shows content in error pages; set it to False" for name in facts.debugged
    ]
    if facts.echoing:
        found.append(
            "an SQLAlchemy engine has echo on: it prints the parameters of statements; "
            "make it with echo=False or hide_parameters=True"
        )
    if facts.diagnosing:
        found.append(
            "loguru prints the values of variables with tracebacks; call logger.remove() and "
            "logger.add(…, diagnose=False), or set LOGURU_DIAGNOSE=NO"
        )
    found += _captures(facts.environ)
    found += uwsgi.problems(facts.uwsgi)
    for name, why in facts.unguarded.items():
        found.append(
            f"{name} sends telemetry and could not be guarded ({why}); use a version that zeroret "
            "knows, give it an adapter (docs/telemetry.md), or do not load it"
        )
    return found


def facts(apps: Iterable[Any] = ()) -> Facts:
    """Return the facts about this process and the *apps* that a runtime wraps."""
    trackers.install()
    try:
        unguarded = trackers.troubles()
    finally:
        trackers.uninstall()
    return Facts(
        environ=os.environ,
        debugged=tuple(debugging.debugged(apps)),
        echoing=debugging.echoing(),
        diagnosing=debugging.diagnosing() and not libraries.guards("loguru"),
        unguarded=unguarded,
        uwsgi=uwsgi.options(),
    )


def check(apps: Iterable[Any] = ()) -> None:
    """Refuse what breaks the promise.

    Raises:
        RefusedError: something does; the text says what was found and how to change it.
    """
    found = problems(facts(apps))
    if found:
        raise RefusedError(
            "the configuration breaks zero retention: "
            + "; ".join(found)
            + ". With mode='report' this is listed in the posture instead"
        )


def _captures(environ: Mapping[str, str]) -> list[str]:
    found = [
        f"{name} has content put into telemetry; unset it"
        for name, off in CAPTURE.items()
        if environ.get(name, "").strip() and environ[name].strip().lower() not in off
    ]
    found += [
        f"{name} has content uploaded; unset it" for name in HOOKS if environ.get(name, "").strip()
    ]
    for name in HEADERS:
        listed = {each.strip().lower() for each in environ.get(name, "").split(",")} - {""}
        if listed - PLAIN_HEADERS:
            found.append(
                f"{name} has headers put into spans; "
                f"of these only are harmless: {', '.join(sorted(PLAIN_HEADERS))}"
            )
    return found
