"""The posture: what is guarded, in which tier, right now; nothing beyond it, nothing of content."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
from typing import Any

import pytest

import zeroret
from zeroret import ZeroRetention, testing
from zeroret.types import Message, Receive, Scope, Send

PROMPT = "a secret that no posture shows"


async def careless(scope: Scope, receive: Receive, send: Send) -> None:
    """Log the prompt and answer nothing."""
    logging.getLogger("careless").error("got %s", (await receive())["body"])
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


def call(runtime: ZeroRetention) -> None:
    """Make one call of the careless app."""

    async def receive() -> Message:
        return {"type": "http.request", "body": PROMPT.encode()}

    async def send(message: Message) -> None:
        pass

    scope = {"type": "http", "method": "POST", "path": f"/{PROMPT}", "headers": []}
    asyncio.run(runtime.asgi(careless)(scope, receive, send))  # type: ignore[arg-type] # a coroutine


@pytest.mark.parametrize(
    ("options", "logs", "exceptions"),
    [
        ({}, ("closed", "strict"), "closed"),
        ({"log_guard": "match"}, ("watched", "match"), "closed"),
        ({"log_guard": "none"}, ("off", "none"), "closed"),
        ({"mode": "report"}, ("watched", "strict"), "off"),
        ({"mode": "report", "log_guard": "none"}, ("off", "none"), "off"),
    ],
)
def test_each_tier_follows_from_the_options(
    options: dict[str, Any], logs: tuple[str, str], exceptions: str
) -> None:
    """A guard that is off or only counts is never called closed."""
    with testing.memory_runtime(**options) as runtime:
        guards = runtime.posture()["guards"]
    assert (guards["logs"]["tier"], guards["logs"]["how"]) == logs
    assert guards["exceptions"]["tier"] == exceptions
    assert guards["usage record"]["tier"] == "closed"


def test_what_stands_open_is_named(runtime: ZeroRetention) -> None:
    """The ways out that this version does not guard are out of reach, each with its reason."""
    guards = runtime.posture()["guards"]
    assert guards["handler.emit"]["tier"] == "out of reach"
    tiers = {guard["tier"] for guard in guards.values()}
    assert tiers <= {"closed", "watched", "out of reach", "off"}


@pytest.mark.parametrize("mode", ["enforce", "report"])
def test_network_and_stores_are_watched(mode: Any) -> None:
    """What is patched now, and where content may go, stands there; no user or password does."""
    with testing.memory_runtime(mode=mode) as runtime:
        guards = runtime.posture()["guards"]
    assert {guards[name]["tier"] for name in ("network", "stores")} == {"watched"}
    assert "the known providers and this machine" in guards["network"]["how"]
    assert http.client.__name__ in guards["network"]["how"]
    assert "written to no store" in guards["stores"]["how"]
    options: Any = {"upstreams": ["http://vllm:8000"], "stores": ["redis://u:secret@cache/1"]}
    with testing.memory_runtime(upstream_storage="forbid", **options) as runtime:
        guards = runtime.posture()["guards"]
    assert "in cleartext to http://vllm:8000" in guards["network"]["how"]
    assert "may not be asked to keep it" in guards["network"]["how"]
    assert "written to redis://cache/1" in guards["stores"]["how"]
    assert "secret" not in json.dumps(guards)


@pytest.mark.parametrize(("mode", "tier"), [("enforce", "closed"), ("report", "watched")])
def test_files_children_and_uploads_are_guarded(mode: Any, tier: str) -> None:
    """What enforcement closes is only counted in report mode; what neither can is named."""
    with testing.memory_runtime(mode=mode) as runtime:
        guards = runtime.posture()["guards"]
    assert {guards[name]["tier"] for name in ("files", "children", "uploads")} == {tier}
    assert guards["open descriptors"]["tier"] == "out of reach"


@pytest.mark.parametrize(
    ("options", "tier"),
    [
        ({}, "closed"),
        ({"log_guard": "match"}, "watched"),
        ({"log_guard": "none"}, "off"),
        ({"mode": "report"}, "watched"),
    ],
)
def test_streams_and_warnings_are_guarded_as_logs_are(options: Any, tier: str) -> None:
    """The option that turns the log guard down does so for all other text, too."""
    with testing.memory_runtime(**options) as runtime:
        guards = runtime.posture()["guards"]
    names = ("stdio", "warnings", "loguru", "rich", "structlog")
    assert {guards[name]["tier"] for name in names} == {tier}
    assert guards["descriptors"]["tier"] == ("off" if tier == "off" else "watched")
    assert guards["exception hooks"]["tier"] != "off"


@pytest.mark.parametrize(
    ("options", "tier"),
    [
        ({}, "closed"),
        ({"log_guard": "match"}, "closed"),
        ({"log_guard": "none"}, "off"),
        ({"mode": "report"}, "watched"),
    ],
)
def test_error_reports_show_no_text_where_logs_are_guarded_at_all(options: Any, tier: str) -> None:
    """Django's reports leave out every text, not only what matches."""
    with testing.memory_runtime(**options) as runtime:
        assert runtime.posture()["guards"]["django"]["tier"] == tier


def test_it_follows_the_runtimes_life() -> None:
    """Before the start and after the end there is no journal; in between it counts."""
    runtime = ZeroRetention("kriora", ["memory:posture"], journal="memory")
    assert (runtime.posture()["started"], runtime.posture()["journal"]) == (False, {})
    with runtime:
        call(runtime)
        assert runtime.flush()
        posture = runtime.posture()
        assert posture["started"]
        assert posture["journal"]
        assert posture["policy"] == runtime.policy.stamp
        assert posture["version"] == zeroret.__version__
        assert posture["grace"] == 0
    assert not runtime.posture()["started"]


def test_it_counts_and_never_quotes(runtime: ZeroRetention) -> None:
    """What was withheld is counted by guard and kind; a posture is JSON without content."""
    before = sum(runtime.posture()["withheld"].values())
    call(runtime)
    posture = runtime.posture()
    assert sum(posture["withheld"].values()) > before
    text = json.dumps(posture)
    assert "secret" not in text
    assert json.loads(text) == posture


def test_failures_of_the_operators_hook_are_counted() -> None:
    """An ``identify`` that raises shows in the posture, by place and number alone."""

    def identify(credential: str) -> str | None:
        raise RuntimeError(credential)

    with testing.memory_runtime(identify=identify) as runtime:

        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        async def send(message: Message) -> None:
            pass

        scope = {"type": "http", "path": "/", "headers": [(b"x-api-key", PROMPT.encode())]}
        asyncio.run(runtime.asgi(careless)(scope, receive, send))  # type: ignore[arg-type] # a coroutine
        assert runtime.posture()["failures"] == {"identify": 1}
        assert "secret" not in json.dumps(runtime.posture())
