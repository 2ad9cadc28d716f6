"""Rollbar: payloads are judged where they are written as JSON, which every way of sending calls.

The smallest adapter there is, and a pattern for others: a shape that names what a payload may
consist of, and one function that is replaced.

Source: https://docs.rollbar.com/reference/create-item
"""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import names, program
from zeroret.guards.moments import moment
from zeroret.guards.rules import closed, error, flag, ident, number, same, text
from zeroret.guards.telemetry import Each, Shape, allowed
from zeroret.guards.trackers import PATCHES, sending

if TYPE_CHECKING:
    from types import ModuleType

    from zeroret.guards.judging import Judge

_MOST_FRAMES: Final = 256
_EMPTY: Final[dict[str, Any]] = {"data": {"body": {"message": {"body": "[withheld]"}}}}


def watch(rollbar: ModuleType) -> None:
    """Guard the payloads of *rollbar* (the module of that name)."""
    PATCHES.replace(rollbar, "_serialize_payload", sending(PAYLOAD, failed=_EMPTY))


def setting(judge: Judge, value: Any) -> Any:
    """Show what the operator configured, by the name of a setting or the machine's own."""
    known: Any = sys.modules["rollbar"].SETTINGS
    return value if value == platform.node() or value in known.values() else judge.drop()


def custom(judge: Judge, value: Any) -> Any:
    """Show extra data: values that are provably not content, under keys of the program's own."""
    return judge.attributes(value) if isinstance(value, dict) else judge.drop()


def frame(judge: Judge, value: Any) -> Any:
    """Show a frame: file, line, method and the source line; no locals, no arguments."""
    given = value if isinstance(value, dict) else {}
    judge.withheld += bool(given.get("locals"))
    found = program.place(None, given.get("filename"), given.get("method"), given.get("lineno"))
    if found is None:
        judge.withheld += 1
        return {"filename": names.WITHHELD, "method": names.WITHHELD}
    shown = {"filename": found.path, "lineno": found.line, "method": found.function}
    return {**shown, "code": found.text} if found.text else shown


def trace(judge: Judge, value: Any) -> Any:
    """Show an exception: its class and its places; its text only where no exchange runs."""
    shown = allowed(value, _TRACE, judge)
    if not judge.strict or not isinstance(shown, dict):
        return shown
    named = shown.get("exception", {}).get("class", names.WITHHELD)
    places = [each for each in shown.get("frames", []) if "lineno" in each]
    last = places[-1] if places else {}
    found = program.place(None, last.get("filename"), last.get("method"), last.get("lineno"))
    shown["exception"] = {"class": named, "message": program.sentence(named, found)}
    return shown


def request(judge: Judge, value: Any) -> Any:
    """Show of a request its method and the route's template."""
    judge.withheld += 1
    verb = value.get("method") if isinstance(value, dict) else None
    template = None if judge.flight is None else judge.flight.route_template()
    shown = {"method": verb} if verb in names.METHODS else {}
    return shown if template is None else {**shown, "url": template}


_TRACE: Final[Shape] = {
    "frames": Each(frame, _MOST_FRAMES),
    "exception": {"class": error, "message": text},
}
PAYLOAD: Final[Shape] = {
    "access_token": setting,
    "data": {
        "timestamp": moment,
        "environment": setting,
        "level": closed("debug", "info", "warning", "error", "critical"),
        "language": same(lambda: f"python {platform.python_version()}"),
        "notifier": setting,
        "uuid": ident(32),
        "framework": closed("unknown", "django", "flask", "fastapi", "starlette"),
        "code_version": setting,
        "server": {"host": setting, "root": setting, "branch": setting, "pid": number},
        "body": {"trace": trace, "trace_chain": Each(trace), "message": {"body": text}},
        "custom": custom,
        "request": request,
        "fingerprint": text,
        "title": text,
        "internal": flag,
        "failsafe": flag,
    },
}
"""What an item may consist of: no person, no locals, no request data, no session."""
