"""What the guards' tests share: an exchange in flight, and a logger whose every output is kept."""

from __future__ import annotations

import json
import logging
import secrets
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.content.live import LIVE
from zeroret.guards import logs


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
