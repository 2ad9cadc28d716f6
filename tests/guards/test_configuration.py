"""Configuration that breaks the promise: refused at the start, or listed where only reported."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import flask
import pytest
from litestar import Litestar
from starlette.applications import Starlette

import zeroret
from zeroret import testing
from zeroret.content.boundary import Boundary
from zeroret.errors import ConfigurationError
from zeroret.guards import configuration, trackers, violations
from zeroret.guards.configuration import Facts, RefusedError, problems
from zeroret.guards.patches import Patches
from zeroret.guards.violations import Violations
from zeroret.integrations import debugging
from zeroret.integrations.uwsgi import SILENCING
from zeroret.types import Message, Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer nothing."""
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


def uwsgi(*names: str) -> dict[str, object]:
    """Return the options as uWSGI tells them."""
    return dict.fromkeys(names, True)


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    """An ordinary process has no problem."""
    assert problems(Facts()) == []
    assert problems(Facts(uwsgi=uwsgi("master", *SILENCING))) == []
    assert problems(Facts(environ={"OTEL_SERVICE_NAME": "chat"})) == []


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        (Facts(debugged=("the application's debug",)), "set it to False"),
        (Facts(echoing=1), "echo=False"),
        (Facts(diagnosing=True), "diagnose=False"),
        (Facts(unguarded={"ddtrace 3.0": "UnguardedError"}), "ddtrace 3.0"),
        (Facts(uwsgi=uwsgi("disable-logging", "ignore-sigpipe")), "--ignore-write-errors"),
        (Facts(uwsgi=uwsgi("L", "ignore-write-errors")), "--ignore-sigpipe"),
        (Facts(uwsgi=uwsgi("ignore-sigpipe", "ignore-write-errors")), "--disable-logging"),
        (Facts(uwsgi=uwsgi(*SILENCING, "log-5xx")), "without --log-5xx"),
    ],
)
def test_each_problem_says_what_to_change(facts: Facts, word: str) -> None:
    """A problem names what was found and the way out."""
    (problem,) = problems(facts)
    assert word in problem


@pytest.mark.parametrize("name", configuration.CAPTURE)
@pytest.mark.parametrize(
    ("value", "refused"),
    [
        ("true", True),
        ("True", True),
        ("span_only", True),
        ("SPAN_AND_EVENT", True),
        ("1", True),
        ("no", True),
        ("anything", True),
        ("false", False),
        (" FALSE ", False),
        ("", False),
    ],
)
def test_capture_of_content_is_refused(name: str, value: str, *, refused: bool) -> None:
    """Every value but those that switch capture off is refused; an unknown one is no default."""
    found = problems(Facts(environ={name: value}))
    assert bool(found) is refused
    assert not found or (name in found[0] and repr(value) not in found[0])


@pytest.mark.parametrize("name", configuration.HOOKS)
def test_uploads_of_content_are_refused(name: str) -> None:
    """A completion hook writes prompts to files or buckets."""
    assert problems(Facts(environ={name: "upload"}))
    assert not problems(Facts(environ={name: ""}))


@pytest.mark.parametrize("name", configuration.HEADERS)
@pytest.mark.parametrize(
    ("value", "refused"),
    [
        (".*", True),
        ("x-.*", True),
        ("authorization", True),
        ("content-type,cookie", True),
        ("content-type, Content-Length", False),
        ("", False),
        (",", False),
    ],
)
def test_capture_of_headers_is_refused(name: str, value: str, *, refused: bool) -> None:
    """Only headers in which nobody's secret stands may be captured, by their full names."""
    assert bool(problems(Facts(environ={name: value}))) is refused


def debugged_flask() -> flask.Flask:
    """Return a Flask app in debug mode."""
    made = flask.Flask(__name__)
    made.debug = True
    return made


@pytest.mark.parametrize(
    "make",
    [
        lambda: Starlette(debug=True),
        lambda: Litestar([], debug=True),
        debugged_flask,
    ],
    ids=["starlette", "litestar", "flask"],
)
def test_debug_mode_refuses_to_start(make: Any) -> None:
    """A framework's debug mode is refused however the app is wrapped; in report mode it is told."""
    made = make()
    runtime = zeroret.ZeroRetention(journal="memory")
    runtime.install(made)
    with pytest.raises(RefusedError, match="debug is on"):
        runtime.start()
    assert not runtime.posture()["started"]
    runtime.close()  # a WSGI shell guards logs as soon as it wraps
    wrapping = zeroret.ZeroRetention(journal="memory")
    wrapped: Any = (wrapping.wsgi if isinstance(made, flask.Flask) else wrapping.asgi)(made)
    with pytest.raises(RefusedError, match="debug is on"):
        wrapping.start()
    assert wrapped is not None
    wrapping.close()
    with testing.memory_runtime(mode="report") as reporting:
        held = reporting.install(make())
        assert held is not None
        assert "debug is on" in reporting.posture()["configuration"][0]


def test_an_app_inside_of_others_is_found() -> None:
    """Middlewares and bound methods are looked through, without end."""

    class Middleware:
        def __init__(self, inner: Any) -> None:
            self.app = inner

    made = Starlette(debug=True)
    inner: Any = made
    for _ in range(5):
        inner = Middleware(inner)
    assert debugging.debugged([inner]) == ["the application's debug"]
    loop = Middleware(None)
    loop.app = loop
    assert debugging.debugged([loop, made.__call__, None]) == ["the application's debug"]
    assert debugging.debugged([Starlette(), flask.Flask(__name__), object()]) == []


def test_apps_are_not_kept_alive() -> None:
    """A runtime remembers what it wraps for as long as somebody else does."""
    apps = debugging.Applications()
    made = Starlette()
    apps.add(made)
    apps.add(made.__call__)
    assert list(apps) == [made, made]
    del made
    import gc

    gc.collect()
    assert list(apps) == []


def test_an_exchange_does_not_run_in_a_refused_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no lifespan could refuse, each request does; once it is set right, they are served."""
    runtime = zeroret.ZeroRetention(sinks=["memory:refused"], journal="memory")
    wrapped = runtime.asgi(app)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    with pytest.raises(ConfigurationError, match="breaks zero retention"):
        asyncio.run(wrapped(dict(scope), receive, send))  # type: ignore[arg-type] # a coroutine
    assert sent == []
    monkeypatch.delenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT")
    asyncio.run(wrapped(dict(scope), receive, send))  # type: ignore[arg-type] # a coroutine
    assert sent
    runtime.close()


BUGSNAG = "import sys; from types import ModuleType; sys.modules['bugsnag'] = ModuleType('b')"

PROGRAMS = {
    "django": (
        "from django.conf import settings; settings.configure(DEBUG=True)",
        "settings.DEBUG",
    ),
    "sqlalchemy": (
        "import sqlalchemy; engine = sqlalchemy.create_engine('sqlite://', echo=True)",
        "echo",
    ),
    "hidden parameters": (
        "import sqlalchemy as s; e = s.create_engine('sqlite://', echo=True, hide_parameters=True)",
        None,
    ),
    "loguru by default": ("from loguru import logger", None),
    "loguru of another shape": (
        "from loguru import logger, _handler; del _handler.Handler.emit",
        "loguru",
    ),
    "loguru set right": (
        "from loguru import logger; logger.remove(); logger.add(print, diagnose=False)",
        None,
    ),
    "loguru of somebody else": ("import loguru", None),
    "a tracker that is not guarded": (
        BUGSNAG,
        "bugsnag",
    ),
    "an adapter for it": (
        f"{BUGSNAG}; from zeroret.guards import trackers; trackers.adapter('bugsnag')(bool)",
        None,
    ),
    "a tracker of another shape": (
        "import sentry_sdk.transport; del sentry_sdk.transport.Transport.capture_envelope",
        "sentry-sdk 2",
    ),
    "what is guarded": (
        "import sentry_sdk, rollbar; from opentelemetry.sdk import _logs, metrics, trace",
        None,
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_refused_or_reported(name: str, tmp_path: Path) -> None:
    """Real libraries, each in a process of its own: what they have switched on is found."""
    setup, word = PROGRAMS[name]
    program = tmp_path / "program.py"
    program.write_text(
        f"{setup}\n"
        "import zeroret\n"
        "try:\n"
        "    zeroret.ZeroRetention(journal='memory').start().close()\n"
        "    print('started')\n"
        "except zeroret.ConfigurationError as error:\n"
        "    print('refused:', error)\n"
        "with zeroret.ZeroRetention(journal='memory', mode='report') as runtime:\n"
        "    print(runtime.posture()['configuration'])\n"
    )
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr
    first, listed = done.stdout.strip().splitlines()[-2:]
    if word is None:
        assert (first, listed) == ("started", "[]")
    else:
        assert first.startswith("refused: ")
        assert word in first
        assert word in listed


@pytest.fixture
def patches(monkeypatch: pytest.MonkeyPatch) -> Iterator[Patches]:
    """Give this test trackers of its own."""
    own = Patches("telemetry")
    monkeypatch.setattr(trackers, "PATCHES", own)
    yield own
    while own.active:
        own.uninstall()


def test_a_tracker_that_appears_later_is_told(
    patches: Patches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One loaded after the start that cannot be guarded is a violation, and in the posture."""
    counted = Violations()
    monkeypatch.setattr(violations, "VIOLATIONS", counted)
    logging.getLogger("zeroret.violations").disabled = True

    def fails(_module: ModuleType) -> None:
        raise AttributeError("a secret")

    patches.when_imported("wave")(trackers._told("wave", fails))
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    trackers.install()
    assert trackers.tiers(Boundary())["telemetry"].grade == "closed"
    assert trackers.tiers(Boundary(enforce=False))["telemetry"].grade == "watched"
    import wave  # noqa: F401 - stands for a tracker

    tier = trackers.tiers(Boundary())["telemetry"]
    assert tier.grade == "out of reach"
    assert "wave: AttributeError" in tier.how
    assert counted.counts() == {"telemetry.reported": 1}
    assert trackers.troubles() == {"wave": "AttributeError"}
    logging.getLogger("zeroret.violations").disabled = False


def test_an_operators_adapter_guards_its_tracker(
    patches: Patches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``adapter`` is called with the module, at the start or when it is loaded."""
    made = ModuleType("a_tracker_of_a_test")
    made.send = lambda event: event  # type: ignore[attr-defined] # a module made here
    monkeypatch.setitem(sys.modules, made.__name__, made)

    @trackers.adapter("a_tracker_of_a_test")
    def watch(module: Any) -> None:
        patches.replace(module, "send", lambda _original: lambda _event: "withheld")

    assert made.send("text") == "text"
    trackers.install()
    assert made.send("text") == "withheld"
    assert "a_tracker_of_a_test" in trackers.tiers(Boundary())["telemetry"].how
    trackers.uninstall()
    assert made.send("text") == "text"
    assert callable(watch)


def test_the_posture_says_what_is_guarded() -> None:
    """Telemetry is closed where it is enforced, watched where it is reported; starts are open."""
    with testing.memory_runtime() as runtime:
        posture = runtime.posture()
        assert posture["configuration"] == []
        assert posture["guards"]["telemetry"]["tier"] == "closed"
        assert posture["guards"]["telemetry.start"]["tier"] == "out of reach"
    assert runtime.posture()["guards"]["telemetry"]["tier"] == "off"
