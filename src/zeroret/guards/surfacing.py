"""Surfacing: a refusal reaches the code that tried, past libraries that would retry or rename it.

SDKs and HTTP libraries catch what happens below them: they sleep, try again, and raise an error of
their own that names the URL. Within `surfacing` a refusal travels as a `Crossing`, which no
``except Exception`` stops, and turns into the `RetentionViolation` where the library was called.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from zeroret.errors import RetentionViolation


class _Call:
    """A library's outermost call; tasks that outlive it have nobody to turn a `Crossing` back."""

    __slots__ = ("running",)

    def __init__(self) -> None:
        self.running = True


_surfacing: Final[ContextVar[_Call | None]] = ContextVar("zeroret.surfacing", default=None)


class Crossing(BaseException):
    """A refusal on its way through a library; it ends where that library was called."""

    def __init__(self, violation: RetentionViolation) -> None:
        super().__init__("a refusal on its way to the code that tried")
        self.violation = violation


def raised(violation: RetentionViolation) -> BaseException:
    """Return what to raise here so that *violation* reaches the code that tried."""
    return Crossing(violation) if _is_within() else violation


def surfacing(wanted: Callable[[], bool]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a wrapper for a library's outermost function, while *wanted* says so."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            if _is_within() or not wanted():
                return function(*args, **options)
            outermost = _Call()
            token = _surfacing.set(outermost)
            try:
                return function(*args, **options)
            except Crossing as crossing:
                violation = crossing.violation
            finally:
                outermost.running = False
                with suppress(ValueError):  # closed from another context: it ends with it
                    _surfacing.reset(token)
            # Raised out here so that Python chains nothing: the traceback below holds the request.
            raise violation

        return call

    return wrap


def surfacing_async(
    wanted: Callable[[], bool],
) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
    """Return the same for a coroutine function."""

    def wrap(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(function)
        async def call(*args: Any, **options: Any) -> Any:
            if _is_within() or not wanted():
                return await function(*args, **options)
            outermost = _Call()
            token = _surfacing.set(outermost)
            try:
                return await function(*args, **options)
            except Crossing as crossing:
                violation = crossing.violation
            finally:
                outermost.running = False
                with suppress(ValueError):  # closed from another context: it ends with it
                    _surfacing.reset(token)
            raise violation  # as above

        return call

    return wrap


def _is_within() -> bool:
    outermost = _surfacing.get()
    return outermost is not None and outermost.running
