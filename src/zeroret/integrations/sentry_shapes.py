"""Sentry's envelopes: what events, transactions, spans, logs, metrics, sessions may consist of.

Whatever is not named here is not sent: request bodies, headers, cookies, users, locals,
attachments, replays, and what a later version adds.

Source: https://develop.sentry.dev/sdk/data-model/
"""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import program
from zeroret.guards.moments import moment
from zeroret.guards.rules import (
    Rule,
    closed,
    digits,
    flag,
    ident,
    member,
    module,
    number,
    same,
    status,
    text,
    thread,
)
from zeroret.guards.telemetry import Each, Shape, allowed
from zeroret.integrations.sentry_rules import (
    ENVIRONMENT,
    LIBRARY,
    NAME,
    PYTHON,
    RELEASE,
    attributes,
    category,
    configured,
    description,
    installed,
    library,
    measure,
    name,
    operation,
    place,
    public_key,
    request,
    spot,
    typed,
    word,
)

if TYPE_CHECKING:
    from zeroret.guards.judging import Judge

_MOST_FRAMES: Final = 256
_MOST_SAMPLES: Final = 50_000


def error(judge: Judge, given: Any) -> Any:
    """Show an exception: its class, if a module holds it, its places, and no text of its own."""
    if not isinstance(given, dict):
        return judge.drop()
    shown = allowed(given, _ERROR, judge)
    known = program.is_class(given.get("module"), given.get("type"))
    shown["type"] = given["type"] if known else "other"
    if known and given.get("module"):
        shown["module"] = given["module"]
    if not judge.strict:
        shown["value"] = text(judge, given.get("value") or "")
        return shown
    judge.withheld += 1
    frames = shown.get("stacktrace", {}).get("frames", [])
    places = [each for each in frames if "lineno" in each]
    own = [each for each in places if each["in_app"]] or places
    last = own[-1] if own else {}
    at = program.place(
        last.get("module"), last.get("abs_path"), last.get("function"), last.get("lineno")
    )
    shown["value"] = program.sentence(shown["type"], at)
    return shown


def gathered(shape: Shape) -> Rule:
    """Return the rule of what a scope gathered, maybe in many exchanges.

    Only what was judged when it was added is shown, whether the event has an exchange or not.
    """

    def rule(judge: Judge, given: Any) -> Any:
        before, judge.strict = judge.strict, True
        try:
            return allowed(given, shape, judge)
        finally:
            judge.strict = before

    return rule


_LEVEL: Final = closed(
    *("fatal", "critical", "error", "warning", "warn", "info", "debug", "trace", "log")
)
_PLATFORM: Final = closed("python")
_STACK: Final[Shape] = {"frames": Each(place, _MOST_FRAMES)}
_ERROR: Final[Shape] = {
    "mechanism": {
        "type": word,
        "handled": flag,
        "synthetic": flag,
        "exception_id": number,
        "parent_id": number,
        "is_exception_group": flag,
        "source": closed("__cause__", "__context__", "exceptions"),
    },
    "thread_id": digits,
    "stacktrace": _STACK,
}
_TRACE: Final[dict[str, Shape]] = {
    "trace_id": ident(32),
    "span_id": ident(16),
    "parent_span_id": ident(16),
    "op": word,
    "origin": word,
    "status": word,
    "data": attributes,
    "description": description,
}
CRUMB: Final[Shape] = {
    "type": word,
    "category": category,
    "level": _LEVEL,
    "timestamp": moment,
    "message": text,
    "data": attributes,
}
_SPAN: Final[Shape] = {
    **_TRACE,
    "start_timestamp": moment,
    "timestamp": moment,
    "same_process_as_parent": flag,
    "tags": attributes,
}
_RUNTIME: Final[Shape] = {
    "name": same(platform.python_implementation),
    "version": PYTHON,
    "build": same(lambda: sys.version),
}
EVENT: Final[Shape] = {
    "type": closed("transaction", "check_in"),
    "event_id": ident(32),
    "check_in_id": ident(32),
    "timestamp": moment,
    "start_timestamp": moment,
    "platform": _PLATFORM,
    "level": _LEVEL,
    "logger": module,
    "transaction": operation,
    "transaction_info": {"source": word},
    "release": RELEASE,
    "environment": ENVIRONMENT,
    "dist": configured("dist"),
    "server_name": configured("server_name"),
    "sdk": library,
    "modules": installed,
    "message": text,
    "logentry": {"message": text, "formatted": text, "params": Each(member)},
    "exception": {"values": Each(error)},
    "threads": {
        "values": Each(
            {
                "id": digits,
                "name": thread,
                "current": flag,
                "crashed": flag,
                "main": flag,
                "stacktrace": _STACK,
            }
        )
    },
    "stacktrace": _STACK,
    "contexts": {
        "trace": _TRACE,
        "runtime": _RUNTIME,
        "response": {"status_code": status},
        "profile": {"profiler_id": ident(32)},
    },
    "tags": gathered(attributes),
    "extra": gathered(attributes),
    "request": request,
    "breadcrumbs": gathered({"values": Each(CRUMB)}),
    "fingerprint": Each(text),
    "spans": Each(_SPAN, 1000),
    "monitor_slug": name,
    "monitor_config": attributes,
    "status": word,
    "duration": number,
}
"""An error, a message, a transaction or a check-in."""

_SAMPLES: Final[Shape] = {
    "frames": Each(spot, _MOST_SAMPLES),
    "stacks": Each(Each(number, _MOST_FRAMES), _MOST_SAMPLES),
    "samples": Each(
        {
            "stack_id": number,
            "thread_id": digits,
            "elapsed_since_start_ns": digits,
            "timestamp": moment,
        },
        _MOST_SAMPLES,
    ),
}
_PROFILE: Final[Shape] = {
    "event_id": ident(32),
    "profiler_id": ident(32),
    "chunk_id": ident(32),
    "environment": ENVIRONMENT,
    "release": RELEASE,
    "platform": _PLATFORM,
    "timestamp": moment,
    "version": closed("1", "2"),
    "client_sdk": {"name": NAME, "version": LIBRARY},
    "device": {"architecture": same(platform.machine)},
    "os": {"name": same(platform.system), "version": same(platform.release)},
    "runtime": _RUNTIME,
    "profile": _SAMPLES,
    "transactions": Each(
        {
            "id": ident(32),
            "name": operation,
            "trace_id": ident(32),
            "active_thread_id": digits,
            "relative_start_ns": digits,
            "relative_end_ns": digits,
        }
    ),
}
_SESSION_OF: Final[Shape] = {"release": RELEASE, "environment": ENVIRONMENT}
_COUNTS: Final[dict[str, Shape]] = dict.fromkeys(
    ("exited", "errored", "crashed", "abnormal"), number
)
_BATCHED: Final[dict[str, Shape]] = {
    "timestamp": moment,
    "trace_id": ident(32),
    "span_id": ident(16),
    "attributes": typed,
}


def _batch(shape: Shape) -> Shape:
    return {"version": number, "items": Each(shape, 2000)}


ITEMS: Final[dict[str, Shape]] = {
    "event": EVENT,
    "transaction": EVENT,
    "check_in": EVENT,
    "profile": _PROFILE,
    "profile_chunk": _PROFILE,
    "session": {
        "sid": ident(32),
        "init": flag,
        "started": moment,
        "timestamp": moment,
        "status": word,
        "errors": number,
        "duration": number,
        "attrs": _SESSION_OF,
    },
    "sessions": {"aggregates": Each({"started": moment, **_COUNTS}), "attrs": _SESSION_OF},
    "client_report": {
        "timestamp": moment,
        "discarded_events": Each({"reason": word, "category": word, "quantity": number}),
    },
    "log": _batch({**_BATCHED, "level": _LEVEL, "body": text}),
    "trace_metric": _batch(
        {
            **_BATCHED,
            "name": text,
            "type": closed("counter", "gauge", "distribution"),
            "value": number,
            "unit": word,
        }
    ),
    "span": _batch(
        {
            **_BATCHED,
            "name": description,
            "status": closed("ok", "error"),
            "is_segment": flag,
            "start_timestamp": moment,
            "end_timestamp": moment,
            "parent_span_id": ident(16),
        }
    ),
}
"""The types of items that are sent at all, and what each may consist of."""

HEADERS: Final[Shape] = {
    "event_id": ident(32),
    "sent_at": moment,
    "trace": {
        "trace_id": ident(32),
        "public_key": public_key,
        "org_id": digits,
        "sample_rate": measure,
        "sample_rand": measure,
        "sampled": closed("true", "false"),
        "release": RELEASE,
        "environment": ENVIRONMENT,
        "transaction": operation,
    },
}
"""The header of an envelope; ``trace`` may be what a client sent as baggage."""
