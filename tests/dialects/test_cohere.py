"""Cohere's two APIs: tokens before billed units, text and the last event, in any cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import detect, named
from zeroret.dialects.cohere import read_usage

if TYPE_CHECKING:
    from zeroret.dialects.answer import Parts, Reader
    from zeroret.dialects.dialect import Framing
    from zeroret.dialects.streams import StreamReader
    from zeroret.dialects.usage import Usage

V1: Final = named("cohere.v1.chat")
V2: Final = named("cohere.v2.chat")


class Text:
    """Collects delivered text by place."""

    def __init__(self) -> None:
        self.places: dict[tuple[int, int], str] = {}

    def __call__(self, parts: Parts) -> None:
        """Take a batch."""
        for place, texts in parts.items():
            self.places[place] = self.places.get(place, "") + "".join(texts)


def usage_of(taken: Any, made: Any) -> dict[str, Any]:
    """Return a usage block whose billed units are lower."""
    return {
        "billed_units": {"input_tokens": 1, "output_tokens": 1},
        "tokens": {"input_tokens": taken, "output_tokens": made},
        "cached_tokens": 2,
    }


def v2(kind: str, **fields: Any) -> bytes:
    """Return one event of version 2."""
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def delta2(text: str, index: int = 0) -> bytes:
    """Return one event that delivers *text*."""
    return v2("content-delta", index=index, delta={"message": {"content": {"text": text}}})


def end2(reason: str = "COMPLETE", **more: Any) -> bytes:
    """Return the last event of version 2."""
    return v2("message-end", delta={"finish_reason": reason, "usage": usage_of(212, 57), **more})


def v1(kind: str, *, last: bool = False, **fields: Any) -> bytes:
    """Return one line of version 1."""
    data = {"is_finished": last, "event_type": kind, **fields}
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def delta1(text: str) -> bytes:
    """Return one line that delivers *text*."""
    return v1("text-generation", text=text)


def end1(reason: str = "COMPLETE") -> bytes:
    """Return the last line of version 1, which repeats the whole text."""
    response = {"text": "repeated", "meta": usage_of(69, 116), "finish_reason": reason}
    return v1("stream-end", last=True, response=response, finish_reason=reason)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut *body* at *places*."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


def sides(usage: Usage) -> tuple[int | None, int | None]:
    """Return the two sides."""
    return usage.input_tokens, usage.output_tokens


def read(
    pieces: list[bytes], version: int, *, hold: bool = True, complete: bool = True
) -> tuple[StreamReader, Text, int | None]:
    """Read a stream; the third value is how many bytes had passed when it was called terminal."""
    text = Text()
    framing: Framing = "sse" if version == 2 else "ndjson"
    reader = (V2 if version == 2 else V1).stream(text, hold=hold, framing=framing)
    terminal = None
    passed = 0
    for piece in pieces:
        passed += len(piece)
        if reader.feed(piece):
            assert terminal is None
            terminal = passed
    reader.finish(complete=complete, count=True)
    assert reader.held == 0
    return reader, text, terminal


TEXTS = st.sampled_from(
    [" a", "größe", "", "message-end", '"type":"message-end"', "event: content-delta\n"]
)
EVENTS = st.one_of(
    st.tuples(TEXTS, st.integers(0, 2)).map(lambda pair: (delta2(*pair), delta1(pair[0]))),
    st.sampled_from(
        [
            (v2("message-start", delta={"message": {"role": "assistant"}}), v1("stream-start")),
            (v2("tool-plan-delta", delta={"message": {"tool_plan": "I"}}), b"\r\n"),
            (v2("citation-start", delta={"message": {"citations": {"text": "no"}}}), v1("x")),
            (b": note\n\n", v1("citation-generation", citations=[{"text": "no"}])),
        ]
    ),
)


@given(
    st.lists(EVENTS, max_size=8),
    st.lists(st.integers(0, 5000), max_size=9),
    st.sampled_from([1, 2]),
)
def test_any_cut_reads_alike(
    events: list[tuple[bytes, bytes]], places: list[int], version: int
) -> None:
    """Usage, text and the last event depend on the bytes alone, not on how they came."""
    last = end2() if version == 2 else end1()
    body = b"".join(pair[2 - version] for pair in events) + last
    _, text, _ = read([body.removesuffix(last)], version, hold=False, complete=False)
    for pieces in ([body], cut(body, places), [body[i : i + 1] for i in range(len(body))]):
        for hold in (False, True):
            reader, got, terminal = read(pieces, version, hold=hold)
            assert terminal == len(body)
            assert sides(reader.usage) == ((212, 57) if version == 2 else (69, 116))
            assert reader.usage.cache_read_input_tokens == 2
            assert not reader.error
            assert hold or got.places == text.places


@given(
    st.lists(EVENTS, max_size=6),
    st.lists(st.integers(0, 5000), max_size=9),
    st.sampled_from([1, 2]),
)
def test_a_stream_without_its_last_event_is_counted(
    events: list[tuple[bytes, bytes]], places: list[int], version: int
) -> None:
    """Where the client hung up nobody reported the tokens of the text, and nothing was last."""
    body = b"".join(pair[2 - version] for pair in [*events, (delta2("hello", 9), delta1("hello"))])
    for hold in (False, True):
        reader, text, terminal = read(cut(body, places), version, hold=hold, complete=False)
        assert terminal is None
        assert sides(reader.usage) == (None, None)
        assert text.places[(9 if version == 2 else 0), 0].endswith("hello")
        assert reader.recognised
        assert reader.opaque


def test_what_follows_the_last_event_changes_nothing() -> None:
    """Some servers send ``[DONE]`` after it."""
    reader, _, terminal = read([delta2("a"), end2(), b"data: [DONE]\n\n"], 2)
    assert terminal == len(delta2("a") + end2())
    assert sides(reader.usage) == (212, 57)
    assert reader.malformed == 0


@pytest.mark.parametrize("version", [1, 2])
def test_an_error_ends_the_stream(version: int) -> None:
    """A stream that ends with an error is one."""
    reason = "ERROR_LIMIT"
    body = delta2("a") + end2(reason) if version == 2 else delta1("a") + end1(reason)
    reader, _, terminal = read([body], version)
    assert terminal == len(body)
    assert reader.error


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (usage_of(867, 110), (867, 110)),
        ({"billed_units": {"input_tokens": 7, "output_tokens": 129}}, (7, 129)),
        ({"billed_units": {"input_tokens": 4, "image_tokens": 10}}, (14, None)),
        ({"billed_units": {"search_units": 1}}, (None, None)),
        (usage_of(0, 0), (0, 0)),
        (usage_of("867", 110), (None, 110)),
        (usage_of(867, -1), (867, None)),
        ({"tokens": [], "billed_units": "x"}, (None, None)),
    ],
)
def test_tokens_come_before_billed_units(
    block: dict[str, Any], expected: tuple[int | None, int | None]
) -> None:
    """Billed units stand in only where the tokens were not sent; what is no count is unknown."""
    usage = read_usage(block)
    assert usage is not None
    assert sides(usage) == expected


def answered(name: str, body: dict[str, Any]) -> tuple[Reader, Text]:
    """Read one answer."""
    text = Text()
    reader = named(name).body(text)
    reader.feed(json.dumps(body).encode())
    reader.finish(complete=True, count=True)
    return reader, text


CONTENT: Final = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}]
CALLS: Final = [{"id": "1", "function": {"name": "f", "arguments": '{"a":1}'}}]


@pytest.mark.parametrize(
    ("name", "body", "places"),
    [
        (
            "cohere.v2.chat",
            {"message": {"content": CONTENT, "tool_plan": "plan", "tool_calls": CALLS}},
            {(0, 1): "hmplan", (0, 0): "hi", (0, 2): 'f{"a":1}'},
        ),
        (
            "cohere.v1.chat",
            {
                "text": "hi",
                "generation_id": "g",
                "chat_history": [{"message": "no"}],
                "tool_calls": [{"name": "f", "parameters": {"a": 1}}],
            },
            {(0, 0): "hi", (0, 2): 'f{"a":1}'},
        ),
        (
            "cohere.v1.generate",
            {"generations": [{"text": "hi"}, {"text": "ho"}], "prompt": "no"},
            {(0, 0): "hiho"},
        ),
        ("cohere.v2.chat", {"message": "no such model"}, {}),
    ],
)
def test_every_kind_of_text_is_read(
    name: str, body: dict[str, Any], places: dict[tuple[int, int], str]
) -> None:
    """Text, thoughts, plans and calls are output; the prompt that is repeated is not."""
    reader, text = answered(name, body)
    assert text.places == places
    assert reader.recognised == bool(places)


def test_every_kind_of_event_is_read() -> None:
    """Tool calls arrive in pieces of their own."""
    call = {"function": {"name": "f", "arguments": ""}}
    events = [
        v2("tool-call-start", index=1, delta={"message": {"tool_calls": call}}),
        v2(
            "tool-call-delta",
            index=1,
            delta={"message": {"tool_calls": {"function": {"arguments": "{}"}}}},
        ),
        v2("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}}),
        v2("content-delta", index=0, delta={"message": {"content": {"thinking": "hm"}}}),
    ]
    _, text, _ = read(events, 2, complete=False)
    assert text.places == {(1, 2): "f{}", (0, 1): "hm"}
    _, text, _ = read(
        [v1("tool-calls-chunk", tool_call_delta={"name": "f", "parameters": "{}"})], 1
    )
    assert text.places == {(0, 2): "f{}"}


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        (
            "cohere.v2.embed",
            {"embeddings": {}, "meta": {"billed_units": {"input_tokens": 208}}},
            (208, 0),
        ),
        (
            "cohere.v1.rerank",
            {"results": [], "meta": {"billed_units": {"search_units": 1}}},
            (None, None),
        ),
        ("cohere.v1.rerank", {"data": [], "usage": {"total_tokens": 43}}, (43, 0)),
        ("cohere.v1.embed", {"embeddings": []}, (None, None)),
        ("cohere.v2.rerank", {"usage": {"total_tokens": "43"}}, (None, None)),
    ],
)
def test_vectors_and_ranks_have_no_output(
    name: str, body: dict[str, Any], expected: tuple[int | None, int | None]
) -> None:
    """Where the input is known the output is zero; search units are no tokens."""
    reader, text = answered(name, body)
    assert sides(reader.usage) == expected
    assert not text.places


def test_paths_tell_the_version() -> None:
    """Version 1 and 2 have the same endpoints, and formats of their own."""
    for path, name in (
        ("/v1/chat", "cohere.v1.chat"),
        ("/v2/chat/", "cohere.v2.chat"),
        ("/x/v1/generate", "cohere.v1.generate"),
        ("/v1/embed", "cohere.v1.embed"),
        ("/v2/rerank", "cohere.v2.rerank"),
    ):
        dialect = detect(path)
        assert dialect is not None
        assert dialect.name == name
    assert detect("/chat") is None


@given(st.binary(max_size=200), st.lists(st.integers(0, 900), max_size=6), st.sampled_from([1, 2]))
def test_any_bytes_are_borne(junk: bytes, places: list[int], version: int) -> None:
    """Arbitrary bytes after a good stream never raise, and never change what it reported."""
    good = end2() if version == 2 else end1()
    for pieces in ([good + junk], cut(good + junk, places)):
        for hold in (True, False):
            reader, _, terminal = read(pieces, version, hold=hold)
            assert terminal is not None
            assert sides(reader.usage) in {(212, 57), (69, 116)}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "message",
                    "content",
                    "text",
                    "tool_calls",
                    "function",
                    "usage",
                    "tokens",
                    "input_tokens",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "type",
                "delta",
                "message",
                "meta",
                "usage",
                "response",
                "text",
                "tool_calls",
                "generations",
                "index",
                "finish_reason",
            ]
        ),
        JSON_VALUES,
        max_size=6,
    )
)
def test_any_object_is_borne(event: dict[str, Any]) -> None:
    """Objects of any shape never raise; counts are counts or unknown."""
    answered("cohere.v2.chat", event)
    reader, _, _ = read([b"data: " + json.dumps(event).encode() + b"\n\n"], 2)
    assert not reader.broken
    for count in sides(reader.usage):
        assert count is None or count >= 0
