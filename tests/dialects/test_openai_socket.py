"""OpenAI's websockets: usages that add up, answers that broke off, frames of every kind."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import detect, named
from zeroret.dialects.openai_socket import REMEMBERED
from zeroret.dialects.streams import HOLD_LIMIT
from zeroret.tokens import TokenCounter, vocabulary
from zeroret.usage.meter import Meter, Metered

COUNTER: Final = TokenCounter()


def frame(kind: str, **fields: Any) -> bytes:
    """Return one event."""
    return json.dumps({"type": kind, "event_id": "event_1", **fields}).encode()


def usage(took: int, made: int, **details: Any) -> dict[str, Any]:
    """Return the usage of one answer."""
    return {
        "total_tokens": took + made,
        "input_tokens": took,
        "output_tokens": made,
        "input_token_details": {
            "text_tokens": took - 20,
            "audio_tokens": 20,
            "cached_tokens": 10,
            "cached_tokens_details": {"text_tokens": 10, "audio_tokens": 0},
        },
        "output_token_details": {"text_tokens": 1, "audio_tokens": made - 1},
        **details,
    }


def done(number: int, block: dict[str, Any] | None, kind: str = "response.done") -> bytes:
    """Return the end of one answer."""
    return frame(kind, response={"id": f"resp_{number}", "status": "completed", "usage": block})


def delta(number: int, text: str, kind: str = "response.output_text.delta") -> bytes:
    """Return a piece of one answer."""
    return frame(kind, response_id=f"resp_{number}", output_index=0, delta=text)


CREATED: Final = frame("session.created", session={"model": "gpt-realtime", "voice": "ash"})


def session(
    frames: list[bytes],
    sent: tuple[bytes, ...] = (),
    path: str = "/v1/realtime",
    query: bytes = b"",
) -> tuple[Metered, list[bool]]:
    """Meter one connection; the second value is what each frame told."""
    vocabulary.encoding("o200k_base")
    meter = Meter(detect(path, "GET"), COUNTER, path=path, method="GET")
    if query:
        meter.request_query(query)
    meter.response_start(101, b"", b"")
    for each in sent:
        meter.request_chunk(each)
    told = [meter.response_chunk(each) for each in frames]
    metered = meter.finish(complete=True)
    assert meter.held == 0
    return metered, told


def test_usages_of_a_session_add_up() -> None:
    """Each answer has a usage of its own; what a frame told is noted at once."""
    frames = [CREATED, delta(1, "hi"), done(1, usage(100, 10)), done(2, usage(150, 20))]
    got, told = session(frames, query=b"model=gpt-realtime&x=1")
    assert (got.input_tokens, got.output_tokens) == (250, 30)
    assert (got.audio_input_tokens, got.audio_output_tokens) == (40, 28)
    assert got.cache_read_input_tokens == 20
    assert (got.request_model, got.response_model) == ("gpt-realtime", "gpt-realtime")
    assert (got.dialect, got.usage_source) == ("openai.realtime", "reported")
    assert told == [False, False, True, True]


def test_an_answer_told_twice_is_taken_once() -> None:
    """A response that ends twice has one usage."""
    got, told = session([done(1, usage(100, 10)), done(1, usage(100, 10)), done(2, usage(1, 1))])
    assert (got.input_tokens, got.output_tokens) == (101, 11)
    assert told == [True, False, True]


def test_transcripts_of_the_client_add_up_too() -> None:
    """A transcript's tokens count; its seconds are no tokens."""
    kind = "conversation.item.input_audio_transcription.completed"
    tokens = {
        "type": "tokens",
        "total_tokens": 26,
        "input_tokens": 17,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 17},
        "output_tokens": 9,
    }
    seconds = {"type": "duration", "seconds": 4.2}
    frames = [
        frame(kind, transcript="hello", usage=tokens),
        frame(kind, transcript="hello", usage=seconds),
        done(1, usage(100, 10)),
    ]
    got, _ = session(frames)
    assert (got.input_tokens, got.output_tokens, got.audio_input_tokens) == (117, 19, 37)


def test_an_answer_that_broke_off_is_counted() -> None:
    """Text that was delivered without a usage to come is counted, on top of what was reported."""
    frames = [delta(1, "hello"), done(1, usage(100, 10)), delta(2, "hello"), delta(2, " world")]
    got, _ = session([CREATED, *frames])
    assert (got.input_tokens, got.output_tokens) == (100, 10 + COUNTER.count("hello world"))
    assert got.usage_source == "estimated"


def test_answers_at_the_same_time_are_told_apart() -> None:
    """The end of one answer does not forget the text of another."""
    got, _ = session([delta(1, "hello"), delta(2, "world"), done(2, usage(50, 5))])
    assert got.output_tokens == 5 + COUNTER.count("hello")


def test_an_answer_that_reports_nothing_is_counted() -> None:
    """A server that sends no usage leaves its text to be counted."""
    got, told = session([delta(1, "hello world"), done(1, None)])
    assert got.output_tokens == COUNTER.count("hello world")
    assert got.input_tokens is None
    assert told == [False, False]


def test_responses_over_a_websocket() -> None:
    """The events of the responses API are read frame by frame; the request names the model."""
    create = frame("response.create", model="gpt-5-mini", input="hi")
    block = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    frames = [
        frame("response.created", response={"id": "resp_1", "model": "gpt-5-mini", "usage": None}),
        frame("response.output_text.delta", item_id="m", output_index=0, delta="hi"),
        done(1, block, "response.completed"),
        done(2, block, "response.incomplete"),
    ]
    got, _ = session(frames, (create,), "/v1/responses")
    assert (got.input_tokens, got.output_tokens) == (10, 14)
    assert (got.request_model, got.response_model) == ("gpt-5-mini", "gpt-5-mini")
    assert got.dialect == "openai.responses"


def test_events_inside_events_are_read() -> None:
    """A live session wraps the events of the answers that it delegates."""
    inner = json.loads(done(1, usage(100, 10), "response.completed"))
    got, _ = session([frame("response.event", event=inner)])
    assert (got.input_tokens, got.output_tokens) == (100, 10)


def test_what_a_long_session_holds_is_bounded() -> None:
    """Sound is not held, text no more than a megabyte, and old answers are forgotten."""
    reader = named("openai.realtime").socket(lambda _: None)
    sound = frame("response.output_audio.delta", response_id="resp_1", delta="A" * 50_000)
    for _ in range(100):
        assert not reader.feed(sound)
    assert reader.held == 0
    for number in range(3 * HOLD_LIMIT // 1000):
        reader.feed(delta(number, "x" * 1000))
    assert reader.held < HOLD_LIMIT + 2000
    for number in range(10 * REMEMBERED):
        reader.feed(done(number, usage(21, 2)))
    assert reader.usage.input_tokens == 210 * REMEMBERED
    assert reader.held < HOLD_LIMIT + 2000
    reader.finish(complete=False, count=True)
    assert reader.held == 0


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"input_tokens": -5, "output_tokens": 3}, (None, 3)),
        ({"input_tokens": "5", "output_tokens": 1.5}, (None, None)),
        ([], (None, None)),
        ("x" * 100_000, (None, None)),
        ({"input_tokens": 2**70, "output_tokens": 1}, (None, 1)),
    ],
)
def test_what_is_no_count_is_unknown(block: Any, expected: tuple[int | None, int | None]) -> None:
    """Wrong values are counted as faults and taken for nothing."""
    got, _ = session([done(1, block)])
    assert (got.input_tokens, got.output_tokens) == expected
    assert got.malformed >= 1


FRAMES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            CREATED,
            delta(1, "hi"),
            delta(2, "größe"),
            done(1, usage(100, 10)),
            done(2, None),
            b'{"type":"response.done","usage":[],"response":{"id":7}}',
            b'{"type":"response.done","response":{"id":"' + b"x" * 5000 + b'","usage":{}}}',
            b'{"usage":' + b"[" * 5000,
            b'{"type":[],"usage":{},"delta":".delta\\" response.output_text"}',
            frame("error", error={"message": "no"}),
        ]
    ),
)


@given(st.lists(FRAMES, max_size=20), st.lists(FRAMES, max_size=5), st.booleans())
def test_nothing_that_is_sent_raises(
    frames: list[bytes],
    sent: list[bytes],
    complete: bool,  # noqa: FBT001 - drawn by place
) -> None:
    """Any frames in any order raise nothing, and counts are counts or unknown."""
    for name in ("openai.realtime", "openai.responses"):
        reader = named(name).socket(lambda _: None)
        for each in sent:
            reader.came(each)
        for each in frames:
            reader.feed(each)
        reader.finish(complete=complete, count=True)
        assert not reader.broken
        assert reader.held == 0
        for value in (reader.usage.input_tokens, reader.usage.output_tokens):
            assert value is None or value >= 0
