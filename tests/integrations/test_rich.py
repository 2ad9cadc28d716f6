"""rich: its tracebacks and its log handler stay useful, and show neither texts nor locals."""

from __future__ import annotations

import io
import logging
import secrets
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from rich import traceback
from rich.console import Console
from rich.logging import RichHandler

from zeroret.content.flight import CURRENT, Flight
from zeroret.content.live import LIVE
from zeroret.guards import libraries, logs, rulings


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    """The guards."""
    logs.install()
    libraries.install()
    yield
    libraries.uninstall()
    logs.uninstall()


@pytest.fixture
def stream() -> io.StringIO:
    """What the console writes."""
    return io.StringIO()


@pytest.fixture
def console(stream: io.StringIO) -> Console:
    """A console of some width."""
    return Console(file=stream, width=200)


@pytest.fixture
def secret() -> str:
    """Words that nobody wrote before."""
    return " ".join(secrets.token_hex(5) for _ in range(6))


@pytest.fixture(params=["strict", "match"])
def flight(request: pytest.FixtureRequest, secret: str) -> Iterator[Flight]:
    """An exchange that runs now, in either mode."""
    running = Flight(request.param)
    running.hold(secret.encode())
    LIVE.enter(running)
    token = CURRENT.set(running)
    yield running
    CURRENT.reset(token)
    LIVE.leave(running, 0)


def shows(text: str, secret: str) -> bool:
    """Tell whether a word of *secret* stands in *text*."""
    return any(word in text for word in secret.split())


def fail(text: str) -> None:
    """Raise with text in the message, notes, class, locals, a cause and a group."""
    held = {"held": text}
    try:
        raise KeyError(text)
    except KeyError as cause:
        error = type(text[:20], (ValueError,), held)(text)
        error.add_note(text)
        raise ExceptionGroup(text, [error, SyntaxError(text, (text, 1, 1, text))]) from cause


def test_a_printed_exception(
    console: Console, stream: io.StringIO, flight: Flight, secret: str
) -> None:
    """`print_exception` with locals shows classes, places and source lines."""
    try:
        fail(secret)
    except ExceptionGroup:
        console.print_exception(show_locals=True)
        console.print(traceback.Traceback(show_locals=True))
    written = stream.getvalue()
    assert written.count("in fail") >= 2
    assert "ExceptionGroup" in written
    assert "ValueError" in written
    assert "raise ExceptionGroup(text" in written
    assert not shows(written, secret)


def test_the_exception_hook(
    console: Console, stream: io.StringIO, flight: Flight, secret: str
) -> None:
    """What `install` puts in place of `sys.excepthook` shows no locals either."""
    before = traceback.install(console=console, show_locals=True)
    try:
        fail(secret)
    except ExceptionGroup as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.excepthook = before
    assert "in fail" in stream.getvalue()
    assert not shows(stream.getvalue(), secret)


def test_the_log_handler(
    console: Console, stream: io.StringIO, flight: Flight, secret: str
) -> None:
    """`RichHandler`, by `handle` and by `emit`, with tracebacks, locals and markup."""
    handler = RichHandler(
        console=console, rich_tracebacks=True, tracebacks_show_locals=True, markup=True
    )
    log = logging.Logger("tests.rich")  # noqa: LOG001 - it lives as long as the test
    log.addHandler(handler)
    log.info("took %d ms of %s", 12, secret)
    log.info("hello", extra={"highlighter": secret, "markup": True, "q": secret})
    handler.emit(logging.makeLogRecord({"msg": f"asked {secret}"}))
    try:
        fail(secret)
    except ExceptionGroup:
        log.exception("failed with %s", secret)
    written = stream.getvalue()
    assert "took 12 ms of [withheld 65 chars" in written
    assert "hello" in written
    assert "failed with" in written
    assert "in fail" in written
    assert not shows(written, secret)


def test_a_formatter_that_the_handler_asks_in_part(
    console: Console, stream: io.StringIO, flight: Flight, secret: str
) -> None:
    """With tracebacks, the handler asks a formatter for the message alone."""

    class Adding(logging.Formatter):
        def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
            return f"{super().formatMessage(record)} {secret}"

    handler = RichHandler(console=console, rich_tracebacks=True)
    handler.setFormatter(Adding())
    log = logging.Logger("tests.rich")  # noqa: LOG001 - it lives as long as the test
    log.addHandler(handler)
    try:
        fail(secret)
    except ExceptionGroup:
        log.exception("failed")
    assert "failed [withheld" in stream.getvalue()
    assert not shows(stream.getvalue(), secret)


def test_a_console_that_logs_locals(
    console: Console, stream: io.StringIO, flight: Flight, secret: str
) -> None:
    """`Console.log` finds the place that logs, and none of its variables."""
    held = secret
    console.log("hello", log_locals=True)
    assert held
    assert "test_rich.py" in stream.getvalue()
    assert not shows(stream.getvalue(), secret)


def test_an_error_inside_costs_the_text(
    console: Console,
    stream: io.StringIO,
    flight: Flight,
    secret: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever breaks while a stand-in is made, no text is shown."""

    def breaks(*_: object) -> Any:
        raise MemoryError(secret)

    monkeypatch.setattr(rulings, "content_free", breaks)
    try:
        fail(secret)
    except ExceptionGroup:
        console.print_exception(show_locals=True)
    assert "withheld" in stream.getvalue()
    assert not shows(stream.getvalue(), secret)


def test_outside_an_exchange_nothing_is_touched(
    console: Console, stream: io.StringIO, secret: str
) -> None:
    """With nothing live, tracebacks are rich's own; uninstalled, so are its classes."""
    try:
        fail(secret)
    except ExceptionGroup:
        console.print_exception(show_locals=True)
    assert shows(stream.getvalue(), secret)
    before = [dict(vars(owner)) for owner in (Console, traceback.Traceback, RichHandler)]
    libraries.uninstall()
    after = [dict(vars(owner)) for owner in (Console, traceback.Traceback, RichHandler)]
    libraries.install()
    assert after != before
    assert "_judged" not in str(after)
