"""Sentry's values: rules for the fields of events that conventions do not know."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import conventions, names, program, vouching
from zeroret.guards.judging import DROPPED
from zeroret.guards.rules import (
    Rule,
    closed,
    host,
    ident,
    module,
    number,
    passed,
    same,
    status,
    withheld,
)

if TYPE_CHECKING:
    from zeroret.guards.judging import Judge

PACKAGE: Final = "sentry_sdk"
_LONGEST_MEASURE: Final = 18


def word(judge: Judge, given: Any) -> Any:
    """Show a word of the tracker's own sources, or two of them: ``auto.http.`` ``starlette``."""
    if isinstance(given, str):
        known = program.words(PACKAGE)
        head, dot, tail = given.rpartition(".")
        if given in known or (head + dot in known and tail in known):
            return vouching.plain(given)
        if judge.strict and (shown := judge.name(given)) is not None:
            return shown
    return DROPPED if given is None else passed(judge, given)


def name(judge: Judge, given: Any) -> Any:
    """Show a name that the program gives, such as a job's."""
    shown = judge.name(given)
    return judge.mark(given) if shown is None else shown


def category(judge: Judge, given: Any) -> Any:
    """Show the name of a logger or module, or a word of the tracker's."""
    if isinstance(given, str) and (
        given in names.loggers or program.namespace_of(vouching.plain(given)) is not None
    ):
        return vouching.plain(given)
    return word(judge, given)


def configured(option: str) -> Rule:
    """Return the rule of what the operator configured the client with as *option*."""

    def rule(judge: Judge, given: Any) -> Any:
        import sentry_sdk

        if given is None or given == "":
            return given
        if given == sentry_sdk.get_client().options.get(option):
            return vouching.plain(given)
        return withheld(judge, given)

    return rule


def measure(judge: Judge, given: Any) -> Any:
    """Show a number that is written as text, such as a sample rate, in six digits."""
    if not isinstance(given, str):
        return number(judge, given)
    try:
        return f"{float(given):.6g}" if len(given) <= _LONGEST_MEASURE else judge.drop()
    except ValueError:
        return judge.drop()


def attributes(judge: Judge, given: Any) -> Any:
    """Show tags, extra data or a span's data: a flat mapping."""
    if not isinstance(given, dict):
        return DROPPED if given is None else judge.drop()
    return conventions.attributes(judge, given, RULES)


def typed(judge: Judge, given: Any) -> Any:
    """Show attributes that name their type: ``{"key": {"value": 1, "type": "integer"}}``."""
    if not isinstance(given, dict):
        return DROPPED if given is None else judge.drop()
    flat = {key: each.get("value") for key, each in given.items() if isinstance(each, dict)}
    shown = conventions.attributes(judge, flat, RULES)
    return {
        key: {"value": each, "type": "string" if isinstance(each, str) else given[key]["type"]}
        for key, each in shown.items()
        if given[key].get("type") in _TYPES
    }


def place(judge: Judge, given: Any) -> Any:
    """Show a frame: file, module, function, line and the source line; no locals."""
    return _frame(judge, given, source=True)


def spot(judge: Judge, given: Any) -> Any:
    """Show a frame of a profile: as `place`, without the source line."""
    return _frame(judge, given, source=False)


def _frame(judge: Judge, given: Any, *, source: bool) -> Any:
    if not isinstance(given, dict):
        return judge.drop()
    judge.withheld += bool(given.get("vars"))
    path = given.get("abs_path") or given.get("filename")
    found = program.place(given.get("module"), path, given.get("function"), given.get("lineno"))
    if found is None:
        judge.withheld += 1
        return {"function": names.WITHHELD, "in_app": False}
    name = given.get("filename")
    shown: dict[str, Any] = {
        "filename": name if name and found.path.endswith(f"/{name}") else found.path,
        "abs_path": found.path,
        "module": found.module,
        "function": found.function,
        "lineno": found.line,
        "in_app": given.get("in_app") is not False,
    }
    if source and found.text:
        shown["context_line"] = found.text
    return shown


def request(judge: Judge, given: Any) -> Any:
    """Show of a request its method and the route's template."""
    if not isinstance(given, dict):
        return DROPPED
    judge.withheld += 1
    shown = {"method": given.get("method")} if given.get("method") in names.METHODS else {}
    template = None if judge.flight is None else judge.flight.route_template()
    return shown | ({} if template is None else {"url": template})


def operation(judge: Judge, given: Any) -> Any:
    """Show the name of a transaction: a route's template, a function, or the program's own name."""
    if given is None or given in program.words(PACKAGE):
        return given
    known = None if judge.flight is None else judge.flight.route_template()
    return conventions.operation(judge, given, {}) or known or passed(judge, given)


def description(judge: Judge, given: Any) -> Any:
    """Show what a span says of itself: a name of the program's own, a method, or a known model."""
    if given is None:
        return None
    shown = conventions.operation(judge, given, {}, served=False)
    return shown or passed(judge, given)


def server(judge: Judge, given: Any) -> Any:
    """Show this machine's name as the client was configured with it, and known hosts."""
    import sentry_sdk

    if given is not None and given == sentry_sdk.get_client().options.get("server_name"):
        return vouching.plain(given)
    return host(judge, given)


def process(judge: Judge, given: Any) -> Any:
    """Show the name of a process."""
    shown = names.process(given)
    return passed(judge, given) if shown == names.WITHHELD else shown


def public_key(judge: Judge, given: Any) -> Any:
    """Show the key of the project that the client sends to."""
    import sentry_sdk

    dsn = sentry_sdk.get_client().parsed_dsn
    return given if dsn is not None and given == dsn.public_key else judge.drop()


def omitted(_judge: Judge, _given: Any) -> Any:
    """Leave out what every event repeats and nobody needs."""
    return DROPPED


def installed(judge: Judge, given: Any) -> Any:
    """Show the installed packages, as they are."""
    from sentry_sdk.utils import _get_installed_modules

    known = _get_installed_modules()
    if not isinstance(given, dict):
        return judge.drop()
    return {key: each for key, each in given.items() if known.get(key) == each}


def library(judge: Judge, given: Any) -> Any:
    """Show what the tracker's library says of itself, asked anew."""
    import sentry_sdk
    from sentry_sdk.client import SDK_INFO

    if not isinstance(given, dict):
        return judge.drop()
    loaded = sentry_sdk.get_client().integrations
    listed = given.get("integrations") or ()
    return {**SDK_INFO, "integrations": [each for each in listed if each in loaded]}


RELEASE: Final = configured("release")
ENVIRONMENT: Final = configured("environment")
PYTHON: Final = same(platform.python_version)
NAME: Final = same(lambda: sys.modules["sentry_sdk.client"].SDK_INFO["name"])
LIBRARY: Final = same(lambda: sys.modules["sentry_sdk.consts"].VERSION)
_TYPES: Final = frozenset({"string", "integer", "double", "boolean", "array"})

RULES: Final[dict[str, Rule]] = {
    **conventions.RULES,
    "sentry.release": RELEASE,
    "sentry.environment": ENVIRONMENT,
    "sentry.sdk.name": NAME,
    "sentry.sdk.version": LIBRARY,
    **dict.fromkeys(("sentry.origin", "sentry.op", "sentry.severity_text", "sentry.source"), word),
    "sentry.segment.name": operation,
    "sentry.segment.id": ident(16),
    "server.address": server,
    "process.runtime.name": same(platform.python_implementation),
    "process.runtime.version": PYTHON,
    "process.executable.name": process,
    **dict.fromkeys(("sys.argv", "process.command_args", "sentry.sdk.integrations"), omitted),
    "sentry.platform": closed("python"),
    "sentry.profiler_id": ident(32),
    "sentry.segment.name.source": word,
    "asgi.type": closed("http", "websocket"),
    **dict.fromkeys(("http.status_code", "status_code"), status),
    **dict.fromkeys(("logger", "logger.name"), module),
    **dict.fromkeys(("url", "http.query", "http.fragment", "reason"), passed),
    "method": conventions.RULES["http.method"],
}
"""The rules of tags, data and attributes."""
