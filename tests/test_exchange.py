"""One exchange: what it holds of a stream whose events go straight to the reader."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret import ZeroRetention
from zeroret.content import flight
from zeroret.exchange import Exchange
from zeroret.usage.metered import Metered

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT = b'data: {"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"hi %d"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":9}}\n\n'


@pytest.fixture(scope="module")
def shared_runtime() -> Iterator[ZeroRetention]:
    """A runtime without a journal on the disk."""
    with ZeroRetention(journal="memory") as made:
        yield made


def streaming(runtime: ZeroRetention) -> Exchange:
    """Return an exchange whose response has begun as a stream of events."""
    exchange = Exchange(runtime, "POST", "/v1/chat/completions")
    exchange.request_chunk(b'{"model":"gpt-4o","stream":true}')
    exchange.request_end()
    exchange.response_start(200, b"text/event-stream", b"")
    return exchange


def metered(exchange: Exchange) -> Metered:
    """Return what was metered of a finished exchange."""
    assert exchange.meter is not None
    return exchange.meter.finish(complete=True)


@given(
    events=st.integers(1, 700),
    cuts=st.lists(st.integers(0, 60_000), max_size=30),
    foreign=st.sets(st.integers(0, 700), max_size=3),
    reported=st.booleans(),
)
def test_events_are_held_and_metered_however_they_come(
    shared_runtime: ZeroRetention,
    events: int,
    cuts: list[int],
    foreign: set[int],
    *,
    reported: bool,
) -> None:
    """All of them is content, each byte is counted once, and the usage is that of the whole."""
    whole = b"".join(EVENT % number for number in range(events)) + USAGE * reported
    pieces = [EVENT % number for number in range(events)] + [USAGE] * reported
    if cuts:
        places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
        pieces = [whole[a:b] for a, b in pairwise(places) if b > a]
    exchange = streaming(shared_runtime)
    held = []
    for number, piece in enumerate(pieces):
        if number in foreign:
            exchange.hold(b"<foreign>")
            held.append(b"<foreign>")
        take = exchange.event or exchange.response_chunk
        assert take(piece) is False
        held.append(piece)
    done = (exchange.event or exchange.response_chunk)(b"data: [DONE]\n\n")
    assert done is True
    exchange.complete()
    found = metered(exchange)
    assert b"".join(exchange.chunks[-len(held) - 1 :]) == b"".join(held) + b"data: [DONE]\n\n"  # type: ignore[arg-type] # bytes all
    assert exchange.response_bytes == len(whole) + len(b"data: [DONE]\n\n")
    assert exchange.held == sum(map(len, exchange.chunks))
    assert (found.usage_source == "reported") is reported
    text = "".join(f"hi {number}" for number in range(events))
    expected = 9 if reported else shared_runtime.counter.count(text, model="gpt-4o")
    assert found.output_tokens == expected
    exchange.leave()


@pytest.mark.parametrize("counted", [True, False])
def test_a_stream_beyond_the_budget_is_held_no_further(
    *, counted: bool, runtime: ZeroRetention, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was let go cannot be matched, which the exchange says; bytes and usage stay right."""
    monkeypatch.setattr(flight, "CHUNK_BUDGET", 50_000)
    monkeypatch.setattr("zeroret.exchange.CHUNK_BUDGET", 50_000)
    exchange = streaming(runtime)
    text = "".join(f"hi {number}" for number in range(2000))
    expected = runtime.counter.count(text, model="gpt-4o")
    for number in range(2000):
        assert (exchange.event or exchange.response_chunk)(EVENT % number) is False
    if not counted:
        exchange.response_chunk(USAGE)
    assert exchange.event is None
    assert exchange.truncated
    assert exchange.response_chunk(b"data: [DONE]\n\n") is True
    exchange.complete()
    sent = sum(len(EVENT % number) for number in range(2000)) + len(b"data: [DONE]\n\n")
    assert exchange.response_bytes == sent + len(USAGE) * (not counted)
    assert exchange.held < 50_000 + 300 * len(EVENT)
    assert metered(exchange).output_tokens == (expected if counted else 9)
    exchange.leave()


def test_a_frozen_copy_is_held_of_what_may_change(runtime: ZeroRetention) -> None:
    """An app that reuses its buffer for the next event changes nothing that is held."""
    exchange = streaming(runtime)
    exchange.response_chunk(EVENT % 1)
    buffer = bytearray(EVENT % 2)
    assert exchange.event is not None
    exchange.response_chunk(buffer)  # type: ignore[arg-type] # as apps do
    buffer[:] = b"x" * len(buffer)
    assert exchange.chunks[-1] == EVENT % 2
    exchange.abort()
    exchange.leave()


def test_a_reader_that_breaks_loses_no_content(
    runtime: ZeroRetention, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events go on to be held, and to be counted as bytes, and the reply goes on."""
    exchange = streaming(runtime)
    exchange.response_chunk(EVENT % 0)
    assert exchange.event is not None

    def breaks(*_: object) -> bool:
        raise RuntimeError

    monkeypatch.setattr("zeroret.dialects.streams.StreamReader._look", breaks)
    held = len(exchange.chunks)
    for number in range(600):
        assert exchange.event(EVENT % number) is False
    assert exchange.chunks[held:] == [EVENT % number for number in range(600)]
    exchange.complete()
    assert exchange.response_bytes == sum(len(EVENT % number) for number in [0, *range(600)])
    exchange.leave()
