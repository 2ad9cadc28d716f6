# ruff: noqa: T201, T203 - printing is one of the ways
"""A guard that is broken from inside hurts no code that prints, warns or logs, and shows nothing.

Whatever function of the guards an installed replacement calls, it may raise, for want of memory if
for nothing else: each of them is made to, and every way of writing is tried.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import io
import logging
import logging.handlers
import os
import pprint
import queue
import sys
import threading
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import loguru
import pytest
import rich.console
import rich.logging
import rich.traceback
import structlog

from zeroret.content.flight import Flight
from zeroret.errors import RetentionViolation
from zeroret.guards import hooks, libraries, loops, tally, warned

Printed = Callable[[], str]
Act = Callable[[str, io.StringIO], object]


def _error(content: str) -> ValueError:
    try:
        raise ValueError(content)
    except ValueError as error:
        return error


def _printing_the_last(content: str, _out: io.StringIO) -> None:
    try:
        raise ValueError(content)
    except ValueError:
        traceback.print_exc()
        print(traceback.format_exc())


def _to_a_duplicate(content: str, _out: io.StringIO) -> None:
    fd = os.dup(1)
    os.write(fd, content.encode())
    os.close(fd)


def _opened(content: str, _out: io.StringIO) -> None:
    with os.fdopen(os.dup(1), "w") as stream:
        stream.write(content)


class _Own(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"<{super().format(record)}>"


def _logging(
    content: str, handler: logging.Handler, formatter: logging.Formatter | None = None
) -> None:
    log = logging.Logger("tests.broken")  # noqa: LOG001 - it lives as long as the act
    handler.setFormatter(formatter)
    log.addHandler(handler)
    log.warning("took %s", content)
    log.error(content, exc_info=_error(content), stack_info=True, extra={"more": content})


def _queued(content: str, out: io.StringIO) -> None:
    waiting: queue.Queue[Any] = queue.Queue()
    _logging(content, logging.handlers.QueueHandler(waiting))
    while not waiting.empty():
        out.write(repr(vars(waiting.get())))


def _failing(content: str, _out: io.StringIO) -> None:
    try:
        raise ValueError(content)
    except ValueError:
        logging.StreamHandler().handleError(logging.makeLogRecord({"msg": content}))


def _pickled(content: str, out: io.StringIO) -> None:
    record = logging.makeLogRecord({"msg": content})
    out.write(repr(logging.handlers.SocketHandler("127.0.0.1", 9).makePickle(record)))


def _terminating(content: str, out: io.StringIO) -> None:
    handler = logging.StreamHandler(out)
    handler.terminator = content
    handler.handle(logging.makeLogRecord({"msg": "m"}))


def _structlog(content: str, out: io.StringIO) -> None:
    json: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    log = structlog.wrap_logger(structlog.PrintLogger(out), processors=json).bind(a=content)
    log.error(f"x {content}", k=content, exc_info=_error(content))  # noqa: G004 - it is one of the ways
    structlog.PrintLogger(out).msg(content)
    console = [structlog.dev.ConsoleRenderer(colors=False)]
    structlog.wrap_logger(structlog.WriteLogger(), processors=console).info(content)


def _structlog_by_logging(content: str, out: io.StringIO) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer())
    _logging(content, logging.StreamHandler(out), formatter)


def _loguru(content: str, out: io.StringIO) -> None:
    number = loguru.logger.add(out, diagnose=False, catch=False, backtrace=True)
    second = loguru.logger.add(
        sys.stderr, diagnose=False, format=lambda _: f"{content} {{message}}\n"
    )
    try:
        loguru.logger.error("x {}", content)
        loguru.logger.bind(k=content).opt(exception=_error(content)).error(f"x {content}")
    finally:
        loguru.logger.remove(number)
        loguru.logger.remove(second)


def _rich(content: str, out: io.StringIO) -> None:
    console, error = rich.console.Console(file=out), _error(content)
    trace = rich.traceback.Traceback.from_exception(
        type(error), error, error.__traceback__, show_locals=True
    )
    console.print(trace)
    console.log("a constant", log_locals=True)


def _rich_log(content: str, out: io.StringIO) -> None:
    _logging(content, rich.logging.RichHandler(console=rich.console.Console(file=out)))


def _unraisable(content: str, _out: io.StringIO) -> None:
    class Dying:
        def __del__(self) -> None:
            raise ValueError(content)

    Dying()


def _thread(content: str, _out: io.StringIO) -> None:
    def run() -> None:
        raise ValueError(content)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def _hook(content: str, _out: io.StringIO) -> None:
    error = _error(content)
    sys.excepthook(type(error), error, error.__traceback__)


def _loop(content: str, _out: io.StringIO) -> None:
    loop = asyncio.new_event_loop()
    loop.call_exception_handler({"message": content, "exception": _error(content), "x": content})
    loop.close()


PRINTING: dict[str, Act] = {
    "print": lambda content, _: print(f"took {content} ms", 3, content, [content]),
    "print to stderr": lambda content, _: print(content, 3, file=sys.stderr, sep=content, end="!"),
    "write": lambda content, _: sys.stdout.write(content),
    "writelines": lambda content, _: sys.stdout.writelines([content]),
    "buffer": lambda content, _: sys.stdout.buffer.write(content.encode()),
    "os.write": lambda content, _: os.write(1, content.encode()),
    "os.writev": lambda content, _: os.writev(2, [content.encode()]),
    "os.pwrite": lambda content, _: os.pwrite(1, content.encode(), 0),
    "duplicate": _to_a_duplicate,
    "fdopen": _opened,
    "pprint": lambda content, _: pprint.pprint([content]),
    "print_exc": _printing_the_last,
    "print_exception": lambda content, _: traceback.print_exception(_error(content)),
    "print_tb": lambda content, _: traceback.print_tb(_error(content).__traceback__),
    "print_stack": lambda _, __: traceback.print_stack(),
    "rendered": lambda content, _: traceback.TracebackException.from_exception(
        _error(content)
    ).print(),
}
LOGGING: dict[str, Act] = {
    "stream": lambda content, out: _logging(content, logging.StreamHandler(out)),
    "own formatter": lambda content, out: _logging(content, logging.StreamHandler(out), _Own()),
    "queue": _queued,
    "pickle": _pickled,
    "handleError": _failing,
    "terminator": _terminating,
}
BREAKING: dict[str, dict[str, Act]] = {
    "zeroret.guards.descriptors": PRINTING,
    "zeroret.guards.printing": PRINTING,
    "zeroret.guards.streams": PRINTING,
    "zeroret.guards.writing": PRINTING,
    "zeroret.guards.fields": LOGGING,
    "zeroret.guards.handlers": LOGGING,
    "zeroret.guards.logs": LOGGING,
    "zeroret.guards.rulings": {"structlog": _structlog, "loguru": _loguru, "rich": _rich},
    "zeroret.guards.warned": {"warn": lambda content, _: warnings.warn(content, stacklevel=1)},
    "zeroret.guards.hooks": {"hook": _hook, "unraisable": _unraisable, "thread": _thread},
    "zeroret.guards.loops": {"loop": _loop},
    "zeroret.integrations.structlog": {"": _structlog, "logging": _structlog_by_logging},
    "zeroret.integrations.loguru": {"": _loguru},
    "zeroret.integrations.rich": {"": _rich, "logging": _rich_log},
}
"""Modules of installed replacements, and what is written through them."""

NETS = frozenset(
    {
        # what catches: its whole body is one attempt, and what is done if that fails
        *("_write", "is_standard", "failed", "_guarded", "_held", "_stand_in", "_learn", "_judged"),
        *("_call", "_ruling", "_shown", "_noted", "_description", "_print", "_is_withheld"),
        *("_show", "_is_standard", "_only_counts", "_admit", "_step", "_is_heard", "_admitted"),
        *("_is_guarded", "_is_traceback", "_unjudged", "guarded_by_caller"),
        # what counts, and what the harness itself needs
        *("count", "say", "install", "uninstall"),
    }
)


UNCOUNTED = frozenset({"print_stack", "print_tb"})
"""Ways that have no content to withhold."""


def _called(module: types.ModuleType) -> Iterator[tuple[types.ModuleType, str]]:
    """Give each function of the guards that *module* calls, and where it looks for it."""
    text = inspect.getsource(module)
    for name, value in list(vars(module).items()):
        if isinstance(value, types.FunctionType) and value.__module__.startswith("zeroret."):
            yield module, name
        elif isinstance(value, types.ModuleType) and value.__name__.startswith("zeroret."):
            for each, function in list(vars(value).items()):
                if isinstance(function, types.FunctionType) and f"{name}.{each}(" in text:
                    yield value, each


@pytest.fixture
def everything(running: Flight) -> Iterator[None]:
    """Install every guard of texts."""
    guards = (libraries, warned, hooks, loops)
    for guard in guards:
        guard.install()
    yield
    for guard in reversed(guards):
        guard.uninstall()


@pytest.mark.usefixtures("everything")
@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("error", [MemoryError, RuntimeError])
@pytest.mark.parametrize("broken", BREAKING)
def test_a_broken_guard_hurts_nobody_and_shows_nothing(
    broken: str, error: type[Exception], content: str, printed: Printed
) -> None:
    """Whichever of its functions raises, the program goes on, and no word of content is shown."""
    loguru.logger.remove()
    wrong: list[str] = []
    for owner, name in _called(importlib.import_module(broken)):
        if name in NETS:
            continue

        def breaks(*_: Any, **__: Any) -> Any:
            raise error(content)

        for way, act in BREAKING[broken].items():
            out, at = io.StringIO(), f"{owner.__name__}.{name}: {way}"
            before = sum(tally.snapshot().values())
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(owner, name, breaks)
                try:
                    act(content, out)
                except RetentionViolation:
                    tally.failed("stdio")
                except Exception as raised:  # noqa: BLE001 - that is what must not be
                    wrong.append(f"{at} raised {type(raised).__name__}")
            shown = printed() + out.getvalue()
            if any(word in shown for word in content.split()):
                wrong.append(f"{at} shows content")
            if sum(tally.snapshot().values()) == before and way not in UNCOUNTED:
                wrong.append(f"{at} is not counted")
    assert not wrong, "\n".join(wrong)
