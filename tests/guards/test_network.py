"""The network guard: who is exempt, and what the posture says of it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from zeroret.content.boundary import Boundary
from zeroret.content.destinations import Upstreams
from zeroret.content.flight import Flight
from zeroret.errors import RetentionViolation
from zeroret.guards import network, threads, trackers, violations
from zeroret.guards.egress import Request, Target
from zeroret.guards.violations import Violation, Violations

Within = Callable[..., AbstractContextManager[Flight]]
Without = Callable[[], AbstractContextManager[None]]
SECRET = b"the words of a prompt that nobody else would say"
EVIL = Target("evil.net", 443, verified=True)


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Violations]:
    """The guard, installed, and a count of this test's own."""
    own = Violations()
    monkeypatch.setattr(violations, "VIOLATIONS", own)
    network.install()
    yield own
    network.uninstall()


def send() -> None:
    """Have a request with content judged."""
    network.judge(lambda: EVIL, lambda: Request("POST", "/", body=SECRET))


def test_what_a_callback_sends_is_its_own(within: Within, counted: Violations) -> None:
    """``on_violation`` may tell a webhook, which is no violation again."""
    told: list[Violation] = []

    def tell(violation: Violation) -> None:
        told.append(violation)
        send()

    with (
        within(SECRET, upstreams=Upstreams.of([]), on_violation=tell),
        pytest.raises(RetentionViolation),
    ):
        send()
    assert [(each.kind, each.action) for each in told] == [("upstream", "refused")]
    assert counted.counts() == {"upstream.refused": 1}


def run(target: Callable[[], object], name: str) -> None:
    """Run *target* in a thread."""
    thread = threading.Thread(target=target, name=name)
    thread.start()
    thread.join()


def test_our_own_threads_are_exempt(within: Within, without: Without, counted: Violations) -> None:
    """What sinks send in threads of ours holds no content; others are looked at."""
    with within(SECRET, upstreams=Upstreams.of([])), without():
        run(send, "zeroret-delivery")
        assert counted.counts() == {}
        run(send, "worker")
    assert counted.counts() == {"upstream.reported": 1}


def test_a_trackers_thread_sends_what_was_judged(
    within: Within, counted: Violations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was started by some exchange's first event, and serves all of them; if it is guarded."""

    def deliver() -> None:
        errors.extend(_caught(send))

    errors: list[BaseException] = []
    monkeypatch.setattr(deliver, "__module__", "sentry_sdk.worker", raising=False)
    threads.install()
    try:
        with within(SECRET, upstreams=Upstreams.of([])):
            run(deliver, "sentry-sdk.BackgroundWorker")
            assert [type(error) for error in errors] == [RetentionViolation]
            monkeypatch.setattr(trackers.PATCHES, "watched", {"sentry_sdk.transport"})
            run(deliver, "sentry-sdk.BackgroundWorker")
    finally:
        threads.uninstall()
    assert len(errors) == 1


def _caught(act: Callable[[], object]) -> list[BaseException]:
    try:
        act()
    except RetentionViolation as error:
        return [error]
    return []


def test_installs_are_counted() -> None:
    """The last uninstall puts everything back."""
    network.install()
    assert hasattr(http.client.HTTPConnection.endheaders, "__wrapped__")
    network.uninstall()
    assert hasattr(http.client.HTTPConnection.endheaders, "__wrapped__")
    network.uninstall()
    assert not hasattr(http.client.HTTPConnection.endheaders, "__wrapped__")
    network.install()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "content may go to the known providers and this machine"),
        ({"upstreams": Upstreams.of([])}, "content may go to no host"),
        ({"upstreams": Upstreams.of(["a.com", "b.com"])}, "content may go to a.com, b.com"),
        ({"upstreams": Upstreams.of(["http://a.com"])}, "in cleartext to http://a.com:80"),
        ({"upstream_storage": "forbid"}, "which may not be asked to keep it"),
    ],
)
def test_the_posture_says_where_content_may_go(options: dict[str, Any], words: str) -> None:
    """By default and by name, in cleartext where that is allowed, and what is patched."""
    tier = network.tiers(Boundary(**options))["network"]
    assert tier.grade == "watched"
    assert words in tier.how
    assert "http.client" in tier.how


def test_a_library_of_another_shape_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be patched is said, not hidden."""
    monkeypatch.setattr(network.PATCHES, "troubles", {"httpcore": "AttributeError"})
    assert "of another shape than known: httpcore" in network.tiers(Boundary())["network"].how
