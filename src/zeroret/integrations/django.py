"""Django: route templates as the resolver finds them, and the class of handled exceptions."""

from __future__ import annotations

import sys
from typing import Any

import wrapt

from zeroret.content.flight import CURRENT


def watch(handlers: Any) -> None:
    """Note what *handlers* (the module ``django.core.handlers.base``) resolves a request to."""
    from django.core.signals import got_request_exception

    wrapt.wrap_function_wrapper(handlers, "BaseHandler.resolve_request", _resolved)
    got_request_exception.connect(_handled, weak=False, dispatch_uid="zeroret")


def _resolved(resolve: Any, _handler: Any, args: Any, kwargs: Any) -> Any:
    match = resolve(*args, **kwargs)
    flight = CURRENT.get()
    route = getattr(match, "route", None)  # a resolver of the app's own need not give one
    if flight is not None and isinstance(route, str):
        flight.route = route if route.startswith(("/", "^")) else "/" + route
    return match


def _handled(**_: Any) -> None:
    flight, error = CURRENT.get(), sys.exc_info()[1]
    if flight is not None and error is not None:
        flight.note_error(error)
