"""Redaction: what a text becomes, also when something breaks."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroret.content import forms, matching, redaction
from zeroret.content.flight import CURRENT, Flight
from zeroret.content.live import LIVE
from zeroret.content.redaction import MARKER, WITHHELD, Redactor, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = 'my sister "Alva" takes 40 mg\nof lithium — since Örebro, which her ward ignores'


@pytest.fixture
def flight() -> Flight:
    """Return a flight that asks about the secret."""
    made = Flight()
    made.hold(json.dumps({"messages": [{"role": "user", "content": SECRET}]}).encode())
    return made


@pytest.fixture
def live(flight: Flight) -> Iterator[Flight]:
    """Have the flight run in this process, in another context than the test's."""
    LIVE.enter(flight)
    yield flight
    LIVE.leave(flight, 0)


def test_the_shared_run_alone_is_replaced_and_never_quoted(flight: Flight) -> None:
    """The marker counts characters, and the rest of the line stays."""
    line = f"job 7: {SECRET} (done)"
    assert redact(line, flight) == f"job 7: [withheld {len(SECRET)} chars] (done)"


def test_an_encoded_token_is_replaced_as_a_whole(flight: Flight) -> None:
    """Base64 of content goes, what stands around it stays."""
    token = base64.b64encode(SECRET.encode()).decode().rstrip("=")
    assert redact(f"job 7: {token} (done)", flight) == (
        f"job 7: [withheld {len(token)} chars] (done)"
    )


def test_a_clean_text_is_returned_as_it_is(flight: Flight) -> None:
    """No copy, no change."""
    line = "request finished in 12 ms"
    assert redact(line, flight) is line


pieces = st.sampled_from(
    [
        SECRET,
        SECRET[:20],
        SECRET[10:],
        SECRET.upper(),
        json.dumps(SECRET),
        json.dumps(json.dumps(SECRET)),
        base64.b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
        str(list(SECRET.encode())),
        " ".join(SECRET),
        "[withheld 30 chars]",
        "[withheld",
        "\\",
        "%41+",
        "&amp;",
        ", 12",
        "AbCd0123",
        "é€",
    ]
) | st.text(max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=6).map("".join), st.lists(pieces, max_size=3))
def test_redacting_twice_changes_nothing_more(text: str, chunks: list[str]) -> None:
    """Markers pass as they are, even where the content itself holds markers."""
    flight = Flight()
    for chunk in (SECRET, *chunks):
        flight.hold(chunk)
    once = redact(text, flight)
    assert redact(once, flight) == once


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces, max_size=6).map("".join))
def test_nothing_of_threshold_length_is_left(text: str) -> None:
    """Between the markers no sixteen bytes of the content remain."""
    flight = Flight()
    flight.hold(SECRET)
    held = SECRET.encode()
    for part in MARKER.split(redact(text, flight)):
        data = part.encode("utf-8", "surrogatepass")
        assert not any(data[at : at + 16] in held for at in range(len(data) - 15))


@pytest.mark.parametrize("error", [RuntimeError(SECRET), MemoryError(), RecursionError()])
def test_an_error_while_indexing_withholds_the_text(
    error: BaseException, flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redaction fails closed: no exception, no text, one more failure counted."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(forms.Forms, "add", fail)
    before = redaction.FAILURES.count
    assert redact("any text at all, quite harmless", flight) == WITHHELD
    assert redaction.FAILURES.count == before + 1


def test_an_index_that_failed_once_does_not_forget_content(
    flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure the next text is matched against everything again."""
    with monkeypatch.context() as patch:
        patch.setattr(forms.Forms, "add", lambda *_: 1 // 0)
        assert redact(SECRET, flight) == WITHHELD
    assert redact(SECRET, flight) == f"[withheld {len(SECRET)} chars]"


def test_an_error_while_matching_or_an_impossible_argument_withholds(
    flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever breaks, and wherever."""
    assert redact(None, flight) == WITHHELD  # type: ignore[arg-type]  # a caller's mistake
    monkeypatch.setattr(matching, "disguises", None)
    assert redact("any text at all, quite harmless", flight) == WITHHELD


def test_a_redactor_sees_the_exchange_it_runs_in_and_any_live_one(live: Flight) -> None:
    """Without a context every live exchange counts as the text's own."""
    redactor = Redactor()
    line = f"late: {SECRET[:18]}"
    assert redactor.redact(line) == "late: [withheld 18 chars]"
    inside = CURRENT.set(Flight())
    try:
        assert redactor.redact(line) == line
        assert redactor.redact(f"late: {SECRET}") == f"late: [withheld {len(SECRET)} chars]"
    finally:
        CURRENT.reset(inside)


def test_a_redactor_keeps_constants_and_does_nothing_without_exchanges(
    asking: Callable[[str], Flight],
) -> None:
    """Constants given to it stay; with no exchange alive texts pass untouched."""
    constant = "the queue is full, try again later"
    assert Redactor().redact(constant) is constant
    flight = asking(constant)
    LIVE.enter(flight)
    try:
        assert Redactor().redact(constant) == f"[withheld {len(constant)} chars]"
        assert Redactor(keep=frozenset([constant])).redact(constant) == constant
    finally:
        LIVE.leave(flight, 0)
