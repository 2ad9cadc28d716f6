"""The guard of warnings: source text is shown, content is not, and no registry keeps any."""

from __future__ import annotations

import gc
import io
import logging
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from zeroret.content.flight import CURRENT, Flight
from zeroret.guards import tally, violations, warned

Printed = Callable[[], str]


@pytest.fixture(scope="module")
def shows() -> object:
    """The function that shows warnings, in whose place pytest has put one that records them."""
    gc.unfreeze()
    [found] = [
        each
        for each in gc.get_objects()
        if type(each) is types.FunctionType  # a proxy answers for its class, and may raise
        and (each.__module__, each.__qualname__) == ("warnings", "_showwarnmsg_impl")
    ]
    gc.freeze()
    return found


@pytest.fixture
def warnings_guarded(shows: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The guard of warnings, installed for one test in which pytest does not record them."""
    monkeypatch.setattr(warnings, "_showwarnmsg_impl", shows)
    warned.install()
    yield
    warned.uninstall()


@pytest.fixture
def warning(warnings_guarded: None, running: Flight) -> Iterator[Flight]:
    """A strict exchange that runs now; warnings are shown, once a place and text."""
    globals().pop("__warningregistry__", None)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        yield running


class Own(UserWarning):
    """A warning that says more than it was given."""

    def __init__(self, text: str) -> None:
        super().__init__("harmless")
        self.more = text

    def __str__(self) -> str:
        return self.more


def explicit(text: str) -> None:
    """Warn of a place that was made up."""
    warnings.warn_explicit(text, UserWarning, text, 3, text, registry={})
    warnings.warn_explicit(UserWarning(text), None, f"/tmp/{text}.py", 3)  # noqa: S108 - no file
    warnings.showwarning(text, UserWarning, text, 3)
    warnings.showwarning(text, UserWarning, __file__, 3, line=text)


def captured(text: str) -> None:
    """Warn while warnings go to logging."""
    logging.captureWarnings(capture=True)
    try:
        warnings.warn(text, stacklevel=1)
    finally:
        logging.captureWarnings(capture=False)


def shown_otherwise(text: str) -> None:
    """Warn where the program shows and formats warnings in its own way."""
    showing, formatting = warnings.showwarning, warnings.formatwarning
    warnings.formatwarning = lambda message, *_: f"own: {message}\n"
    try:
        warnings.warn(text, stacklevel=1)
        warnings.showwarning = lambda message, *rest, **_: print("own", message, rest)  # noqa: T201 - the attack
        warnings.warn(text, RuntimeWarning, stacklevel=1)
    finally:
        warnings.showwarning, warnings.formatwarning = showing, formatting


def compiled(text: str) -> None:
    """Have the compiler warn of a text."""
    compile(f"'{text}' is 3", text, "exec")
    compile("'\\d'", "<unknown>", "exec")


WAYS: dict[str, Callable[[str], object]] = {
    "warn": lambda text: warnings.warn(text, stacklevel=1),
    "f-string": lambda text: warnings.warn(f"asked {text}", stacklevel=2),
    "own class": lambda text: warnings.warn(Own(text), stacklevel=1),
    "instance": lambda text: warnings.warn(DeprecationWarning(text, text), stacklevel=1),
    "class made of it": lambda text: warnings.warn(
        text, type(text[:20], (UserWarning,), {}), stacklevel=1
    ),
    "resource": lambda text: warnings.warn(text, ResourceWarning, stacklevel=1, source=[text]),
    "explicit": explicit,
    "captured": captured,
    "own ways": shown_otherwise,
    "compiler": compiled,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("action", ["default", "always", "once", "module"])
@pytest.mark.usefixtures("warning")
def test_no_warning_shows_or_keeps_a_word(
    way: str, action: Any, content: str, printed: Printed, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the streams, nor a log record, nor any registry of any module hold one."""
    warnings.simplefilter(action)
    WAYS[way](content)
    text = printed() + caplog.text
    assert "Warning" in text or "own" in text
    registries = [vars(each).get("__warningregistry__") for each in modules()]
    kept = repr([*registries, warnings.onceregistry])  # type: ignore[attr-defined] # not in the stubs
    assert not any(word in text + kept for word in content.split())


def modules() -> list[types.ModuleType]:
    """Return every loaded module."""
    return [each for each in list(sys.modules.values()) if type(each) is types.ModuleType]


def test_source_text_is_shown_whole(warning: Flight, content: str, printed: Printed) -> None:
    """Constants with place and line, templates with holes."""
    warnings.warn("this option goes away", DeprecationWarning, stacklevel=1)
    warnings.warn(f"slow: {len(content)} s", stacklevel=1)
    text = printed()
    assert "test_warned.py:" in text
    assert ": DeprecationWarning: this option goes away\n" in text
    assert '  warnings.warn("this option goes away", DeprecationWarning, stacklevel=1)\n' in text
    assert ": UserWarning: slow: {…} s\n" in text


@pytest.mark.parametrize("action", ["default", "always", "once", "module"])
def test_each_is_shown_as_often_as_ever(
    action: Any, warning: Flight, content: str, printed: Printed
) -> None:
    """Once a place, or once at all, or always: a withheld text counts as one text."""

    def twice() -> None:
        for number in range(2):
            warnings.warn(f"{content}{number}"[:], stacklevel=1)
            warnings.warn("a constant", stacklevel=1)
        warnings.warn(content, stacklevel=1)

    warnings.simplefilter(action)
    twice()
    twice()
    text = printed()
    expected = {"default": (2, 1), "always": (6, 4), "once": (1, 1), "module": (1, 1)}
    assert (text.count(": [withheld"), text.count(": a constant")) == expected[action]


def test_an_error_is_an_exception_like_any_other(warning: Flight, content: str) -> None:
    """What the filter turns into an exception is raised, with the text it was given."""
    warnings.simplefilter("error")
    with pytest.raises(UserWarning, match=content):
        warnings.warn(content, stacklevel=1)


def test_recording_works(warning: Flight, content: str) -> None:
    """`pytest.warns` and `catch_warnings` see source text as it is, and content not at all."""
    with pytest.warns(DeprecationWarning, match="goes away"):
        warnings.warn("this goes away", DeprecationWarning, stacklevel=1)
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        warnings.warn(content, stacklevel=1)
        warnings.warn(Own(content), stacklevel=1)
    assert recorded[0].category is UserWarning
    assert issubclass(recorded[1].category, Own)
    assert not any(content in repr(vars(each)) + str(each.message) for each in recorded)


def test_a_file_may_be_named(warning: Flight, content: str) -> None:
    """A stream that the caller of `showwarning` gives is written to as ever."""
    stream = io.StringIO()
    message = warnings.WarningMessage("text", UserWarning, __file__, 3, stream)
    warnings._showwarnmsg(message)  # type: ignore[attr-defined] # what C code calls
    assert ": UserWarning: text\n" in stream.getvalue()


def test_report_mode_and_no_log_guard_change_nothing(
    warning: Flight, content: str, printed: Printed
) -> None:
    """What only counts, or does not even that, shows every text and keeps it."""
    warning.enforce = False
    before = violations.VIOLATIONS.counts().get("stdio.reported", 0)
    warnings.warn(content, stacklevel=1)
    assert content in printed()
    assert violations.VIOLATIONS.counts()["stdio.reported"] > before
    warning.log_guard = "none"
    warnings.warn(f"{content}!", stacklevel=1)
    assert f"{content}!" in printed()
    assert content in repr(globals()["__warningregistry__"])


def test_of_no_exchange_only_content_is_taken_out(
    warning: Flight, content: str, printed: Printed
) -> None:
    """While exchanges are live texts are matched; while none is, nothing is touched."""
    token = CURRENT.set(None)
    try:
        warnings.warn(f"someone's {content}", stacklevel=1)
        warnings.warn("of no " + "content: " + "x" * 3, stacklevel=1)
    finally:
        CURRENT.reset(token)
    text = printed()
    assert f": UserWarning: someone's [withheld {len(content)} chars]\n" in text
    assert ": UserWarning: of no content: xxx\n" in text


@pytest.mark.usefixtures("warnings_guarded", "streams_guarded")
def test_with_nothing_in_flight_everything_passes(content: str, printed: Printed) -> None:
    """Before and after exchanges warnings are the program's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(content, stacklevel=1)
    assert f": UserWarning: {content}\n" in printed()


@pytest.mark.parametrize("error", [MemoryError, RuntimeError])
@pytest.mark.parametrize("broken", ["decided", "_was_shown", "_clean", "_text_of"])
def test_a_guard_that_fails_shows_nothing(
    broken: str, error: type[Exception], warning: Flight, content: str, printed: Printed
) -> None:
    """Whatever breaks inside, the program goes on and no content is written."""

    def breaks(*args: Any, **options: Any) -> Any:
        raise error(content)

    before = tally.snapshot().get("warnings.failed", 0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(warned, broken, breaks)
        warnings.warn(content, stacklevel=1)
    text = printed() + repr(globals().get("__warningregistry__"))
    assert not any(word in text for word in content.split())
    assert tally.snapshot()["warnings.failed"] == before + 1


def test_what_only_says_it_is_a_module_stops_nothing(
    warning: Flight, content: str, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As cffi's libraries do, which stand among the modules."""

    class Lies:
        __class__ = types.ModuleType  # type: ignore[assignment] # the lie

    monkeypatch.setitem(sys.modules, "lies", Lies())
    warnings.warn(f"slow: {content}", stacklevel=1)
    assert ": UserWarning: slow: {…}\n" in printed()


def test_uninstall_leaves_the_module_as_it_was() -> None:
    """After any number of installs."""
    before = dict(vars(warnings))
    for _ in range(2):
        warned.install()
    warned.uninstall()
    assert vars(warnings) != before
    warned.uninstall()
    assert vars(warnings) == before
