"""Gemini's answers, by its own API and by Vertex: usage, text and framing, in any cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import detect, named
from zeroret.dialects.gemini import read_usage
from zeroret.dialects.usage import Usage

if TYPE_CHECKING:
    from zeroret.dialects.answer import Parts, Reader
    from zeroret.dialects.dialect import Framing

STREAM: Final = named("gemini.streamGenerateContent")
BODY: Final = named("gemini.generateContent")


class Text:
    """Collects delivered text by place."""

    def __init__(self) -> None:
        self.places: dict[tuple[int, int], str] = {}

    def __call__(self, parts: Parts) -> None:
        """Take a batch."""
        for place, texts in parts.items():
            self.places[place] = self.places.get(place, "") + "".join(texts)


def chunk(text: str | None = None, reason: str | None = None, **usage: Any) -> dict[str, Any]:
    """Return one chunk of an answer; no usage means that the chunk has none."""
    parts = [] if text is None else [{"text": text}]
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    told = {"candidates": [candidate], "modelVersion": "gemini-2.5-flash"}
    return {**told, "usageMetadata": usage} if usage else told


def framed(chunks: list[dict[str, Any]], framing: Framing) -> bytes:
    """Return *chunks* as the server sends them."""
    if framing == "array":
        return b"[" + b",\r\n".join(json.dumps(each, indent=2).encode() for each in chunks) + b"\n]"
    return b"".join(b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in chunks)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut *body* at *places*."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


def read(
    pieces: list[bytes], framing: Framing = "sse", *, hold: bool = True, complete: bool = True
) -> tuple[Reader, Text]:
    """Read a stream; nothing in it is its last event."""
    text = Text()
    reader = STREAM.stream(text, hold=hold, framing=framing)
    for piece in pieces:
        assert not reader.feed(piece)
    reader.finish(complete=complete, count=True)
    assert reader.held == 0
    return reader, text


COUNTS: st.SearchStrategy[Any] = st.sampled_from([0, 3, 7.0, None, -1, 1.5, "4", 2**60, True, {}])
CHUNKS = st.builds(
    chunk,
    st.sampled_from(["a", "größe", "", '"usageMetadata": {"promptTokenCount": 9}', None]),
    st.sampled_from([None, "STOP"]),
    promptTokenCount=COUNTS,
    candidatesTokenCount=COUNTS,
    thoughtsTokenCount=COUNTS,
) | st.builds(chunk, st.text(max_size=9))


@given(
    st.lists(CHUNKS, min_size=1, max_size=6),
    st.lists(st.integers(0, 5000), max_size=9),
    st.sampled_from(["sse", "array"]),
)
def test_any_cut_and_framing_reads_alike(
    chunks: list[dict[str, Any]], places: list[int], framing: Framing
) -> None:
    """Usage, model and text depend on the chunks alone, not on how they came."""
    whole = framed(chunks, framing)
    expected, text = read([framed(chunks, "sse")], hold=False)
    for pieces in ([whole], cut(whole, places), [whole[i : i + 1] for i in range(len(whole))]):
        for hold in (False, True):
            reader, got = read(pieces, framing, hold=hold)
            assert reader.model == expected.model == "gemini-2.5-flash"
            assert counts(reader.usage) == counts(expected.usage)
            if not expected.usage.whole:
                assert got.places == text.places


def counts(usage: Usage) -> tuple[int | None, ...]:
    """Return the two sides and the cached part."""
    return usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens


def test_thoughts_are_output_and_what_tools_read_is_input() -> None:
    """The sides are sums; the parts are named beside them."""
    usage = read_usage(
        {
            "promptTokenCount": 100,
            "toolUsePromptTokenCount": 20,
            "candidatesTokenCount": 7,
            "thoughtsTokenCount": 30,
            "cachedContentTokenCount": 64,
            "promptTokensDetails": [
                {"modality": "AUDIO", "tokenCount": 40},
                {"modality": "TEXT", "tokenCount": 60},
            ],
            "toolUsePromptTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}],
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
        },
        ended=True,
        refused=False,
    )
    assert usage == Usage(
        input_tokens=120,
        output_tokens=37,
        cache_read_input_tokens=64,
        reasoning_output_tokens=30,
        audio_input_tokens=42,
        audio_output_tokens=5,
    )


@pytest.mark.parametrize(
    ("block", "ended", "refused", "expected"),
    [
        ({"promptTokenCount": 9, "totalTokenCount": 9}, True, False, (9, 0)),
        ({"promptTokenCount": 9, "totalTokenCount": 9}, False, False, (9, None)),
        ({"promptTokenCount": 9, "totalTokenCount": 12}, True, False, (9, None)),
        ({"promptTokenCount": 9}, True, False, (9, None)),
        ({"totalTokenCount": 0}, True, False, (None, None)),
        ({"trafficType": "ON_DEMAND"}, False, True, (0, 0)),
        ({"trafficType": "ON_DEMAND"}, True, False, (None, None)),
        ({"promptTokenCount": 9}, False, True, (9, 0)),
        ({"promptTokenCount": "9"}, False, True, (None, 0)),
        ({"promptTokenCount": 9, "thoughtsTokenCount": 3}, False, False, (9, 3)),
        ({"promptTokenCount": 9, "candidatesTokenCount": "x"}, True, False, (9, None)),
        (
            {"promptTokenCount": 9, "candidatesTokenCount": "x", "thoughtsTokenCount": 3},
            True,
            False,
            (9, None),
        ),
        ({"promptTokenCount": 9, "toolUsePromptTokenCount": -3}, True, False, (None, None)),
        ({"promptTokenCount": 2**60, "candidatesTokenCount": 1}, True, False, (None, 1)),
    ],
)
def test_a_missing_count_is_zero_only_where_that_is_proved(
    block: dict[str, Any],
    ended: bool,  # noqa: FBT001 - pytest passes it
    refused: bool,  # noqa: FBT001 - likewise
    expected: tuple[int | None, int | None],
) -> None:
    """Proto3 leaves zeros out: the total of an ended answer or a refused prompt proves one."""
    usage = read_usage(block, ended=ended, refused=refused)
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == expected


def test_no_block_is_no_usage() -> None:
    """What is no object says nothing, and is a fault."""
    assert read_usage(None, ended=True, refused=False) is None
    blocks: tuple[object, ...] = ([], "9", 9)
    for block in blocks:
        assert read_usage(block, ended=True, refused=False) == Usage(malformed=1)


def test_running_totals_are_overwritten() -> None:
    """The last chunk's usage is the answer's, whatever the earlier ones said."""
    chunks = [
        chunk("a", promptTokenCount=15, candidatesTokenCount=50, thoughtsTokenCount=100),
        chunk("b", promptTokenCount=15, totalTokenCount=15),
        chunk("c", "STOP", promptTokenCount=13, candidatesTokenCount=8, totalTokenCount=21),
    ]
    for hold in (True, False):
        reader, _ = read([framed(chunks, "sse")], hold=hold)
        assert counts(reader.usage) == (13, 8, None)


def test_a_stream_that_was_cut_has_what_it_reported_until_then() -> None:
    """Delivered text without a count of it is counted, and never called zero."""
    early = [chunk("hel", promptTokenCount=15, totalTokenCount=15), chunk("lo")]
    for framing in ("sse", "array"):
        body = framed(early, framing).removesuffix(b"\n]") + b'\n,{"candidates": [{"con'
        reader, text = read([body], framing, complete=False)
        assert counts(reader.usage) == (15, None, None)
        assert text.places == {(0, 0): "hello"}
        assert reader.opaque
        assert reader.recognised


def test_every_kind_of_part_is_read() -> None:
    """Text, thoughts, calls and code are output; an image is not counted."""
    parts = [
        {"text": "hm", "thought": True},
        {"text": "hi"},
        {"functionCall": {"name": "find", "args": {"a": 1}}},
        {"executableCode": {"language": "PYTHON", "code": "print()"}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
    ]
    answer = {"candidates": [{"content": {"parts": parts}}, {"index": 1}]}
    text = Text()
    reader = BODY.body(text)
    reader.feed(json.dumps(answer).encode())
    reader.finish(complete=True, count=True)
    assert text.places == {(0, 1): "hm", (0, 0): "hi", (0, 2): 'find{"a":1}print()'}
    assert reader.opaque


def test_errors_are_errors() -> None:
    """An error is one as a body, as an event, and as the one object of an array."""
    error = {"error": {"code": 503, "status": "UNAVAILABLE"}}
    body = BODY.body(None)
    body.feed(json.dumps(error).encode())
    body.finish(complete=True, count=False)
    assert body.error
    for framing in ("sse", "array"):
        reader, _ = read([framed([chunk("a"), error], framing)], framing)
        assert reader.error


def test_an_event_may_hold_an_image() -> None:
    """Usage that stands beside megabytes of base64 is read."""
    event = chunk("a", "STOP", promptTokenCount=5, candidatesTokenCount=1290)
    event["candidates"][0]["content"]["parts"].append({"inlineData": {"data": "A" * 3 * 2**20}})
    for framing in ("sse", "array"):
        body = framed([event], framing)
        pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)]
        reader, _ = read(pieces, framing)
        assert counts(reader.usage) == (5, 1290, None)
        assert reader.malformed == 0


def embedded(body: dict[str, Any], name: str = "gemini.embedContent") -> Reader:
    """Read an answer that holds vectors."""
    reader = named(name).body(None)
    reader.feed(json.dumps(body).encode())
    reader.finish(complete=True, count=True)
    return reader


def test_vectors_have_no_output() -> None:
    """Where the input is known the output is zero; where it is not, nothing is claimed."""
    told = embedded({"embedding": {"values": [0.1]}, "usageMetadata": {"promptTokenCount": 11}})
    assert counts(told.usage) == (11, 0, None)
    silent = embedded({"embeddings": [{"values": [0.1]}]})
    assert counts(silent.usage) == (None, None, None)


def test_vertex_predictions_are_added_up() -> None:
    """Each instance has its own count; one that has none makes the sum unknown."""
    one = {"embeddings": {"statistics": {"token_count": 4}, "values": [0.1]}}
    two = {"embeddings": {"statistics": {"token_count": 3.0}}}
    none: dict[str, Any] = {"embeddings": {}}
    bad = {"embeddings": {"statistics": {"token_count": -1}}}
    for predictions, expected in (([one, two], 7), ([one, none], None), ([bad], None), ([], None)):
        reader = embedded({"predictions": predictions}, "vertex.predict")
        assert reader.usage.input_tokens == expected
        assert reader.usage.output_tokens == (None if expected is None else 0)


@pytest.mark.parametrize(
    ("path", "name", "model"),
    [
        (
            "/v1beta/models/gemini-2.5-flash:generateContent",
            "gemini.generateContent",
            "gemini-2.5-flash",
        ),
        (
            "/models/gemini-2.5-pro:streamGenerateContent",
            "gemini.streamGenerateContent",
            "gemini-2.5-pro",
        ),
        (
            "/v1/projects/p/locations/l/publishers/google/models/g:generateContent",
            "gemini.generateContent",
            "g",
        ),
        ("/v1/projects/p/locations/l/endpoints/77:generateContent", "gemini.generateContent", None),
        ("/v1beta/tunedModels/mine:generateContent", "gemini.generateContent", "mine"),
        ("/v1beta/models/e:embedContent", "gemini.embedContent", "e"),
        ("/v1beta/models/e:batchEmbedContents", "gemini.embedContent", "e"),
        ("/v1beta/models/g:countTokens", "gemini.countTokens", "g"),
        ("/v1beta1/publishers/google/models/e:predict", "vertex.predict", "e"),
    ],
)
def test_the_path_names_the_model(path: str, name: str, model: str | None) -> None:
    """Gemini's paths are known by their verbs, whatever stands before."""
    dialect = detect(path)
    assert dialect is not None
    assert dialect.name == name
    assert dialect.model_in(path) == model
    assert dialect.named_by_path


@pytest.mark.parametrize(
    "path", ["/models/g:other", "/models/g", "/g:generateContent", "/models/a/b:generateContent"]
)
def test_other_paths_are_not_geminis(path: str) -> None:
    """Another verb or another place is none of its own."""
    assert detect(path) is None


@given(
    st.binary(max_size=200),
    st.lists(st.integers(0, 900), max_size=6),
    st.sampled_from(["sse", "array"]),
)
def test_any_bytes_are_borne(junk: bytes, places: list[int], framing: Framing) -> None:
    """Arbitrary bytes after a good chunk never raise, and never change what it reported."""
    good = framed([chunk("a", "STOP", promptTokenCount=5, candidatesTokenCount=1)], framing)
    for pieces in ([good + junk], cut(good + junk, places)):
        for hold in (True, False):
            reader, _ = read(pieces, framing, hold=hold)
            assert counts(reader.usage) == (5, 1, None)
