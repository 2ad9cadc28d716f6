"""Threads: work that an exchange hands to a thread stays inside the exchange.

`contextvars` do not follow `Thread.start` or `Executor.submit`; the two variables of the exchange
do, and they are reset when the work ends. Other context stays as Python leaves it.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.flight import CURRENT, LAST

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.content.flight import Flight

OWN_PREFIX: Final = "zeroret-"
"""What the names of zeroret's own threads begin with; they belong to no exchange."""


class _Patch:
    """What `install` replaced, and how often it was asked to."""

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()
        self.start: Any = None
        self.submit: Any = None


_patch: Final = _Patch()


class _Carried:
    """A call that runs inside the exchange in which it was handed over.

    Args:
        call: What is called.
        flight: The exchange that runs.
        last: The exchange that ran last.
        to_the_end: Whether the thread ends with the call: then it stays in the exchange, since
            trackers that wrap `run` are told of its exception after we have left.
    """

    __slots__ = ("_call", "_flight", "_last", "_to_the_end")

    def __init__(
        self,
        call: Callable[..., Any],
        flight: Flight | None,
        last: Flight | None,
        *,
        to_the_end: bool = False,
    ) -> None:
        self._call = call
        self._flight = flight
        self._last = last
        self._to_the_end = to_the_end

    def __call__(self, /, *args: Any, **options: Any) -> Any:
        current, last = CURRENT.set(self._flight), LAST.set(self._last)
        self._flight = self._last = None
        try:
            return self._call(*args, **options)
        finally:
            if not self._to_the_end:
                CURRENT.reset(current)
                LAST.reset(last)


def install() -> None:
    """Carry exchanges into threads; each call needs its `uninstall`."""
    with _patch.lock:
        _patch.count += 1
        if _patch.count > 1:
            return
        _patch.start = threading.Thread.start
        _patch.submit = ThreadPoolExecutor.submit
        threading.Thread.start = _starting(_patch.start)  # type: ignore[method-assign,assignment] # the guard is this patch
        ThreadPoolExecutor.submit = _submitting(_patch.submit)  # type: ignore[method-assign] # likewise


def uninstall() -> None:
    """Undo one `install`; the last one leaves threads as they were before the first."""
    with _patch.lock:
        if _patch.count == 0:
            return
        _patch.count -= 1
        if _patch.count == 0:
            threading.Thread.start = _patch.start  # type: ignore[method-assign] # what it was
            ThreadPoolExecutor.submit = _patch.submit  # type: ignore[method-assign] # likewise


def _starting(original: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @wraps(original)
    def start(self: threading.Thread) -> None:
        flight, last = CURRENT.get(), LAST.get()
        if (flight is None and last is None) or _is_own(self):
            original(self)
            return
        # On the instance, so that a subclass's own run() is what runs.
        carried = _Carried(self.run, flight, last, to_the_end=True)

        def run(thread: threading.Thread) -> None:
            thread.__dict__.pop("run", None)
            carried()

        # A method like any other: who else wraps `run` may look for its function.
        self.__dict__["run"] = MethodType(run, self)
        try:
            original(self)
        except BaseException:
            self.__dict__.pop("run", None)
            raise

    return start


def _is_own(thread: threading.Thread) -> bool:
    """Tell whether *thread* runs code of zeroret; clients can choose a name."""
    if not thread.name.startswith(OWN_PREFIX):
        return False
    target = getattr(thread, "_target", None)
    namespace = getattr(getattr(target, "__func__", target), "__globals__", {})
    module = str(namespace.get("__name__"))
    return module.startswith("zeroret.") and vars(sys.modules.get(module, sys)) is namespace


def _submitting(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def submit(self: ThreadPoolExecutor, fn: Any, /, *args: Any, **options: Any) -> Any:
        flight, last = CURRENT.get(), LAST.get()
        if flight is None and last is None:
            return original(self, fn, *args, **options)
        # A worker that the pool starts now outlives the exchange: it must not start inside of it.
        current, previous = CURRENT.set(None), LAST.set(None)
        try:
            return original(self, _Carried(fn, flight, last), *args, **options)
        finally:
            LAST.reset(previous)
            CURRENT.reset(current)

    return submit
