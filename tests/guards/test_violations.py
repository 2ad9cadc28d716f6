"""Violations: counted, located, told about once in a while, and never with content."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from zeroret.content.boundary import Boundary
from zeroret.content.flight import Flight
from zeroret.guards import violations
from zeroret.guards.violations import INTERVAL, PLACES_LIMIT, Violation, Violations


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Violations:
    """Give this test a count of its own."""
    own = Violations()
    monkeypatch.setattr(violations, "VIOLATIONS", own)
    return own


def test_an_event_names_kind_place_and_number(fresh: Violations) -> None:
    """The callback learns of the first at once, and of the others by number."""
    told: list[Violation] = []
    flight = Flight(boundary=Boundary(on_violation=told.append))
    for _ in range(3):
        violations.report("file", "reported", flight)
    assert [(each.kind, each.action, each.count) for each in told] == [("file", "reported", 1)]
    assert told[0].place.startswith("test_violations.py:")
    assert fresh.counts() == {"file.reported": 3}
    assert fresh.places()[0] | {"place": ""} == {
        "kind": "file",
        "action": "reported",
        "place": "",
        "count": 3,
    }


def test_each_place_is_told_again_after_the_interval() -> None:
    """What was not told in between is in the next event's number."""
    now = [0.0]
    counts = Violations(clock=lambda: now[0])
    assert [counts.count("child", "refused", "a.py:1") for _ in range(3)] == [1, 0, 0]
    assert counts.count("child", "refused", "b.py:1") == 1
    now[0] = INTERVAL
    assert counts.count("child", "refused", "a.py:1") == 3


def test_places_are_bounded(fresh: Violations) -> None:
    """Past the limit a place is counted by its kind alone."""
    for line in range(PLACES_LIMIT + 5):
        fresh.count("file", "refused", f"a.py:{line}")
    assert len(fresh.places()) <= PLACES_LIMIT + 1
    assert fresh.counts() == {"file.refused": PLACES_LIMIT + 5}


def test_only_enforcement_refuses(fresh: Violations) -> None:
    """In report mode, and where no exchange is known, a violation is counted and passes."""
    refused = violations.refuse("upstream", Flight(boundary=Boundary()))
    assert isinstance(refused, PermissionError)
    assert "upstreams=[" in str(refused)
    assert "test_violations.py:" in str(refused)
    assert violations.refuse("upstream", Flight(boundary=Boundary(enforce=False))) is None
    assert violations.refuse("upstream", None) is None
    assert fresh.counts() == {"upstream.refused": 1, "upstream.reported": 2}


def test_a_callback_that_fails_or_violates_is_no_matter(
    fresh: Violations, caplog: pytest.LogCaptureFixture
) -> None:
    """What the operator's callback raises is logged as a fact; what it does is not counted."""

    def callback(violation: Violation) -> Any:
        violations.report("file", "reported", None)
        raise RuntimeError("a secret")

    with caplog.at_level(logging.WARNING, "zeroret.violations"):
        violations.report("stdio", "withheld", Flight(boundary=Boundary(on_violation=callback)))
    assert fresh.counts() == {"stdio.withheld": 1}
    assert "on_violation failed" in caplog.text
    assert "a secret" not in caplog.text


def test_the_log_line_is_shown_in_strict_mode(
    caplog: pytest.LogCaptureFixture, runtime: Any
) -> None:
    """The operator reads kind and place, since both are the server's own words."""
    with caplog.at_level(logging.WARNING, "zeroret.violations"):
        violations.report("child", "refused", None)
    assert "children=[…]" in caplog.text
    assert "test_violations.py:" in caplog.text
