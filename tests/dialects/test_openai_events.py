"""OpenAI's typed events: responses, transcriptions, speech and images, in any cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import named
from zeroret.dialects.answer import Parts
from zeroret.dialects.streams import StreamReader

RESPONSES: Final = named("openai.responses")


def event(kind: str, **fields: Any) -> bytes:
    """Return one event as OpenAI sends it."""
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def delta(text: str, number: int = 1, kind: str = "output_text", index: int = 0) -> bytes:
    """Return one event that delivers *text*."""
    return event(
        f"response.{kind}.delta",
        sequence_number=number,
        item_id="msg_1",
        output_index=index,
        delta=text,
        obfuscation="x" * (number % 7),
    )


def response(usage: Any, status: str = "completed", **fields: Any) -> dict[str, Any]:
    """Return a response object."""
    return {"id": "resp_1", "object": "response", "model": "m-1", "status": status, "error": None,
            "usage": usage, **fields}  # fmt: skip


USAGE: Final = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 14,
}
CREATED: Final = event("response.created", response=response(None, "in_progress"))
COMPLETED: Final = event("response.completed", response=response(USAGE))


def read(
    chunks: list[bytes], *, hold: bool = True, name: str = "openai.responses", complete: bool = True
) -> tuple[StreamReader, dict[tuple[int, int], str], int | None]:
    """Read a stream; the third value is how many bytes had passed when it was called terminal."""
    places: dict[tuple[int, int], str] = {}

    def count(parts: Parts) -> None:
        for place, texts in parts.items():
            places[place] = places.get(place, "") + "".join(texts)

    reader = named(name).stream(count, hold=hold)
    passed, terminal = 0, None
    for chunk in chunks:
        passed += len(chunk)
        if reader.feed(chunk):
            assert terminal is None
            terminal = passed
    reader.finish(complete=complete, count=True)
    assert reader.held == 0
    return reader, places, terminal


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut *body* at *places*."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


TEXTS = st.sampled_from([" a", "größe €", "", "response.completed", '"usage"', "\n\n", "\\", '"'])
EVENTS = st.one_of(
    st.tuples(TEXTS, st.integers(0, 99)).map(lambda pair: delta(*pair)),
    TEXTS.map(lambda text: delta(text, kind="reasoning_summary_text")),
    TEXTS.map(lambda text: delta(text, kind="function_call_arguments", index=1)),
    st.sampled_from(
        [
            CREATED,
            b": ping\n\n",
            event("response.in_progress", response=response(None)),
            event("response.output_item.added", output_index=1, item={"name": "f"}),
            event("response.output_text.done", text="whole again"),
            b"data: {broken\n\n",
        ]
    ),
)


@given(
    st.lists(EVENTS, max_size=12),
    st.lists(st.integers(0, 5000), max_size=10),
    st.sampled_from([b"\n", b"\r\n"]),
    st.sampled_from([COMPLETED, b"", event("response.incomplete", response=response(USAGE))]),
)
def test_any_cut_and_line_end_reads_alike(
    events: list[bytes], places: list[int], end: bytes, last: bytes
) -> None:
    """Usage, model, end and text depend on the bytes alone, not on how they came."""
    plain = b"".join(events) + last
    expected, texts, _ = read([plain], hold=False)
    body = plain.replace(b"\n", end)
    for chunks in ([body], cut(body, places), [body[i : i + 1] for i in range(len(body))]):
        for hold in (False, True):
            reader, got, terminal = read(chunks, hold=hold)
            assert reader.usage == expected.usage
            assert reader.model == expected.model
            assert reader.terminal == bool(last)
            assert (terminal is not None) == bool(last)
            if not expected.usage.whole:
                assert got == texts
    assert expected.usage.whole == bool(last)


def test_the_last_event_has_the_usage_and_its_parts() -> None:
    """Usage is read inside ``response``, parts are parts, and the stream ends with that event."""
    reader, _, terminal = read([CREATED, delta("hi"), COMPLETED])
    assert terminal == len(CREATED + delta("hi") + COMPLETED)
    usage = reader.usage
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_output_tokens) == (9, 5, 3)
    assert (usage.cache_read_input_tokens, usage.cache_write_input_tokens) == (4, 2)
    assert reader.model == "m-1"
    assert not reader.error


def test_a_failed_response_is_an_error_with_what_it_used() -> None:
    """A failure ends the stream, is an error, and what it reports is kept."""
    failed = event("response.failed", response=response(USAGE, "failed", error={"code": "x"}))
    reader, _, terminal = read([CREATED, failed])
    assert terminal
    assert reader.error
    assert reader.usage.output_tokens == 5


def test_an_error_event_is_noticed() -> None:
    """An error event is an error; what follows is still read."""
    for hold in (True, False):
        reader, _, _ = read([delta("hi"), event("error", message="no"), COMPLETED], hold=hold)
        assert reader.usage.whole
    reader, places, _ = read([delta("hi"), event("error", message="no")])
    assert reader.error
    assert places == {(0, 0): "hi"}


def test_deltas_are_told_apart_and_counted_once() -> None:
    """Each item and kind has its place; what repeats the text whole is not counted again."""
    events = [
        event("response.output_item.added", output_index=1, item={"type": "x", "name": "weather"}),
        delta("{", 2, "function_call_arguments", 1),
        delta("}", 3, "function_call_arguments", 1),
        event("response.function_call_arguments.done", output_index=1, arguments="{}"),
        delta("no", 4, "refusal", 2),
        delta("why", 5, "reasoning_text", 3),
        delta("he", 6),
        delta("llo", 7),
        event("response.output_text.done", output_index=0, text="hello"),
        event("response.output_item.done", output_index=0, item={"content": [{"text": "hello"}]}),
    ]
    for chunks in (events, [b"".join(events)]):
        reader, places, _ = read(chunks, hold=False, complete=False)
        assert places == {(1, 3): "weather{}", (2, 2): "no", (3, 1): "why", (0, 0): "hello"}
        assert reader.opaque, "calls and reasoning have a frame that is not in the text"
    reader, _, _ = read([delta("a"), delta("b")], hold=False, complete=False)
    assert reader.recognised
    assert not reader.opaque


def test_a_large_last_event_is_read() -> None:
    """An answer with an image of megabytes in it still has its usage."""
    image = {"type": "image_generation_call", "result": "A" * 3_000_000}
    body = CREATED + event("response.completed", response=response(USAGE, output=[image]))
    reader, _, terminal = read([body[i : i + 65536] for i in range(0, len(body), 65536)])
    assert terminal == len(body)
    assert reader.usage.whole
    assert reader.malformed == 0


def test_data_without_types_of_events_is_read() -> None:
    """Servers that leave the ``event`` line out, or end with ``[DONE]``, are read alike."""
    chunks = [part.partition(b"\n")[2] for part in (CREATED, delta("hi"), COMPLETED)]
    reader, _, terminal = read([*chunks, b"data: [DONE]\n\n"])
    assert terminal == sum(map(len, chunks))
    assert reader.usage.whole
    reader, places, terminal = read([chunks[1], b"data: [DONE]\n\n"])
    assert terminal
    assert places == {(0, 0): "hi"}


@pytest.mark.parametrize(
    ("name", "events", "expected"),
    [
        (
            "openai.transcriptions",
            [
                event("transcript.text.delta", delta="hel"),
                event(
                    "transcript.text.done",
                    text="hello",
                    usage={
                        "type": "tokens",
                        "input_tokens": 14,
                        "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
                        "output_tokens": 2,
                        "total_tokens": 16,
                    },
                ),
            ],
            (14, 2, 10),
        ),
        (
            "openai.speech",
            [
                event("speech.audio.delta", audio="AAAA"),
                event("speech.audio.done", usage={"input_tokens": 3, "output_tokens": 40}),
            ],
            (3, 40, None),
        ),
        (
            "openai.images",
            [
                event("image_generation.partial_image", b64_json="A" * 2_000_000),
                event(
                    "image_generation.completed",
                    b64_json="A" * 2_000_000,
                    usage={"input_tokens": 50, "output_tokens": 4160, "total_tokens": 4210},
                ),
            ],
            (50, 4160, None),
        ),
    ],
)
def test_sound_and_images_report_at_the_top(
    name: str, events: list[bytes], expected: tuple[int, int, int | None]
) -> None:
    """Streams of other endpoints have their usage at the top of the last event."""
    reader, _, _ = read(events, name=name)
    usage = reader.usage
    assert (usage.input_tokens, usage.output_tokens, usage.audio_input_tokens) == expected
    assert reader.malformed == 0


def test_text_that_is_cut_between_surrogates_is_read() -> None:
    """Halves of a pair in two deltas, and bytes that are no UTF-8, make no event unreadable."""
    half = delta("x").replace(b'"x"', b'"a\\ud83d"')
    broken = delta("x").replace(b'"x"', b'"b\xff"')
    reader, places, _ = read([delta("0"), half, broken, delta("c")], hold=False)
    assert places == {(0, 0): "0a\ufffdb\ufffdc"}
    assert reader.malformed == 0
