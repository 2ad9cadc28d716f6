"""What the guards' tests share: an exchange in flight, and a logger whose every output is kept."""

from __future__ import annotations

import json
import logging
import secrets
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from zeroret.content.boundary import Boundary
from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.content.live import LIVE
from zeroret.guards import logs, stdio


@pytest.hookimpl(wrapper=True)
def pytest_runtest_logreport() -> Generator[None, object, object]:
    """Let pytest say how a test went outside of the test's exchange."""
    token = CURRENT.set(None)
    try:
        return (yield)
    finally:
        CURRENT.reset(token)


class EverythingFormatter(logging.Formatter):
    """Renders a record as operators do, and then once more with every attribute it has."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(threadName)s %(processName)s "
            "%(pathname)s %(filename)s %(module)s %(funcName)s:%(lineno)d %(message)s"
        )

    def format(self, record: logging.LogRecord) -> str:
        """Return both renderings, exceptions with all they hold."""
        everything: dict[str, Any] = dict(record.__dict__)
        text = [super().format(record), json.dumps(everything, default=repr, ensure_ascii=False)]
        text += [f"{key}={value!s} {value!r}" for key, value in everything.items()]
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text += traceback.format_exception(error)
            text += [str(error), repr(error), repr(error.args), repr(vars(error))]
        return "\n".join(text)


class Output:
    """A logger of its own, and everything its handler wrote."""

    def __init__(self, name: str) -> None:
        self.lines: list[str] = []
        self.records: list[logging.LogRecord] = []
        self.log = logging.getLogger(name)
        self.log.setLevel(1)
        self.log.propagate = False
        self.handler = _Keeping(self)
        self.handler.setFormatter(EverythingFormatter())
        self.log.addHandler(self.handler)

    @property
    def text(self) -> str:
        """Return everything written so far."""
        return "\n".join(self.lines)

    @property
    def message(self) -> str:
        """Return the message of the last record."""
        return self.records[-1].getMessage()


class _Keeping(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.records.append(record)
        self._output.lines.append(self.format(record))


@pytest.fixture
def output() -> Iterator[Output]:
    """A logger with a handler that keeps what it was given, made before the guards are."""
    out = Output("tests.guards.output")
    yield out
    out.log.removeHandler(out.handler)


@pytest.fixture
def guarded(output: Output) -> Iterator[None]:
    """The log guard, installed for one test."""
    logs.install()
    yield
    logs.uninstall()


@pytest.fixture
def content() -> str:
    """A prompt that stands in no source: words nobody wrote before."""
    return " ".join(secrets.token_hex(5) for _ in range(8))


@pytest.fixture
def flight(content: str, guarded: None) -> Iterator[Flight]:
    """A strict exchange that runs now and carries the content."""
    yield from _running(Flight("strict", names=frozenset({"gpt-test-1"})), content)


@pytest.fixture
def matching_flight(content: str, guarded: None) -> Iterator[Flight]:
    """An exchange in match mode that runs now and carries the content."""
    yield from _running(Flight("match"), content)


def _running(flight: Flight, content: str) -> Iterator[Flight]:
    flight.hold(content.encode())
    LIVE.enter(flight)
    token = CURRENT.set(flight)
    yield flight
    CURRENT.reset(token)
    LAST.set(None)
    LIVE.leave(flight, 0)


@contextmanager
def _within(content: bytes = b"", **boundary: Any) -> Iterator[Flight]:
    for name in ("writable", "children"):
        boundary[name] = tuple(str(Path(each).resolve()) for each in boundary.get(name, ()))
    flight = Flight(boundary=Boundary(**boundary))
    flight.hold(content)
    LIVE.enter(flight)
    current, last = CURRENT.set(flight), LAST.set(flight)
    try:
        yield flight
    finally:
        CURRENT.reset(current)
        LAST.reset(last)
        LIVE.leave(flight, 0)


@contextmanager
def _without() -> Iterator[None]:
    current = CURRENT.set(None)
    try:
        yield
    finally:
        CURRENT.reset(current)


@pytest.fixture
def within() -> Callable[..., AbstractContextManager[Flight]]:
    """Give ``within(content, **boundary)``: the block runs in an exchange with this boundary."""
    return _within


@pytest.fixture
def without() -> Callable[[], AbstractContextManager[None]]:
    """Give ``without()``: the block runs as code that no exchange started."""
    return _without


@pytest.fixture
def printed(capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Give what was printed since the last call, to either stream or descriptor."""

    def read() -> str:
        out, err = capfd.readouterr()
        return out + err

    return read


@pytest.fixture
def streams_guarded() -> Iterator[None]:
    """The guard of the standard streams, installed for one test."""
    stdio.install()
    yield
    stdio.uninstall()


@pytest.fixture
def running(streams_guarded: None, flight: Flight) -> Flight:
    """A strict exchange that runs now, with streams and logs guarded."""
    return flight


@pytest.fixture
def matching(streams_guarded: None, matching_flight: Flight) -> Flight:
    """An exchange in match mode that runs now, with streams and logs guarded."""
    return matching_flight


@pytest.fixture
def background(running: Flight) -> Iterator[Flight]:
    """An exchange that is live while this code belongs to none."""
    token = CURRENT.set(None)
    yield running
    CURRENT.reset(token)


@contextmanager
def _exchange(content: str) -> Iterator[Flight]:
    stdio.install()
    logs.install()
    flight = Flight("strict")
    flight.hold(content)
    LIVE.enter(flight)
    token = CURRENT.set(flight)
    try:
        yield flight
    finally:
        CURRENT.reset(token)
        LIVE.leave(flight, 0)
        logs.uninstall()
        stdio.uninstall()


@pytest.fixture
def exchange() -> Callable[[str], AbstractContextManager[Flight]]:
    """Give ``exchange(content)``: a strict one, with streams and logs guarded while it runs."""
    return _exchange
