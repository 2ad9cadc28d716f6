"""Names on records, and the tally of what the guards did."""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import signal
import sys
import threading
from enum import Enum

import pytest

from zeroret.content.flight import Flight
from zeroret.content.live import LIVE
from zeroret.guards import names
from zeroret.guards.classes import full_name, held_name
from zeroret.guards.exceptions import error_type
from zeroret.guards.tally import Tally
from zeroret.guards.values import Values


def fresh(text: str) -> str:
    """Return an equal text made at run time: a literal would be source, and shown."""
    return text[:1] + text[1:]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("MainThread", "MainThread"),
        ("Thread-12", "Thread-12"),
        ("Thread-12 (whatever it says)", "Thread-12"),
        ("ThreadPoolExecutor-0_1", "ThreadPoolExecutor-0_1"),
        ("asyncio_0", "asyncio_0"),
        ("AnyIO worker thread", "AnyIO worker thread"),
        ("Thread-1234567", "[withheld]"),
        ("Thread-1\n", "[withheld]"),
        ("Thread-\u0661", "[withheld]"),
        ("anything else", "[withheld]"),
        (None, None),
        (b"MainThread", "[withheld]"),
    ],
)
def test_thread_names(name: object, shown: str | None) -> None:
    """Fixed patterns with short numbers are shown, everything else is withheld."""
    assert names.thread(name) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("MainProcess", "MainProcess"),
        ("SpawnProcess-2", "SpawnProcess-2"),
        ("ForkPoolWorker-1", "ForkPoolWorker-1"),
        ("my prompt", "[withheld]"),
    ],
)
def test_process_names(name: str, shown: str) -> None:
    """What multiprocessing calls processes is shown."""
    assert names.process(name) == shown


def test_task_names() -> None:
    """What asyncio calls tasks is shown."""
    assert names.task("Task-7") == "Task-7"
    assert names.task("Task-" + "7" * 20) == names.task("Task-\u0663") == "[withheld]"
    assert names.task(None) is None


def test_level_names() -> None:
    """Standard levels have their names, others their number, if that is short."""
    assert names.level("INFO", 20) == "INFO"
    assert names.level("made up", 20) == "INFO"
    assert names.level("made up", 61) == "Level 61"
    assert names.level("made up", 10**20) == "Level"


def test_logger_names() -> None:
    """Modules, their children by a literal, and literals of the sources on the stack are shown."""
    frame = sys._getframe()
    assert names.logger("logging.handlers", frame) == "logging.handlers"
    assert names.logger("logging.handlers." + "audit", frame) == "logging.handlers.audit"
    assert names.logger("a.literal.name", frame) == "a.literal.name"
    assert names.logger("logging." + fresh("a name made up")[2:], frame) == "[withheld]"
    assert names.logger(5, frame) == "[withheld]"


def test_the_tally_counts_and_forgets_in_a_fork() -> None:
    """Counts add up over threads; a child process starts at zero, with a lock of its own."""
    tally = Tally()

    def work() -> None:
        for _ in range(500):
            tally.count("logs", "withheld")

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert tally.snapshot() == {"logs.withheld": 2000}
    tally._lock.acquire()
    tally.renew()
    tally.count("logs", "failed")
    assert tally.snapshot() == {"logs.failed": 1}


def test_a_forked_child_starts_at_zero() -> None:
    """The process-wide tally is renewed in a child by itself."""
    from zeroret.guards import tally

    tally.count("logs", "redacted")
    child = os.fork()
    if child == 0:
        os._exit(0 if tally.snapshot() == {} else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert tally.snapshot()["logs.redacted"] >= 1


def put(name: str, value: object) -> None:
    """Put *value* into this module, as code that runs can."""
    globals()[name] = value


class Colour(Enum):
    """An enum of the source."""

    RED = 1


Choice = Enum("Choice", "FIRST SECOND")


def test_members_of_the_source_are_shown() -> None:
    """A member that a class body or a literal spells, or that C code made, shows its name."""
    from http import HTTPStatus

    for member, name in (
        (Colour.RED, "RED"),
        (Choice.SECOND, "SECOND"),
        (HTTPStatus.OK, "OK"),
        (signal.SIGTERM, "SIGTERM"),
    ):
        assert Values(None, None, "").show(member) == name


def test_an_enum_that_was_made_of_content_shows_nothing() -> None:
    """Whether its members or its own name are content, and though a module holds it."""
    word = "w" + secrets.token_hex(8)
    put("Choice", Enum("Choice", {word: 1}, module=__name__))
    put(word, Enum(word, {"FIRST": 1}, module=__name__))
    try:
        for kind in (globals()["Choice"], globals()[word]):
            for member in kind:
                assert word not in str(Values(None, None, "").show(member))
            assert word not in str(Values(None, None, "").show(kind))
    finally:
        put("Choice", Choice_)
        del globals()[word]


Choice_ = Choice


def test_a_class_that_was_made_of_content_has_no_name() -> None:
    """A module holds it under its name, and its source does not spell that: a base stands in."""
    word = "w" + secrets.token_hex(8)
    put(word, type(word, (ValueError,), {"__module__": __name__}))
    nested = type(word, (), {"__module__": __name__, "__qualname__": f"Colour_.{word}"})
    put("Colour_", type("Colour_", (), {"__module__": __name__, word: nested}))
    try:
        assert held_name(globals()[word]) is None
        assert held_name(nested) is None
        assert full_name(globals()[word]) == "ValueError"
        assert error_type(globals()[word]()) == "other"
    finally:
        del globals()[word], globals()["Colour_"]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("socket", "gaierror"),
        ("decimal", "InvalidOperation"),
        ("pydantic_core", "ValidationError"),
        ("openai", "APIStatusError"),
        ("sqlalchemy.exc", "IntegrityError"),
        ("collections", "OrderedDict"),
    ],
)
def test_classes_of_libraries_keep_their_names(module: str, name: str) -> None:
    """Those of C code, of star imports and of other modules' making included."""
    assert held_name(getattr(importlib.import_module(module), name)) == name


def test_names_made_while_serving_are_not_learnt(flight: Flight, content: str) -> None:
    """A restart takes no logger, level or thread for the program's own that content named."""
    logging.getLogger(content)
    logging.addLevelName(61, content)
    names.learn()
    LIVE.leave(flight, 0)
    names.learn()
    assert content not in names.loggers | names.levels | names.threads
    assert names.logger(content, None) == "[withheld]"
    assert names.level(content, 61) == "Level 61"


def test_names_of_the_source_are_learnt_again(flight: Flight) -> None:
    """A logger or level that the program's own source spells counts after any restart."""
    logging.getLogger("tests.guards.named.in.this.source")
    logging.addLevelName(62, "NAMED_IN_THIS_SOURCE")
    names.learn()
    assert names.logger(fresh("tests.guards.named.in.this.source"), None).endswith("source")
    assert names.level(fresh("NAMED_IN_THIS_SOURCE"), 62) == "NAMED_IN_THIS_SOURCE"
