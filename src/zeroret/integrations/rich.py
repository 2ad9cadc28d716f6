"""rich: tracebacks without exception texts and locals, and its log handler.

`Traceback.extract` is where every one of rich's tracebacks takes what it shows: those of its
exception hook, of `Console.print_exception`, of its log handler and of structlog's console.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import formatters, handlers, logs, noted, rulings, tally
from zeroret.guards.records import GUARD_ERROR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zeroret.guards.patches import Patches

_MARKER: Final = "[withheld"


class _Rendering(threading.local):
    console: object = None
    """The console that renders nothing but what was judged just now."""


_rendering: Final = _Rendering()


def watch_traceback(module: Any, patches: Patches) -> None:
    """Have the tracebacks of *module*, ``rich.traceback``, show classes and places alone."""

    def make(original: Any) -> Any:
        def extract(cls: Any, exc_type: Any, exc_value: Any, traceback: Any, **options: Any) -> Any:
            try:
                if patches.active and _is_guarded():
                    tally.count("logs", "withheld")
                    shown = rulings.content_free(exc_value, traceback)
                    exc_type, exc_value, traceback = shown
                    options["show_locals"] = False
            except Exception:  # noqa: BLE001 - fails closed: whatever broke, the text is not shown
                tally.failed("logs")
                exc_type, exc_value, traceback = Exception, Exception(GUARD_ERROR), None
            return original.__get__(None, cls)(exc_type, exc_value, traceback, **options)

        return classmethod(extract)  # type: ignore[arg-type] # of tracebacks alone

    patches.replace(module.Traceback, "extract", make)


def watch_console(module: Any, patches: Patches) -> None:
    """Have consoles of *module*, ``rich.console``, show no locals, and know judged renderings."""

    def print_(original: Callable[..., Any]) -> Callable[..., Any]:
        def print(self: Any, *objects: Any, **options: Any) -> Any:  # noqa: A001 - rich's name
            if not patches.active or not objects or not all(map(_is_traceback, objects)):
                return original(self, *objects, **options)
            with _judged(self):
                return original(self, *objects, **options)

        return print

    def render_buffer(original: Callable[..., Any]) -> Callable[..., Any]:
        def _render_buffer(self: Any, buffer: Any) -> Any:
            text = original(self, buffer)
            try:
                return noted.note(text) if _rendering.console is self else text
            except Exception:  # noqa: BLE001 - then the stream judges it once more
                tally.failed("logs")
                return text

        return _render_buffer

    def caller_frame_info(original: Any) -> Any:
        def _caller_frame_info(offset: int, *given: Any) -> Any:
            file, line, variables = original.__func__(offset + 1, *given)
            guarded = patches.active and _is_guarded()
            return file, line, {} if guarded else variables

        return staticmethod(_caller_frame_info)

    patches.replace(module.Console, "print", print_)
    patches.replace(module.Console, "_render_buffer", render_buffer)
    patches.replace(module.Console, "_caller_frame_info", caller_frame_info)


def watch_logging(module: Any, patches: Patches) -> None:
    """Have the log handler of *module*, ``rich.logging``, show guarded records alone."""

    def emit(original: Callable[..., Any]) -> Callable[..., Any]:
        def emit(self: Any, record: Any) -> Any:
            if not patches.active:
                return original(self, record)
            record = _guarded(self, record)
            with _judged(self.console):
                return original(self, record)

        return emit

    def render_message(original: Callable[..., Any]) -> Callable[..., Any]:
        def render_message(self: Any, record: Any, message: Any) -> Any:
            if patches.active and _is_guarded():
                message = _held(self, record, message)
            return original(self, record, message)

        return render_message

    patches.replace(module.RichHandler, "emit", emit)
    patches.replace(module.RichHandler, "render_message", render_message)


def _guarded(handler: Any, record: Any) -> Any:
    """Return what may be shown of *record*; never raises, whatever is broken."""
    try:
        return record if record is handlers.emitting() else logs.guard(record, handler)
    except Exception:  # noqa: BLE001 - fails closed
        tally.failed("logs")
        return logging.makeLogRecord({"msg": GUARD_ERROR})


def _held(handler: Any, record: Any, message: str) -> str:
    """Return a message as `_message` does; never raises, whatever is broken."""
    try:
        return _message(handler, record, message)
    except Exception:  # noqa: BLE001 - fails closed
        tally.failed("logs")
        return GUARD_ERROR


def _message(handler: Any, record: Any, message: str) -> str:
    """Return a message as rich may go on with it: it asks formatters for parts of a rendering."""
    if not formatters.is_plain(handler.formatter):
        message = logs.held(message, record, handler.formatter)
    if isinstance(record.__dict__.get("highlighter"), str):
        del record.highlighter  # it was withheld: what stands there is no function
    if getattr(record, "markup", handler.markup):
        message = message.replace(_MARKER, "\\" + _MARKER)  # a marker is no tag
    return message


def _is_traceback(value: object) -> bool:
    kind = type(value)
    return kind.__module__ == "rich.traceback" and kind.__name__ == "Traceback"


def _is_guarded() -> bool:
    """Tell whether what is rendered now is held to any rule; if that is unknown, it is."""
    try:
        ruled = rulings.ruling(None)
    except Exception:  # noqa: BLE001 - fails closed
        tally.failed("logs")
        return True
    return ruled is not None and ruled.enforce


@contextmanager
def _judged(console: Any) -> Iterator[None]:
    """Note what *console* renders inside, unless it still holds something else."""
    before = _rendering.console
    strict = empty = False
    try:
        ruled = rulings.ruling(None)
        empty = not getattr(console, "_buffer", True)
        strict = ruled is not None and ruled.judge.strict
    except Exception:  # noqa: BLE001 - then the stream judges it once more
        tally.failed("logs")
    _rendering.console = console if strict and empty else None
    try:
        yield
    finally:
        _rendering.console = before
