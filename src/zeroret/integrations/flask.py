"""Flask: route templates as rules match, the class of handled exceptions, and installation."""

from __future__ import annotations

from typing import Any

import wrapt

from zeroret.content.flight import CURRENT


def watch(ctx: Any) -> None:
    """Note each rule that *ctx* (the module ``flask.ctx``) matches a request to."""
    from flask.signals import got_request_exception  # `flask` itself is still being imported

    for name in ("RequestContext", "AppContext"):  # the latter from Flask 3.2 on
        if "match_request" in vars(getattr(ctx, name, object)):
            wrapt.wrap_function_wrapper(ctx, f"{name}.match_request", _matched)
    got_request_exception.connect(_handled, weak=False)


def _matched(match: Any, context: Any, args: Any, kwargs: Any) -> Any:
    result = match(*args, **kwargs)
    flight = CURRENT.get()
    if flight is not None:
        try:
            rule = context.request.url_rule or _other_method(context)
            flight.route = None if rule is None else str(rule.rule)
        except Exception:  # noqa: BLE001 - werkzeug raises redirects, too: the reply stands
            flight.route = None
    return result


def _other_method(context: Any) -> Any:
    """Return the rule that a 405 would have matched by another method."""
    methods = getattr(context.request.routing_exception, "valid_methods", None)
    if not methods:
        return None
    return context.url_adapter.match(method=methods[0], return_rule=True)[0]


def _handled(_app: Any, exception: BaseException, **_: Any) -> None:
    flight = CURRENT.get()
    if flight is not None:
        flight.note_error(exception)


def install(app: Any, middleware: Any) -> None:
    """Put *middleware* around the WSGI side of *app*."""
    app.wsgi_app = middleware(app.wsgi_app)
