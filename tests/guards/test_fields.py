"""Fields of log handlers: what a handler puts around a record is no way out."""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from zeroret.content.flight import Flight
from zeroret.guards import logs, rulings, tally

MESSAGE = "a constant"


@pytest.fixture
def syslog() -> Iterator[tuple[logging.handlers.SysLogHandler, Callable[[], str]]]:
    """Give a handler of a system log of one's own, and what that log got last."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as log:
        log.bind(("127.0.0.1", 0))
        log.settimeout(5)
        handler = logging.handlers.SysLogHandler(log.getsockname())
        yield handler, lambda: log.recv(65536).decode()
        handler.close()


def _record() -> logging.LogRecord:
    return logging.makeLogRecord({"msg": MESSAGE, "name": "root", "levelname": "INFO"})


def test_the_ident_of_the_system_log(
    syslog: tuple[Any, Callable[[], str]], flight: Flight, content: str
) -> None:
    """Content is no ident; a literal of the source is, and so is what was set before."""
    handler, sent = syslog
    handler.ident = f"{content}: "
    handler.facility = int.from_bytes(content.encode())
    handler.handle(_record())
    assert sent() == "<14>a constant\x00"
    handler.ident = "app: "
    handler.handle(_record())
    assert sent() == "<14>app: a constant\x00"
    handler.facility = handler.LOG_LOCAL0
    handler.handle(_record())
    assert sent() == "<134>app: a constant\x00"
    assert handler.ident == "app: "
    del handler.ident
    assert handler.ident == ""
    with pytest.raises(AttributeError):
        del handler.ident


def test_what_was_set_before_stays(
    syslog: tuple[Any, Callable[[], str]], content: str, exchange: Callable[[str], Any]
) -> None:
    """An ident of the configuration is put together before any content is in flight."""
    handler, sent = syslog
    handler.ident = f"app[{os.getpid()}]: "
    with exchange(content):
        handler.handle(_record())
        assert sent() == f"<14>app[{os.getpid()}]: a constant\x00"
    assert handler.ident == f"app[{os.getpid()}]: "


def test_in_match_mode_what_matches_is_left_out(
    syslog: tuple[Any, Callable[[], str]], matching_flight: Flight, content: str
) -> None:
    """An ident that quotes content is none; another text stays."""
    handler, sent = syslog
    handler.ident = f"app-{os.getpid()}: "
    handler.handle(_record())
    assert sent().startswith(f"<14>app-{os.getpid()}: ")
    handler.ident = f"app {content[:40]}"
    handler.handle(_record())
    assert sent() == "<14>a constant\x00"


def test_the_end_of_a_line_and_the_subject_of_a_mail(flight: Flight, content: str) -> None:
    """The other texts that handlers of the standard library add."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    assert (handler.terminator, logging.StreamHandler.terminator) == ("\n", "\n")
    handler.terminator = f" {content}\n"
    handler.handle(_record())
    assert out.getvalue() == "a constant\n"
    handler.terminator = ""
    handler.handle(_record())
    assert out.getvalue() == "a constant\na constant"
    mail = logging.handlers.SMTPHandler("127.0.0.1", "a@b.example", ["c@d.example"], content)
    assert mail.getSubject(_record()) == ""


def test_report_mode_counts(flight: Flight, content: str) -> None:
    """What would have been withheld is counted, and set."""
    flight.enforce = False
    before = tally.snapshot().get("logs.withheld", 0)
    handler = logging.StreamHandler(io.StringIO())
    handler.terminator = content
    assert handler.terminator == content
    assert tally.snapshot()["logs.withheld"] == before + 1


def test_a_guard_that_fails_sets_nothing(
    flight: Flight, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program's assignment passes, and the handler adds nothing of it."""

    def broken(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(rulings, "ruling", broken)
    handler = logging.StreamHandler(io.StringIO())
    handler.terminator = content
    assert handler.terminator == "\n"


def test_the_classes_are_left_as_they_were() -> None:
    """After the last uninstall the fields are the classes' own again."""
    before = vars(logging.StreamHandler)["terminator"]
    logs.install()
    logs.uninstall()
    assert vars(logging.StreamHandler)["terminator"] is before
    assert "facility" not in vars(logging.handlers.SysLogHandler)
