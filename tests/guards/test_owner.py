"""Owner: an exchange's, anybody's while exchanges are live, or the program's own."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Iterator
from typing import Any

import pytest

from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.content.live import LIVE
from zeroret.guards import owner
from zeroret.guards.owner import exchange_in, owner_of_error, owner_of_text


@pytest.fixture
def live() -> Iterator[Flight]:
    """An exchange that is live, and not this code's."""
    flight = Flight("strict")
    LIVE.enter(flight)
    yield flight
    LIVE.leave(flight, 0)


def test_with_nothing_live_it_is_nobodys() -> None:
    """Text and errors of the program itself are held to no rule."""
    assert owner_of_text() is None
    assert owner_of_error() is None


@pytest.mark.parametrize(
    ("log_guard", "strict"), [("strict", True), ("match", False), ("none", None)]
)
def test_inside_it_is_the_exchanges(log_guard: Any, strict: Any, live: Flight) -> None:
    """Its option says how texts are held; an error's text is content in every mode."""
    live.log_guard = log_guard
    token = CURRENT.set(live)
    try:
        found, error = owner_of_text(), owner_of_error()
    finally:
        CURRENT.reset(token)
    assert (None if found is None else found.strict) is strict
    assert error is not None
    assert error.flight is live


def test_what_matching_lost_is_held_strictly(live: Flight) -> None:
    """A dropped exchange has nothing left to match."""
    live.log_guard = "match"
    live.drop()
    token = CURRENT.set(live)
    try:
        found = owner_of_text()
    finally:
        CURRENT.reset(token)
    assert found is not None
    assert found.strict


def test_outside_every_live_exchange_counts(live: Flight) -> None:
    """Those that hold text to no rule aside, and enforced if any of them is."""
    other = Flight("none", enforce=False)
    LIVE.enter(other)
    try:
        text, error = owner_of_text(), owner_of_error()
        assert text is not None
        assert error is not None
        assert (text.flight, text.others, text.enforce) == (None, LIVE.logged, True)
        assert (error.flight, error.others) == (None, LIVE.everyone)
        live.enforce = False
        again = owner_of_text()
        assert again is not None
        assert not again.enforce
        live.log_guard = "none"
        assert owner_of_text() is None
    finally:
        LIVE.leave(other, 0)


def test_a_context_tells_for_a_while_and_a_work_context_for_good(live: Flight) -> None:
    """The server's own context after an exchange, and that of a task or callback."""
    context = contextvars.copy_context()
    context.run(CURRENT.set, live)
    LIVE.leave(live, 0)
    assert exchange_in(context) is live
    assert exchange_in(None) is None
    found = owner_of_error(exchange_in(context))
    assert found is not None
    assert found.flight is live
    token = LAST.set(live)
    try:
        live.ended = time.perf_counter()
        assert owner_of_text() is not None
        live.ended -= 60
        assert owner_of_text() is None
    finally:
        LAST.reset(token)


def test_what_cannot_be_found_out_is_held_strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in here is no way around."""

    def breaks() -> Any:
        raise MemoryError

    monkeypatch.setattr(owner, "here", breaks)
    for found in (owner_of_text(), owner_of_error()):
        assert found is not None
        assert found.strict
        assert found.enforce
