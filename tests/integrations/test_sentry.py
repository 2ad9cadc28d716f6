"""Sentry: envelopes hold what is provably not content, whatever is captured, however it is sent."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import sentry_sdk
from sentry_sdk import transport
from sentry_sdk._log_batcher import LogBatcher
from sentry_sdk.envelope import Envelope, Item, PayloadRef
from sentry_sdk.scope import Scope
from sentry_sdk.spotlight import SpotlightClient

from collectors import Collector, collecting
from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.content.live import LIVE
from zeroret.guards import conventions, judging, program, tally, threads, trackers
from zeroret.integrations import sentry, sentry_batches, sentry_shapes

PROGRAM: Final = Path(__file__).parents[1] / "servers/sentry_program.py"
KINDS: Final = ("prompt", "path", "query", "agent", "header", "cookie", "baggage")


def run(collector: Collector, options: dict[str, Any], **environ: str) -> dict[str, str]:
    """Run the careless program against *collector*; return its canaries."""
    canaries = {kind: secrets.token_hex(16) for kind in KINDS}
    options = {**options, "dsn": f"http://key@127.0.0.1:{collector.port}/1"}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), json.dumps(options)],
        env={**os.environ, **environ, "CANARIES": json.dumps(canaries)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return canaries


def found_in(collector: Collector, canaries: dict[str, str]) -> set[str]:
    """Return which canaries the collector was sent, in any letter case."""
    everything = collector.everything.lower()
    return {kind for kind, text in canaries.items() if text.encode() in everything}


def items_of(collector: Collector) -> dict[str, list[Any]]:
    """Return the payloads that were sent, by the type of their item."""
    found: dict[str, list[Any]] = {}
    for body in collector.bodies():
        lines = body.split(b"\n")
        for header, payload in zip(lines[1::2], lines[2::2], strict=False):
            if header:
                found.setdefault(json.loads(header)["type"], []).append(json.loads(payload))
    return found


@pytest.mark.parametrize(
    "options",
    [
        {"send_default_pii": False, "profiles_sample_rate": 1.0},
        {"send_default_pii": True},
        {"send_default_pii": True, "trace_lifecycle": "stream"},
    ],
    ids=["no pii", "pii", "streamed spans"],
)
def test_no_content_reaches_the_endpoint(options: dict[str, Any]) -> None:
    """Errors, messages, transactions, spans, logs, metrics, crumbs, check-ins, profiles, sessions.

    A real program sends to a real endpoint, PII off and on; what groups errors is still there.
    """
    with collecting() as collector:
        canaries = run(collector, options)
        assert found_in(collector, canaries) == set()
        items = items_of(collector)
    streamed = "trace_lifecycle" in options
    kinds = {"event", "check_in", "log", "trace_metric", "span", "sessions"}
    assert kinds | (set() if streamed else {"transaction"}) <= set(items)
    assert "attachment" not in items
    raised = [event for event in items["event"] if "exception" in event]
    (error,) = raised[0]["exception"]["values"]
    assert error["type"] == "ValueError"
    assert error["value"].startswith("ValueError at sentry_program.py:")
    frame = error["stacktrace"]["frames"][-1]
    assert (frame["function"], frame["module"], frame["in_app"]) == ("deeper", "__main__", True)
    assert frame["context_line"] == "raise ValueError(held_in_a_local) from None"
    assert frame["lineno"] > 40
    assert "vars" not in frame
    assert raised[0]["request"] == {"method": "POST", "url": "/chat/{room}"}
    assert raised[0]["transaction"] == "/chat/{room}"
    assert raised[0]["tags"]["stage"] == "handling"
    assert raised[0]["contexts"]["trace"]["trace_id"] == "0123456789abcdef0123456789abcdef"
    crumbs = [crumb.get("message") for crumb in raised[0]["breadcrumbs"]["values"]]
    assert "a constant crumb" in crumbs
    assert any(str(crumb).startswith("prompt [withheld 32 chars") for crumb in crumbs)
    messages = {event.get("message") for event in items["event"]}
    assert {"a constant message", "a message of no exchange"} <= messages
    assert {check["monitor_slug"] for check in items["check_in"]} == {"a-nightly-job"}
    bodies = {log["body"] for each in items["log"] for log in each["items"]}
    assert "asked {what} {times} times" in bodies
    (metric, _) = items["trace_metric"][0]["items"]
    assert metric["attributes"]["stage"]["value"] == "handling"
    assert metric["name"] == "prompts"
    if not streamed:
        described = {span["description"] for each in items["transaction"] for span in each["spans"]}
        assert "look up documents" in described
    if "profiles_sample_rate" in options:
        assert items["profile"][0]["profile"]["frames"]


def test_without_us_all_of_it_leaves() -> None:
    """The program leaks every canary if it is not wrapped, so that the test above can fail."""
    with collecting() as collector:
        canaries = run(collector, {"send_default_pii": True}, ZERORET_OFF="1")
        assert found_in(collector, canaries) == set(canaries)


class Kept(transport.Transport):
    """Keeps what it is to send."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.envelopes: list[Envelope] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        """Keep it."""
        self.envelopes.append(envelope)

    @property
    def text(self) -> str:
        """Return all of it, as it would be sent."""
        return b"".join(envelope.serialize() for envelope in self.envelopes).decode()


@pytest.fixture
def content() -> str:
    """A prompt that stands in no source."""
    return secrets.token_hex(24)


@pytest.fixture
def inside(content: str) -> Iterator[Flight]:
    """An exchange that runs now; the guards are installed."""
    flight = Flight("strict")
    flight.route = "/chat/{room}"
    flight.hold(content)
    trackers.install()
    LIVE.enter(flight)
    token, last = CURRENT.set(flight), LAST.set(flight)
    yield flight
    CURRENT.reset(token)
    LAST.reset(last)
    LIVE.leave(flight, 0)
    trackers.uninstall()


def client(through: Any) -> sentry_sdk.Client:
    """Return a client that sends through *through*, without any integration."""
    return sentry_sdk.Client(
        dsn="http://key@127.0.0.1:9/1",
        transport=through,
        default_integrations=False,
        auto_enabling_integrations=False,
    )


def payloads(kept: Kept) -> list[Any]:
    """Return what the items of all envelopes hold."""
    return [item.payload.json for envelope in kept.envelopes for item in envelope.items]


def hostile(content: str) -> dict[str, Any]:
    """Return an event that holds content in every field there is, and in some there are not."""
    text = {"value": content, content: content}
    fields: dict[str, Any] = dict.fromkeys(sentry_shapes.EVENT, content)  # type: ignore[arg-type] # a mapping of fields
    fields |= {
        "new_field_of_a_later_version": text,
        "user": text,
        "_meta": text,
        "request": {"url": content, "data": text, "headers": text, "method": content},
        "contexts": {"trace": text, "runtime": text, "device": text, content: text},
        "exception": {"values": [{"type": content, "module": content, "value": content}]},
        "threads": {"values": [{"name": content, "stacktrace": {"frames": [text]}}]},
        "breadcrumbs": {"values": [{"message": content, "category": content, "data": text}]},
        "spans": [{"op": content, "description": content, "data": text, "tags": text}],
        "tags": text,
        "extra": {"a": [content, [content]], content: 1},
        "sdk": {"name": content, "integrations": [content]},
        "modules": {content: content, "sentry-sdk": content},
        "logentry": {"message": content, "params": [content, 3]},
        "fingerprint": [content],
    }
    return {key: value for key, value in fields.items() if key not in ("event_id", "type")}


def test_every_field_of_an_event_is_judged(content: str, inside: Flight) -> None:
    """An event with content in each of its fields is sent without any of it."""
    kept = Kept()
    envelope = Envelope(headers={"event_id": content, "trace": {"transaction": content}})
    envelope.add_event(hostile(content))  # type: ignore[arg-type] # on purpose
    kept.capture_envelope(envelope)
    assert content not in kept.text
    assert content[:16] not in kept.text
    (sent,) = payloads(kept)
    assert sent["request"] == {"url": "/chat/{room}"}


def test_only_known_items_are_sent(content: str, inside: Flight) -> None:
    """Attachments, replays and items of later versions stay here, and so do payloads of bytes."""
    kept = Kept()
    envelope = Envelope()
    for kind in ("attachment", "replay_recording", "user_report", "feedback", "new", "event"):
        envelope.add_item(Item(payload=content.encode(), type=kind, filename=content))
    envelope.add_item(Item(payload=PayloadRef(json=[content]), type="event"))
    kept.capture_envelope(envelope)
    assert kept.envelopes == []


def test_every_way_of_sending_is_guarded(content: str, inside: Flight) -> None:
    """Functions, classes defined later, wrappers of others: each gets the judged envelope."""
    events: list[Any] = []

    class Later(Kept):
        def capture_envelope(self, envelope: Envelope) -> None:
            self.envelopes.append(envelope)

    later = Later()
    with pytest.warns(DeprecationWarning, match="Function transports"):
        called = client(events.append)
    for each in (called, client(later)):
        each.capture_event({"message": content, "level": "error"})
        each.capture_event({"message": "a constant message"})
    assert len(events) == 2
    assert content not in json.dumps(events) + later.text
    assert "a constant message" in later.text
    assert getattr(SpotlightClient.capture_envelope, "_zeroret_guards", False)


def test_a_printed_envelope_is_a_judged_one(
    content: str, inside: Flight, capsys: pytest.CaptureFixture[str]
) -> None:
    """``SENTRY_PRINT_ENVELOPES`` prints what is sent, not what was captured."""
    kept = Kept()
    printer = transport._EnvelopePrinterTransport(kept)
    try:
        envelope = Envelope()
        envelope.add_event({"message": content, "level": "error"})
        printer.capture_envelope(envelope)
    finally:
        printer.envelope_logger.handlers.clear()
    printed = capsys.readouterr()
    assert "[withheld 48 chars]" in printed.err
    assert content not in printed.err + printed.out + kept.text


def test_what_a_scope_gathered_in_an_exchange_does_not_leave_later(
    content: str, inside: Flight
) -> None:
    """Tags, extra data and breadcrumbs of an exchange that is long over stay judged."""
    kept = Kept()
    scope = Scope(client=client(kept))
    scope.set_tag("where", "a constant place")
    scope.set_tag("prompt", content)
    scope.set_tags({"again": content, content: "x"})
    scope.set_extra("request", {"text": content})
    with sentry_sdk.scope.use_scope(scope):
        scope.add_breadcrumb({"message": content, "category": "chat"})
        scope.add_breadcrumb({"message": "a constant crumb"})
    assert content not in repr((scope._tags, scope._extras, scope._breadcrumbs))
    token, last = CURRENT.set(None), LAST.set(None)
    LIVE.leave(inside, 0)
    try:
        with sentry_sdk.scope.use_scope(scope):
            scope.capture_event({"message": "later, about " + str(5)})
    finally:
        CURRENT.reset(token)
        LAST.reset(last)
    assert content not in kept.text
    for text in ("a constant place", "later, about 5"):
        assert text in kept.text


def test_an_event_of_no_exchange_keeps_its_texts(content: str, inside: Flight) -> None:
    """Its message stays, but for content in flight; its structure is held to the shape."""
    kept = Kept()
    sender = client(kept)
    token, last = CURRENT.set(None), LAST.set(None)
    try:
        sender.capture_event({"message": "a pool of " + str(4)})
        sender.capture_event({"message": f"saw {content} today", "user": {"id": content}})
    finally:
        CURRENT.reset(token)
        LAST.reset(last)
    events = payloads(kept)
    assert events[0]["message"] == "a pool of 4"
    assert events[1]["message"] == f"saw [withheld {len(content)} chars] today"
    assert content not in kept.text


def test_threads_of_an_exchange_run_beside_sentrys_own_wrapper(inside: Flight) -> None:
    """A thread that carries its exchange runs though Sentry looks for the function of `run`."""
    done: list[Flight | None] = []
    start = threading.Thread.start

    def wrapping(self: threading.Thread) -> None:
        function: Any = getattr(self.run, "__func__", self.run)
        self.run = lambda: function(self)  # type: ignore[method-assign] # as Sentry does
        start(self)

    threading.Thread.start = wrapping  # type: ignore[method-assign] # likewise
    threads.install()
    try:
        thread = threading.Thread(target=lambda: done.append(CURRENT.get()))
        thread.start()
        thread.join()
    finally:
        threads.uninstall()
        threading.Thread.start = start  # type: ignore[method-assign] # what it was
    assert done == [inside]


def test_report_mode_counts_and_changes_nothing(content: str) -> None:
    """With ``mode="report"`` an envelope is sent as it is, and counted."""
    flight = Flight("strict", enforce=False)
    flight.hold(content)
    kept = Kept()
    trackers.install()
    token = CURRENT.set(flight)
    before = tally.snapshot().get("telemetry.withheld", 0)
    try:
        client(kept).capture_event({"message": content})
    finally:
        CURRENT.reset(token)
        trackers.uninstall()
    assert content in kept.text
    assert tally.snapshot()["telemetry.withheld"] > before


def _broken(*_: Any, **__: Any) -> Any:
    raise RecursionError


@pytest.mark.parametrize(
    "target",
    [
        (sentry, "allowed"),
        (sentry, "_item"),
        (sentry, "vouched"),
        (sentry, "note"),
        (sentry_shapes, "allowed"),
        (sentry_batches, "_copy"),
        (conventions, "attributes"),
        (program, "place"),
        (judging.Judge, "text"),
    ],
    ids=lambda target: f"{target[0].__name__}.{target[1]}",
)
def test_a_guard_that_breaks_sends_nothing_and_harms_nobody(
    content: str, inside: Flight, monkeypatch: pytest.MonkeyPatch, target: tuple[Any, str]
) -> None:
    """Whatever fails in the guard, no content leaves, and no error reaches the app."""
    kept = Kept()
    sender = client(kept)
    scope = Scope(client=sender)
    batcher = LogBatcher(kept.capture_envelope, lambda **_: None)
    monkeypatch.setattr(*target, _broken)
    with sentry_sdk.scope.use_scope(scope):
        scope.set_tag("prompt", content)
        scope.add_breadcrumb({"message": content})
        raised = ValueError(content)
        scope.capture_exception(raised)
    log: Any = {"body": content, "attributes": {"a": content}, "time_unix_nano": 5}
    batcher.add(log | {"severity_text": "info", "severity_number": 9})
    batcher.flush()
    batcher.kill()
    monkeypatch.undo()
    with sentry_sdk.scope.use_scope(scope):
        scope.capture_exception(raised)
    assert kept.envelopes
    assert content not in kept.text


def test_the_library_is_left_as_it_was() -> None:
    """After the last uninstall no class of the SDK is other than before."""
    classes = (
        transport.Transport,
        transport.HttpTransport,
        transport.BaseHttpTransport,
        Scope,
        SpotlightClient,
        LogBatcher,
        Kept,
    )
    before = [dict(vars(cls)) for cls in classes]
    trackers.install()
    assert [dict(vars(cls)) for cls in classes] != before
    trackers.uninstall()
    assert [dict(vars(cls)) for cls in classes] == before
