"""Outcomes: how an exchange ended, by the status of its reply or the exception that ended it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from zeroret.usage.record import Outcome

CLIENT_ERROR: Final = 400
SERVER_ERROR: Final = 500
"""From which status on a reply says that the request was at fault, or the server."""

_TIMEOUT_STATUSES: Final = frozenset({408, 504})
_bases: Any = type.__dict__["__mro__"].__get__
_name: Any = type.__dict__["__name__"].__get__


def of_status(status: int, *, timed_out: bool = False) -> Outcome:
    """Return how an exchange ended whose reply was whole; *timed_out* tells what raised a 500."""
    if status in _TIMEOUT_STATUSES:
        return "timeout"
    if status >= SERVER_ERROR:
        return "timeout" if timed_out else "error"
    return "rejected" if status >= CLIENT_ERROR else "completed"


def of_error(error: BaseException) -> Outcome:
    """Return how an exchange ended that *error* ended."""
    if not isinstance(error, Exception):
        return "aborted"  # CancelledError, GeneratorExit, KeyboardInterrupt: nobody waits any more
    return "timeout" if is_timeout(error) else "error"


def is_timeout(error: BaseException) -> bool:
    """Tell whether *error* is of a class that says so."""
    # Asked of `type`, since a metaclass can answer for itself.
    return any("Timeout" in _name(base) for base in _bases(type(error)))
