"""OpenAI's dialects: usage, text and the terminal event, in any cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import Dialect, named
from zeroret.dialects.answer import Parts
from zeroret.dialects.openai import read_usage
from zeroret.dialects.streams import HOLD_LIMIT, StreamReader
from zeroret.dialects.usage import COUNTS, Usage, fold

CHAT = "openai.chat"
CHATS = named(CHAT)


class Text:
    """Collects delivered text by place."""

    def __init__(self) -> None:
        self.places: dict[tuple[int, int], str] = {}

    def __call__(self, parts: Parts) -> None:
        """Take a batch."""
        for place, texts in parts.items():
            self.places[place] = self.places.get(place, "") + "".join(texts)


def chunk(**fields: Any) -> bytes:
    """Return one event."""
    return b"data: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n"


def delta(text: str, index: int = 0, **fields: Any) -> bytes:
    """Return one event that delivers *text*."""
    return chunk(model="m-1", choices=[{"index": index, "delta": {"content": text}}], **fields)


DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def read(
    chunks: list[bytes], *, hold: bool, dialect: Dialect = CHATS, complete: bool = True
) -> tuple[StreamReader, Text, int | None]:
    """Read a stream; the third value is how many bytes had passed when it was called terminal."""
    text = Text()
    reader = dialect.stream(text, hold=hold)
    terminal = None
    passed = 0
    for piece in chunks:
        passed += len(piece)
        if reader.feed(piece):
            assert terminal is None
            terminal = passed
    reader.finish(complete=complete, count=True)
    assert reader.held == 0
    return reader, text, terminal


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut *body* at *places*."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


TEXTS = st.sampled_from(
    [
        " a",
        "größe €",
        "",
        "[DONE]",
        "data: [DONE]\n\n",
        '"usage"',
        '"usage":null',
        "\n\n",
        '"error"',
    ]
)
EVENTS = st.one_of(
    TEXTS.map(delta),
    st.tuples(TEXTS, st.integers(0, 2)).map(lambda pair: delta(*pair)),
    TEXTS.map(lambda text: delta(text, usage=None)),
    st.sampled_from(
        [
            b": ping\n\n",
            chunk(choices=[], usage=USAGE),
            chunk(choices=[], usage={"prompt_tokens": 9}),
            chunk(choices=[], usage={"completion_tokens": 0, "prompt_tokens": 1}),
            chunk(model="m-1", choices=[], x_groq={"usage": USAGE}),
            chunk(choices=[{"index": 0, "delta": {"tool_calls": [{"function": {"name": "f"}}]}}]),
            chunk(choices=[{"index": 0, "delta": {"reasoning": "why"}}]),
            b"data: {broken\n\n",
        ]
    ),
)


@given(
    st.lists(EVENTS, max_size=12),
    st.lists(st.integers(0, 5000), max_size=10),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.sampled_from([DONE, b""]),
)
def test_any_cut_and_line_end_reads_alike(
    events: list[bytes], places: list[int], end: bytes, last: bytes
) -> None:
    """Usage, model, error and text depend on the bytes alone, not on how they came."""
    plain = b"".join(events) + last
    expected, text, _ = read([plain], hold=False)
    body = plain.replace(b"\n", end)
    for chunks in ([body], cut(body, places), [body[i : i + 1] for i in range(len(body))]):
        for hold in (False, True):
            reader, got, terminal = read(chunks, hold=hold)
            assert reader.usage == expected.usage
            assert reader.model == expected.model
            assert reader.terminal == bool(last)
            if last:
                assert terminal is not None
            if not expected.usage.whole:
                assert reader.error == expected.error
                assert got.places == text.places


@given(st.lists(TEXTS.map(delta), max_size=6), st.lists(st.integers(0, 5000), max_size=9))
def test_the_terminal_chunk_is_the_one_that_completes_it(
    events: list[bytes], places: list[int]
) -> None:
    """True comes with the very chunk that holds the last byte of the terminal event."""
    body = b"".join(events) + DONE
    for hold in (False, True):
        _, _, terminal = read([*cut(body, places)], hold=hold)
        assert terminal == len(body)
        _, _, terminal = read([body[:-1]], hold=hold)
        assert terminal is None


def test_content_that_speaks_of_the_marker_is_no_marker() -> None:
    """A model that writes the terminal event's text does not end its stream."""
    for text in ("[DONE]", "data: [DONE]\n\n", "\ndata: [DONE]"):
        reader, got, terminal = read([delta(text), delta("more")], hold=False)
        assert terminal is None
        assert not reader.terminal
        assert got.places == {(0, 0): text + "more"}


def test_the_last_whole_usage_wins_and_is_never_added() -> None:
    """Running totals overwrite, null changes nothing, zero is kept."""
    first = chunk(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 1})
    last = chunk(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 0})
    reader, _, _ = read([first, last, chunk(choices=[], usage=None), DONE], hold=True)
    assert (reader.usage.input_tokens, reader.usage.output_tokens) == (5, 0)


def test_partial_usages_complete_each_other() -> None:
    """Two halves make a whole, whichever comes first."""
    halves = [
        chunk(choices=[], usage={"prompt_tokens": 5}),
        chunk(choices=[], usage={"completion_tokens": 2}),
    ]
    for order in (halves, halves[::-1]):
        reader, _, _ = read(order, hold=True)
        assert reader.usage.whole


def test_a_missing_usage_is_unknown_not_zero() -> None:
    """A stream without usage leaves every count None and its text counted."""
    reader, text, _ = read([delta("hi"), DONE], hold=True)
    assert all(getattr(reader.usage, name) is None for name in COUNTS)
    assert text.places == {(0, 0): "hi"}
    assert reader.recognised


def test_an_error_event_is_noticed() -> None:
    """An error in the stream is flagged; its text goes nowhere."""
    error = b'event: error\ndata: {"error":{"message":"no"}}\n\n'
    for hold in (False, True):
        reader, text, _ = read([delta("hi"), error], hold=hold)
        assert reader.error
        assert text.places == {(0, 0): "hi"}


def test_every_kind_of_text_has_its_place() -> None:
    """Content, reasoning, refusal and tool calls are counted apart; lists are flattened."""
    events = [
        chunk(choices=[{"index": 1, "delta": {"reasoning_content": "r", "content": None}}]),
        chunk(choices=[{"index": 1, "delta": {"refusal": "no"}}]),
        chunk(choices=[{"index": 1, "delta": {"content": [{"type": "text", "text": "t"}]}}]),
        chunk(
            choices=[
                {"index": 1, "delta": {"tool_calls": [{"function": {"name": "f"}}]}},
                {"index": 1, "delta": {"tool_calls": [{"function": {"arguments": "{}"}}]}},
            ]
        ),
        chunk(choices=[{"index": 0, "text": "plain"}]),
    ]
    reader, text, _ = read(events, hold=False)
    assert text.places == {(1, 0): "t", (1, 1): "r", (1, 2): "no", (1, 3): "f{}", (0, 0): "plain"}
    assert reader.opaque, "a call is framed by tokens that are not in its text"


def test_audio_is_not_text() -> None:
    """A delivered sound makes a count of the text no count of the whole."""
    audio = {"id": "a", "transcript": "hi", "data": "AAAA"}
    reader, text, _ = read([chunk(choices=[{"index": 0, "delta": {"audio": audio}}])], hold=False)
    assert reader.opaque
    assert text.places == {(0, 4): "hi"}


def test_a_last_event_without_its_blank_line_is_read() -> None:
    """A server that forgets the last newline is metered all the same; a cut event is no fault."""
    tail = chunk(choices=[], usage=USAGE)
    reader, _, _ = read([delta("hi"), tail[:-2]], hold=True)
    assert reader.usage.whole
    reader, _, _ = read([delta("hi"), tail[:-20]], hold=False, complete=False)
    assert not reader.usage.whole
    assert reader.malformed == 0


def test_broken_utf8_is_counted_as_the_client_sees_it() -> None:
    """A broken byte becomes one replacement character, as an event stream's decoder makes it."""
    broken = delta("x").replace(b'"x"', b'"a\xffb"')
    _, text, _ = read([broken, delta("c")], hold=False)
    assert text.places == {(0, 0): "a\ufffdbc"}


@pytest.mark.parametrize("size", [100, 50_000])
def test_what_a_stream_holds_is_bounded(size: int) -> None:
    """Past the limit a holding reader counts as it goes, and nothing is lost."""
    text = Text()
    reader = CHATS.stream(text, hold=True)
    piece = delta("x" * size)
    number = 3 * HOLD_LIMIT // len(piece)
    most = 0
    for _ in range(number):
        reader.feed(piece)
        most = max(most, reader.held)
    reader.finish(complete=True, count=True)
    assert most < 1.5 * HOLD_LIMIT + 256 * 8192
    assert len(text.places[0, 0]) == number * size


def test_a_stream_that_nobody_counts_is_not_kept() -> None:
    """Without a counter, of a stream of errors say, only the usual bound is held."""
    reader = CHATS.stream(None, hold=True)
    for _ in range(60_000):
        reader.feed(delta("x" * 20))
    assert reader.held < 2 * HOLD_LIMIT
    reader.finish(complete=True, count=False)
    assert reader.held == 0


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (USAGE, (7, 3)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0)),
        ({"prompt_tokens": -1, "completion_tokens": 3}, (None, 3)),
        ({"prompt_tokens": 1.5, "completion_tokens": 3.0}, (None, 3)),
        ({"prompt_tokens": "7", "completion_tokens": True}, (None, None)),
        ({"prompt_tokens": 2**53, "completion_tokens": 2**53 + 1}, (2**53, None)),
        ({"prompt_tokens": None}, (None, None)),
        # the total proves that reasoning was left out of the output, or that it was not
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "total_tokens": 10,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            (5, 5),
        ),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 5,
                "total_tokens": 10,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            (5, 5),
        ),
    ],
)
def test_only_whole_numbers_are_counts(
    block: dict[str, Any], expected: tuple[int | None, int | None]
) -> None:
    """What is no count is unknown; an explicit zero stays."""
    usage = read_usage(block, CHAT)
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == expected


@pytest.mark.parametrize(
    "block",
    [
        {"prompt_tokens_details": {"cached_tokens": 4}, "prompt_cache_hit_tokens": 9},
        {"prompt_tokens_details": None, "prompt_cache_hit_tokens": 4},
        {"cached_tokens": 4},
        {"num_cached_tokens": 4},
    ],
)
def test_cached_input_is_found_where_servers_put_it(block: dict[str, Any]) -> None:
    """Four places are known; the details come first."""
    usage = read_usage(block, CHAT)
    assert usage is not None
    assert usage.cache_read_input_tokens == 4


def test_details_are_parts() -> None:
    """Audio, reasoning and cache writes are read beside the totals and never added."""
    block = {
        **USAGE,
        "prompt_tokens_details": {"audio_tokens": 2, "cache_write_tokens": 1},
        "completion_tokens_details": {"audio_tokens": 1, "reasoning_tokens": 2},
    }
    assert read_usage(block, CHAT) == Usage(
        input_tokens=7,
        output_tokens=3,
        cache_write_input_tokens=1,
        reasoning_output_tokens=2,
        audio_input_tokens=2,
        audio_output_tokens=1,
    )


USAGES = st.builds(
    Usage,
    input_tokens=st.none() | st.integers(0, 9),
    output_tokens=st.none() | st.integers(0, 9),
    cache_read_input_tokens=st.none() | st.integers(0, 9),
)


@given(st.lists(USAGES, max_size=6), st.integers(0, 6))
def test_folding_is_the_same_from_the_last_whole_report(usages: list[Usage], seen: int) -> None:
    """Reading only from the last whole report on gives what reading all gives."""

    def total(reports: list[Usage]) -> Usage:
        known = Usage()
        for report in reports:
            known = fold(known, Usage(*[getattr(report, name) for name in COUNTS]))
        return known

    wholes = [place for place, usage in enumerate(usages) if usage.whole]
    start = wholes[-1] if wholes else 0
    assert total(usages) == total(usages[start:])
    # and reading the first of them twice changes nothing
    assert total(usages[:seen] + usages) == total(usages)


def test_an_embedding_has_no_output() -> None:
    """Embeddings report their input, by either name, and put out nothing."""
    for usage in ({"prompt_tokens": 8, "total_tokens": 8}, {"total_tokens": 8}):
        reader = named("openai.embeddings").body(None)
        reader.feed(json.dumps({"model": "e", "data": [], "usage": usage}).encode())
        reader.finish(complete=True, count=False)
        assert (reader.usage.input_tokens, reader.usage.output_tokens) == (8, 0)


def test_embeddings_without_usage_are_recognised() -> None:
    """Vectors put out nothing even where no usage is reported; another answer says nothing."""
    for data, output in (([{"embedding": [0.5]}], 0), (None, None), ("x", None)):
        reader = named("openai.embeddings").body(None)
        reader.feed(json.dumps({"data": data}).encode())
        reader.finish(complete=True, count=True)
        assert reader.recognised is (output == 0)
        assert reader.usage.output_tokens == output
        assert reader.malformed == 0


def test_a_body_is_read_at_its_end_only() -> None:
    """A JSON answer in pieces is read whole; half of one says nothing."""
    body = json.dumps({"model": "m", "choices": [{"text": "hi"}], "usage": USAGE}).encode()
    for step in (1, 7, 1000):
        reader = named("openai.completions").body(None)
        for i in range(0, len(body), step):
            assert not reader.feed(body[i : i + step])
        reader.finish(complete=True, count=False)
        assert reader.usage.whole
        assert reader.model == "m"
        assert reader.held == 0
    for piece, whole in ((body[:-1], False), (body, True)):
        # a client that left after the last byte had its answer
        reader = named("openai.completions").body(None)
        reader.feed(piece)
        reader.finish(complete=False, count=False)
        assert reader.usage.whole is whole
        assert reader.malformed == 0


def test_a_body_without_usage_gives_its_text() -> None:
    """Messages and tool calls of a body without usage are handed over to be counted."""
    text = Text()
    reader = CHATS.body(text)
    call = {"function": {"name": "f", "arguments": "{}"}}
    message = {"content": "hi", "tool_calls": [call]}
    reader.feed(json.dumps({"choices": [{"index": 0, "message": message}]}).encode())
    reader.finish(complete=True, count=True)
    assert text.places == {(0, 0): "hi", (0, 3): "f{}"}
