"""Files, threads and connections: no name that a client chooses opens a way out of an exchange."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import loguru
import pytest
import structlog

from zeroret.errors import RetentionViolation
from zeroret.guards import exceptions, source
from zeroret.types import Receive, Scope, Send

Inside = Callable[[Callable[[], object]], None]
loguru.logger.remove()  # its first handler shows locals, with which no runtime starts


def delayed(path: str) -> None:
    """Log to a file of a name made of content, opened with the first record."""
    handler = logging.FileHandler(path, delay=True)
    own = logging.Logger("tests.attacks.own")  # noqa: LOG001 - it lives as long as the test
    own.addHandler(handler)
    try:
        own.info("a constant of this file")
    finally:
        handler.close()


def loguru_delayed(path: str) -> None:
    """Do the same with loguru."""
    number = loguru.logger.add(path, delay=True, diagnose=False, catch=False)
    try:
        loguru.logger.info("a constant of this file")
    finally:
        loguru.logger.remove(number)


def bound(path: str) -> None:
    """Bind a socket whose name is content."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)


NAMING: dict[str, Callable[[str], object]] = {
    "delayed log file": delayed,
    "delayed log file of loguru": loguru_delayed,
    "fifo": lambda path: os.mkfifo(path),  # noqa: PLW0108 - looked up as it is called
    "node": lambda path: os.mknod(path),  # noqa: PLW0108 - likewise
    "socket": bound,
}


@pytest.mark.parametrize("way", NAMING)
def test_no_file_is_named_by_content(way: str, inside: Inside, secret: str, tmp_path: Path) -> None:
    """Whatever makes a name in the file system is refused like a file that is opened."""
    refused: list[RetentionViolation] = []

    def work() -> None:
        try:
            NAMING[way](str(tmp_path / secret[:24]))
        except RetentionViolation as violation:
            refused.append(violation)

    inside(work)
    assert list(tmp_path.iterdir()) == []
    assert len(refused) == 1


def test_log_files_from_before_are_opened_with_their_first_record(
    inside: Inside, tmp_path: Path
) -> None:
    """A handler that was made at the start may open its file inside an exchange."""
    path = tmp_path / "app.log"
    handler = logging.FileHandler(path, delay=True)
    own = logging.Logger("tests.attacks.own")  # noqa: LOG001 - it lives as long as the test
    own.addHandler(handler)
    inside(lambda: own.info("a constant of this file"))
    handler.close()
    assert path.read_text() == "a constant of this file\n"


def test_a_broken_description_of_errors_lets_none_out(
    server: Any, output: Any, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If our own code fails on an exception, its stand-in leaves all the same, chained to none."""

    def broken(_: object) -> str:
        raise MemoryError

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError(secret)

    monkeypatch.setattr(exceptions, "error_type", broken)
    reply = asyncio.run(server.call(app, "/", secret.encode()))
    assert isinstance(reply.raised, ValueError)
    assert reply.raised.__context__ is None
    assert not any(word in repr(reply.raised) for word in secret.split())
    assert [record.error_type for record in server.records()] == ["other"]
    assert not output.shows(secret)


@pytest.mark.parametrize("library", ["structlog", "loguru"])
def test_a_broken_ruling_hurts_no_code_that_logs(
    library: str,
    inside: Inside,
    secret: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If nothing can be said of this moment, a log library's call passes and shows nothing."""

    def broken(*_: object) -> str:
        raise RuntimeError(secret)

    def work() -> None:
        if library == "structlog":
            structlog.get_logger().info(secret, key=secret)
        else:
            loguru.logger.info("asked {}", secret)

    sink = loguru.logger.add(sys.stdout, format="{message}", diagnose=False, catch=False)
    monkeypatch.setattr(source, "place", broken)
    inside(work)
    loguru.logger.remove(sink)
    printed = capsys.readouterr()
    assert "guard error" in printed.out
    assert not any(word in printed.out + printed.err for word in secret.split())


def test_a_module_that_answers_for_itself_breaks_no_line(
    inside: Inside, output: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sys.modules` may hold what only says that it is a module, as `cffi`'s libraries do."""

    class Lib:
        __class__ = types.ModuleType  # type: ignore[assignment] # that is the lie

    monkeypatch.setitem(sys.modules, "tests_attacks_lib", Lib())
    assert not source.is_programs_literal("no source of this program says this" + chr(33))
    inside(lambda: logging.getLogger("tests.attacks.odd").info("a constant of this file"))
    assert "a constant of this file" in output.text


def test_no_name_of_a_thread_turns_the_guards_off(
    inside: Inside, secret: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thread that bears the name of zeroret's own is the exchange's like any other."""
    caught: list[Any] = []

    def run() -> None:
        print(secret)  # noqa: T201 - the attack
        try:
            (tmp_path / "file").write_text(secret)
        except RetentionViolation as violation:
            caught.append(violation)

    def work() -> None:
        thread = threading.Thread(target=run, name="zeroret-delivery")
        thread.start()
        thread.join()

    inside(work)
    assert len(caught) == 1
    assert not any(word in capsys.readouterr().out for word in secret.split())
