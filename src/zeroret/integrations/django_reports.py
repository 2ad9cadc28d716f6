"""Django's error reports: mails and texts of exceptions, with places and classes and no content.

A reporter of Django's or of the program's own gets an empty request and a stand-in for the
exception when it is asked for its report; what a subclass adds is held to the rules of formatters.
A debug page is the caller's own reply and stays as it is.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import exceptions, formatted, formatters, handlers, logs, source, tally
from zeroret.guards.records import GUARD_ERROR, GuardedRecord
from zeroret.guards.rulings import ruling
from zeroret.guards.subclasses import guard_method
from zeroret.integrations.access import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.guards.patches import Patches

_REPORTS: Final = ("get_traceback_text", "get_traceback_html")


class _Answering(threading.local):
    depth = 0
    """How many replies of this thread are just made of a report."""


_answering: Final = _Answering()


def watch_debug(module: Any, patches: Patches) -> None:
    """Have the reporters of *module*, ``django.views.debug``, report no content."""
    base = module.ExceptionReporter
    own = {name: vars(base)[name] for name in (*_REPORTS, "get_traceback_data")}
    guard_method(patches, base, "get_traceback_data", _emptied(patches))
    for name in _REPORTS:
        guard_method(patches, base, name, _held(patches, name, own[name]))

    def technical_500_response(original: Callable[..., Any]) -> Callable[..., Any]:
        def answer(*args: Any, **options: Any) -> Any:
            _answering.depth += 1
            try:
                return original(*args, **options)
            finally:
                _answering.depth -= 1

        return answer

    patches.replace(module, "technical_500_response", technical_500_response)


def watch_log(module: Any, patches: Patches) -> None:
    """Have the handlers of *module*, ``django.utils.log``, mail no content."""
    base = module.AdminEmailHandler
    emit = vars(base)["emit"].__code__

    def send_mail(original: Callable[..., Any]) -> Callable[..., Any]:
        def send(self: Any, subject: Any, message: Any, *args: Any, **options: Any) -> Any:
            caller = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller's frame
            if patches.active and caller.f_code is not emit and _is_guarded():
                words = formatters.spelt_in(caller)
                subject, message = _mailed(subject, words), _mailed(message, words)
                options["html_message"] = None
            return original(self, subject, message, *args, **options)

        return send

    guard_method(patches, base, "send_mail", send_mail)


def watch_common(module: Any, patches: Patches) -> None:
    """Have *module*, ``django.middleware.common``, mail no address of a broken link."""

    def mail_managers(original: Callable[..., Any]) -> Callable[..., Any]:
        def mail(subject: Any, message: Any, *args: Any, **options: Any) -> Any:
            if patches.active and _is_guarded():
                known = source.source_of(vars(module))
                literals = set(known.constants) if known is not None else set()
                words = formatters.phrases_of(literals)
                subject, message = _mailed(subject, words), _mailed(message, words)
            return original(subject, message, *args, **options)

        return mail

    patches.replace(module, "mail_managers", mail_managers)


def _is_guarded() -> bool:
    if _answering.depth:
        return False
    try:
        ruled = ruling(None)
    except Exception:  # noqa: BLE001 - fails closed: whoever cannot tell guards
        return True
    return ruled is not None and ruled.enforce


def _emptied(patches: Patches) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def get_traceback_data(self: Any) -> Any:
            if patches.active and _is_guarded():
                _empty(self)
            return original(self)

        return get_traceback_data

    return make


def _held(
    patches: Patches, name: str, own: Callable[..., Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have what a subclass makes of a report held to what Django's own says."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def report(self: Any) -> Any:
            if not patches.active or not _is_guarded():
                return original(self)
            try:
                _empty(self)
                text = original(self)
                if original is own or not isinstance(text, str):
                    return text if original is own else GUARD_ERROR
                lines = {line.strip() for line in str(own(self)).splitlines()}
                return formatted.Known(lines, formatters.spelt(type(self))).hold(text)
            except Exception:  # noqa: BLE001 - fails closed: the program's own report failed, or ours
                tally.count("logs", "failed")
                return GUARD_ERROR

        report.__name__ = name
        return report

    return make


def _empty(reporter: Any) -> None:
    """Take everything out of *reporter* that can hold content."""
    from django.http import HttpRequest

    error = reporter.exc_value
    tally.count("logs", "withheld")
    if isinstance(error, BaseException):
        stand_in = exceptions.plain(error, reporter.tb)
        name = str(stand_in).partition(" ")[0].rstrip(",")
        # Of no class that Django would take apart for what it holds.
        reporter.exc_type = type(name.rpartition(".")[2], (Exception,), {})
        reporter.exc_value, reporter.tb = stand_in, stand_in.__traceback__
    elif error is not None:
        reporter.exc_value = _mailed(error, frozenset())
    reporter.template_info = reporter.postmortem = None
    if reporter.request is None:
        return
    flight, empty = logs.here(), HttpRequest()
    route = flight.route_template() if flight is not None else None
    empty.method = flight.method if flight is not None else ""
    empty.path = empty.path_info = route or NOTHING
    empty.META = {"SERVER_NAME": NOTHING, "SERVER_PORT": "0", "REQUEST_METHOD": empty.method}
    empty.__dict__["_body"] = b""
    reporter.request = empty


def _mailed(text: object, words: frozenset[str]) -> str:
    """Return what a mail may say of *text*: what the record being handled says, and *words*."""
    record = handlers.emitting()
    texts = formatted.texts_of(record) if type(record) is GuardedRecord else set()
    return formatted.Known(texts, words).hold(str(text))
