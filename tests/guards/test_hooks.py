"""The guard of exception hooks: class and places are told, to whatever hook, and no text."""

from __future__ import annotations

import _thread
import contextvars
import gc
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zeroret.content.flight import CURRENT, Flight
from zeroret.content.live import LIVE
from zeroret.guards import exceptions, hooks, owner, streams, tally, threads

Printed = Callable[[], str]


@pytest.fixture
def standard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard hooks, instead of pytest's."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)


@pytest.fixture
def hooks_guarded(standard: None) -> Iterator[None]:
    """The guard of hooks, installed for one test."""
    threads.install()
    hooks.install()
    yield
    hooks.uninstall()
    threads.uninstall()


@pytest.fixture
def guarded_exchange(hooks_guarded: None, running: Flight) -> Flight:
    """A strict exchange that runs now, with hooks, streams and logs guarded."""
    return running


class Lost(Exception):  # noqa: N818 - a name for the tests
    """What nobody catches."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.body = {"prompt": text}


def failing(text: str) -> None:
    """Raise a chain of errors that hold the text."""
    local = [text]
    try:
        raise KeyError(local)
    except KeyError as cause:
        error = Lost(text)
        error.add_note(text)
        raise error from cause


def in_thread(text: str) -> None:
    """Fail in a thread that bears the text as its name."""
    thread = threading.Thread(target=failing, args=(text,), name=text)
    thread.start()
    thread.join()


def in_raw_thread(text: str) -> None:
    """Fail in a thread that no `threading.Thread` stands for."""
    _thread.start_new_thread(failing, (text,))
    time.sleep(0.2)


class Failing:
    """Fails when nobody needs it any more."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __del__(self) -> None:
        failing(self.text)


def in_finaliser(text: str) -> None:
    """Fail in a finaliser, and in one of a cycle that belongs to no context."""
    Failing(text)
    cycle = [Failing(text)]
    cycle.append(cycle)  # type: ignore[arg-type] # a cycle
    del cycle
    contextvars.Context().run(gc.collect)


def at_top_level(text: str) -> None:
    """Fail where the interpreter asks its hook."""
    try:
        failing(text)
    except Lost:
        vars(sys)["excepthook"](*sys.exc_info())


PLACES: dict[str, Callable[[str], None]] = {
    "thread": in_thread,
    "raw thread": in_raw_thread,
    "finaliser": in_finaliser,
    "top level": at_top_level,
}


class Seen:
    """A hook of the program's own, which shows all that it was given."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self.text = ""

    def __call__(self, *args: Any) -> None:
        """Keep every text of the error and of what came with it."""
        given = args[0] if len(args) == 1 else args
        self.all.append(given)
        fields = list(given) if isinstance(given, tuple) else list(vars(given).values())
        error = next(each for each in fields if isinstance(each, BaseException))
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        kept = [error.args, vars(error), error.__cause__, error.__context__, str(error)]
        self.text += "".join(shown.format()) + repr(kept) + repr(fields)


@pytest.mark.parametrize("place", PLACES)
def test_the_standard_hooks_print_class_and_places(
    place: str, guarded_exchange: Flight, content: str, printed: Printed
) -> None:
    """Where it was raised and what led to it, and no word of what it said."""
    before = tally.snapshot().get("exceptions.withheld", 0)
    PLACES[place](content)
    text = printed()
    assert "Lost: [withheld] (1 notes withheld)" in text
    assert "KeyError: [withheld]" in text
    assert "in failing\n    raise error from cause\n" in text
    assert not any(word in text for word in content.split())
    assert tally.snapshot()["exceptions.withheld"] > before


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.usefixtures("standard", "running")
def test_a_programs_own_hook_gets_a_stand_in(
    place: str, when: str, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was set before the guard or after it; it is the one the program reads."""
    seen = Seen()

    def set_hooks() -> None:
        monkeypatch.setattr(sys, "excepthook", seen)
        monkeypatch.setattr(sys, "unraisablehook", seen)
        monkeypatch.setattr(threading, "excepthook", seen)

    if when == "before":
        set_hooks()
    threads.install()
    hooks.install()
    try:
        if when == "after":
            set_hooks()
            assert sys.excepthook is seen
            assert sys.unraisablehook is seen
        PLACES[place](content)
    finally:
        monkeypatch.undo()
        hooks.uninstall()
        threads.uninstall()
    assert seen.all
    assert "Lost" in seen.text
    assert "in failing" in seen.text
    assert not any(word in seen.text for word in content.split())


@pytest.mark.parametrize("place", PLACES)
def test_of_no_exchange_texts_are_content_while_one_is_live(
    place: str, guarded_exchange: Flight, content: str, printed: Printed
) -> None:
    """A thread or finaliser that belongs to nobody may raise anybody's content."""
    token = CURRENT.set(None)
    try:
        PLACES[place](f"of nobody: {content[:5]}")
    finally:
        CURRENT.reset(token)
    text = printed()
    assert "Lost: [withheld]" in text
    assert "of nobody" not in text


@pytest.mark.usefixtures("hooks_guarded")
@pytest.mark.parametrize("place", PLACES)
def test_with_nothing_in_flight_everything_passes(
    place: str, content: str, printed: Printed
) -> None:
    """Outside of all exchanges errors are the program's own, and shown as ever."""
    PLACES[place](content)
    text = printed()
    assert f"Lost: {content}" in text


def test_a_thread_that_outlives_its_exchange_stays_the_exchanges(
    guarded_exchange: Flight, content: str, printed: Printed
) -> None:
    """When its content was dropped long ago, and its context is reset already."""
    go = threading.Event()

    def late() -> None:
        go.wait(5)
        failing(content)

    thread = threading.Thread(target=late)
    thread.start()
    LIVE.leave(guarded_exchange, 0)
    token = CURRENT.set(None)
    try:
        assert not LIVE.busy
        go.set()
        thread.join()
    finally:
        CURRENT.reset(token)
    text = printed()
    assert "Exception in thread Thread-" in text
    assert "Lost: [withheld]" in text
    assert content not in text


def test_exits_of_threads_stay_silent(
    guarded_exchange: Flight, content: str, printed: Printed
) -> None:
    """`sys.exit` in a thread prints nothing."""
    thread = threading.Thread(target=sys.exit, args=(content,))
    thread.start()
    thread.join()
    assert printed() == ""


def test_report_mode_counts_and_tells(
    guarded_exchange: Flight, content: str, printed: Printed
) -> None:
    """Nothing is changed, and it is counted."""
    guarded_exchange.enforce = False
    before = tally.snapshot().get("exceptions.withheld", 0)
    for place in PLACES.values():
        place(content)
    assert printed().count(f"Lost: {content}") == 5
    assert tally.snapshot()["exceptions.withheld"] == before + 5


def test_the_last_exception_is_forgotten(
    guarded_exchange: Flight, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the interpreter keeps for debuggers is the stand-in."""
    try:
        failing(content)
    except Lost as error:
        kept = {"last_value": error, "last_type": Lost, "last_traceback": error.__traceback__}
        for name, value in {**kept, "last_exc": error}.items():
            monkeypatch.setattr(sys, name, value, raising=False)
        vars(sys)["excepthook"](*sys.exc_info())
    assert isinstance(sys.last_value, Lost)
    for kept_ in (sys.last_value, vars(sys)["last_exc"]):
        assert content not in repr(kept_) + repr(vars(kept_)) + repr(kept_.__cause__)
    assert sys.last_traceback is sys.last_value.__traceback__
    assert sys.last_type is type(sys.last_value)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "broken",
    [
        (exceptions, "substitute"),
        (exceptions, "describe"),
        (streams, "say"),
        (owner, "here"),
    ],
    ids=lambda each: each[1],
)
def test_a_guard_that_fails_tells_nothing(
    place: str,
    broken: tuple[Any, str],
    guarded_exchange: Flight,
    content: str,
    printed: Printed,
) -> None:
    """Whatever breaks inside, no content is written, and nothing else breaks."""

    def breaks(*args: Any, **options: Any) -> Any:
        raise MemoryError(content)

    token = CURRENT.set(None)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(*broken, breaks)
            PLACES[place](content)
    finally:
        CURRENT.reset(token)
    assert not any(word in printed() for word in content.split())


def test_without_standard_error_nothing_is_said(
    guarded_exchange: Flight, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has none ends its threads in silence."""
    monkeypatch.setattr(sys, "stderr", None)
    for place in PLACES.values():
        place(content)


def test_uninstall_leaves_the_hooks_as_they_were(standard: None) -> None:
    """After any number of installs."""
    before = sys.excepthook, sys.unraisablehook, threading.excepthook, threading.ExceptHookArgs
    for _ in range(2):
        hooks.install()
    args: Any = threading.ExceptHookArgs
    assert args is not before[3]
    assert isinstance(before[3]([ValueError, None, None, None]), args)
    hooks.uninstall()
    hooks.uninstall()
    hooks.uninstall()
    after = sys.excepthook, sys.unraisablehook, threading.excepthook, threading.ExceptHookArgs
    assert after == before
    assert vars(sys)["excepthook"] is sys.__excepthook__


def test_a_server_that_crashes_prints_class_and_places(tmp_path: Path) -> None:
    """The main thread ends with an error while exchanges are live: its code, and no text."""
    program = tmp_path / "crash.py"
    program.write_text(
        textwrap.dedent("""
            import os
            from zeroret.content.flight import Flight
            from zeroret.content.live import LIVE
            from zeroret.guards import hooks, stdio

            stdio.install()
            hooks.install()
            LIVE.enter(Flight("strict"))
            raise RuntimeError("a secret " + os.urandom(4).hex())
        """)
    )
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "RuntimeError: [withheld]" in done.stderr
    assert "a secret" not in done.stderr.replace('"a secret "', "")
