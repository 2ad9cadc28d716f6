"""Rollbar: payloads hold what is provably not content, by whatever handler they are sent."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import secrets
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rollbar as library
from rollbar.lib import thread_pool as pools
from rollbar.logger import RollbarHandler

from collectors import Collector, collecting
from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.content.live import LIVE
from zeroret.guards import logs, program, tally, trackers

rollbar: Any = library  # most of it has no types
thread_pool: Any = pools


@pytest.fixture
def content() -> str:
    """A prompt that stands in no source."""
    return secrets.token_hex(24)


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """An endpoint that Rollbar sends to, set up before any guard was."""
    with collecting(b'{"err": 0, "result": {}}') as endpoint:
        before = copy.deepcopy(rollbar.SETTINGS)
        rollbar._initialized = False
        rollbar.init(
            "a-token",
            "testing",
            handler="blocking",
            endpoint=f"http://127.0.0.1:{endpoint.port}/api/1/",
            allow_logging_basic_config=False,
            suppress_reinit_warning=True,
            include_request_body=True,
            agent_log_file=str(tmp_path / "log.rollbar"),
        )
        yield endpoint
        rollbar.SETTINGS.clear()
        rollbar.SETTINGS.update(before)
        rollbar._initialized = False


@pytest.fixture
def inside(content: str) -> Iterator[Flight]:
    """An exchange that runs now; the guards are installed."""
    yield from _running(Flight("strict"), content)


def _running(flight: Flight, content: str) -> Iterator[Flight]:
    flight.route = "/chat/{room}"
    flight.hold(content)
    trackers.install()
    logs.install()
    LIVE.enter(flight)
    token, last = CURRENT.set(flight), LAST.set(flight)
    yield flight
    CURRENT.reset(token)
    LAST.reset(last)
    LIVE.leave(flight, 0)
    logs.uninstall()
    trackers.uninstall()


class Request:
    """What a framework would hand to Rollbar."""

    def __init__(self, text: str) -> None:
        self.environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": f"/chat/{text}",
            "QUERY_STRING": f"q={text}",
            "REMOTE_ADDR": text,
            "HTTP_X_SECRET": text,
            "wsgi.url_scheme": "http",
            "HTTP_HOST": f"{text}.example",
        }


def deeper(prompt: str) -> None:
    """Raise the prompt from a function of its own."""
    held_in_a_local = prompt
    raise ValueError(held_in_a_local) from KeyError(prompt)


def report(prompt: str, **options: Any) -> None:
    """Report an exception and two messages with everything at hand."""
    try:
        deeper(prompt)
    except ValueError:
        rollbar.report_exc_info(
            sys.exc_info(),
            Request(prompt).environ,
            {"prompt": prompt, prompt: 1, "count": 3},
            {"person": {"id": prompt}, "title": prompt, "context": prompt},
            **options,
        )
    rollbar.report_message(f"about {prompt}", "warning", Request(prompt), {"prompt": prompt})
    rollbar.report_message("a constant message", "info", extra_data={"size": 5, "prompt": prompt})


async def report_all(prompt: str) -> None:
    """Report in a loop, and wait until everything is sent."""
    report(prompt)
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*rest)
    if rollbar.SETTINGS["handler"] == "thread_pool" and thread_pool._pool is not None:
        thread_pool._pool.shutdown()
        thread_pool._pool = None


def test_no_content_reaches_the_endpoint(
    collector: Collector, content: str, inside: Flight
) -> None:
    """Exceptions with locals and causes, messages, requests, persons: none of it; places stay."""
    report(content)
    assert content.encode() not in collector.everything
    items = [item["data"] for item in collector.json()]
    assert len(items) == 3
    chain = items[0]["body"]["trace_chain"]
    assert [trace["exception"]["class"] for trace in chain] == ["ValueError", "KeyError"]
    message = chain[0]["exception"]["message"]
    assert message.startswith("ValueError at test_rollbar.py:")
    assert message.endswith("in deeper, text withheld")
    frame = chain[0]["frames"][-1]
    assert (frame["method"], frame["filename"]) == ("deeper", __file__)
    assert frame["code"] == "raise ValueError(held_in_a_local) from KeyError(prompt)"
    assert "locals" not in frame
    assert items[0]["custom"]["count"] == 3
    assert items[0]["environment"] == "testing"
    assert items[2]["body"]["message"]["body"] == "a constant message"
    assert items[2]["level"] == "info"
    assert collector.json()[0]["access_token"] == "a-token"


def test_without_us_all_of_it_leaves(collector: Collector, content: str) -> None:
    """The same reports hold the prompt many times if nothing guards them."""
    report(content)
    assert collector.everything.count(content.encode()) > 10


@pytest.mark.parametrize("handler", ["thread", "thread_pool", "httpx", "agent"])
def test_every_handler_is_guarded(
    collector: Collector, content: str, inside: Flight, handler: str, tmp_path: Path
) -> None:
    """Threads, pools, async clients and the agent's file get the judged payload alike."""
    rollbar.SETTINGS["handler"] = handler
    if handler == "agent":
        rollbar.agent_log = rollbar._create_agent_log()
    if handler == "thread_pool":
        thread_pool.init_pool(1)
    asyncio.run(report_all(content))
    rollbar.wait()
    if handler == "agent":
        for agent_handler in rollbar.agent_log.handlers:
            agent_handler.close()
        rollbar.agent_log.handlers.clear()
    kept = (tmp_path / "log.rollbar").read_bytes() if handler == "agent" else b""
    assert content.encode() not in collector.everything + kept
    assert handler == "agent" or len(collector.received) == 3


def test_log_records_come_through(collector: Collector, content: str, inside: Flight) -> None:
    """A record that the log guard has passed is reported as the guard shows it."""
    log = logging.getLogger("tests.integrations.rollbar")
    handler = RollbarHandler()  # type: ignore[no-untyped-call] # theirs
    log.addHandler(handler)
    try:
        log.error("a constant text")
        log.error("could not handle %s", content)
    finally:
        log.removeHandler(handler)
    assert content.encode() not in collector.everything
    bodies = [item["data"]["body"]["message"]["body"] for item in collector.json()]
    assert bodies[0] == "a constant text"


def test_an_item_of_no_exchange_keeps_its_text(
    collector: Collector, content: str, inside: Flight
) -> None:
    """Outside of an exchange messages stay, but for content in flight."""
    token, last = CURRENT.set(None), LAST.set(None)
    try:
        rollbar.report_message("a pool of " + str(4))
        rollbar.report_message(f"saw {content} today")
    finally:
        CURRENT.reset(token)
        LAST.reset(last)
    bodies = [item["data"]["body"]["message"]["body"] for item in collector.json()]
    assert bodies == ["a pool of 4", f"saw [withheld {len(content)} chars] today"]


def test_report_mode_counts_and_changes_nothing(collector: Collector, content: str) -> None:
    """With ``mode="report"`` a payload is sent as it is, and counted."""
    before = tally.snapshot().get("telemetry.withheld", 0)
    for _ in _running(Flight("strict", enforce=False), content):
        report(content)
    assert collector.everything.count(content.encode()) > 10
    assert tally.snapshot()["telemetry.withheld"] >= before + 3


def _broken(*_: Any, **__: Any) -> Any:
    raise MemoryError


@pytest.mark.parametrize("name", ["place", "namespace_of"])
def test_a_guard_that_breaks_sends_no_content(
    collector: Collector,
    content: str,
    inside: Flight,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """If judging fails an item says that it was withheld, and nothing else."""
    monkeypatch.setattr(program, name, _broken)
    report(content)
    monkeypatch.undo()
    assert content.encode() not in collector.everything
    assert collector.json()[0] == {"data": {"body": {"message": {"body": "[withheld]"}}}}


def test_the_library_is_left_as_it_was() -> None:
    """After the last uninstall the module is what it was."""
    before = rollbar._serialize_payload
    trackers.install()
    assert rollbar._serialize_payload is not before
    guarded = rollbar._serialize_payload
    trackers.uninstall()
    assert rollbar._serialize_payload is before
    assert json.loads(guarded({"data": "anything"})) == {"data": "anything"}
    assert threading.current_thread().name == "MainThread"
