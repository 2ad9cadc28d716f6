"""Bedrock's InvokeModel: the bodies, headers and chunks of every vendor's models."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from wsgiref.util import setup_testing_defaults

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret import ZeroRetention, testing
from zeroret.dialects import named
from zeroret.dialects.invoke import METRICS, header_usage
from zeroret.dialects.usage import Usage
from zeroret.tokens import TokenCounter
from zeroret.usage.meter import Meter, Metered

if TYPE_CHECKING:
    from zeroret.dialects.answer import Parts, Reader
    from zeroret.dialects.streams import StreamReader

Encode = Callable[..., bytes]
STREAM: Final = named("bedrock.invoke_stream")
BODY: Final = named("bedrock.invoke")


class Text:
    """Collects delivered text."""

    def __init__(self) -> None:
        self.said = ""

    def __call__(self, parts: Parts) -> None:
        """Take a batch."""
        self.said += "".join(text for texts in parts.values() for text in texts)


def sides(usage: Usage) -> tuple[int | None, int | None]:
    """Return the two sides."""
    return usage.input_tokens, usage.output_tokens


def answered(body: Any) -> tuple[Reader, str]:
    """Read one answer, its text too if it reports no usage."""
    text = Text()
    reader = BODY.body(text)
    reader.feed(json.dumps(body).encode())
    reader.finish(complete=True, count=True)
    return reader, text.said


@pytest.mark.parametrize(
    ("body", "expected", "said"),
    [
        (
            {
                "type": "message",
                "model": "claude-x",
                "content": [{"type": "text", "text": "hi"}],
                "usage": {"input_tokens": 4, "cache_read_input_tokens": 90, "output_tokens": 5},
            },
            (94, 5),
            "",
        ),
        (
            {
                "output": {"message": {"content": [{"text": "hi"}]}},
                "usage": {"inputTokens": 7, "outputTokens": 3},
            },
            (7, 3),
            "",
        ),
        (
            {"output": {"message": {"content": [{"text": "hi"}]}}, "usage": {"inputTokens": 7}},
            (7, None),
            "hi",
        ),
        (
            {"inputTextTokenCount": 9, "results": [{"tokenCount": 17, "outputText": "hi"}]},
            (9, 17),
            "",
        ),
        (
            {"inputTextTokenCount": 28.0, "results": [{"tokenCount": 1.0}, {"tokenCount": 2.0}]},
            (28, 3),
            "",
        ),
        (
            {"inputTextTokenCount": 9, "results": [{"tokenCount": 1}, {"outputText": "hi"}]},
            (9, None),
            "hi",
        ),
        ({"embedding": [0.1], "inputTextTokenCount": 2}, (2, 0), ""),
        ({"embeddings": {"float": [[0.1]]}, "texts": ["x"]}, (None, None), ""),
        ({"generation": "hi", "prompt_token_count": 8, "generation_token_count": 35}, (8, 35), ""),
        ({"generation": "hi", "prompt_token_count": 8}, (8, None), "hi"),
        (
            {"choices": [{"text": "hi"}], "usage": {"prompt_tokens": 6, "completion_tokens": 9}},
            (6, 9),
            "",
        ),
        ({"choices": [{"message": {"content": "hi"}}]}, (None, None), "hi"),
        ({"generations": [{"text": "hi"}], "prompt": "no"}, (None, None), "hi"),
        (
            {
                "text": "hi",
                "chat_history": [{"message": "no"}],
                "meta": {"billed_units": {"input_tokens": 2, "output_tokens": 3}},
            },
            (2, 3),
            "",
        ),
        ({"outputs": [{"text": "hi"}]}, (None, None), "hi"),
        ({"type": "completion", "completion": "hi"}, (None, None), "hi"),
        ({"message": "no such model"}, (None, None), ""),
        ({"usage": {"input_tokens": "4", "output_tokens": -5}}, (None, None), ""),
        ({"usage": []}, (None, None), ""),
    ],
)
def test_the_body_tells_whose_it_is(
    body: dict[str, Any], expected: tuple[int | None, int | None], said: str
) -> None:
    """Each vendor's counts are read by their names; text is delivered where they are missing."""
    reader, text = answered(body)
    assert sides(reader.usage) == expected
    assert text == said
    assert reader.recognised == bool(said)
    assert reader.opaque == bool(said)
    assert reader.model == body.get("model")


def test_no_body_is_too_deep() -> None:
    """A nesting bomb is no answer."""
    deep: Any = "hi"
    for _ in range(200):
        deep = {"content": [deep]}
    reader, text = answered(deep)
    assert sides(reader.usage) == (None, None)
    assert text == ""


HEADERS: Final = (
    (b"Content-Type", b"application/json"),
    (b"X-Amzn-Bedrock-Input-Token-Count", b"3"),
    (b"X-Amzn-Bedrock-Output-Token-Count", b"44"),
    (b"X-Amzn-Bedrock-Cache-Read-Input-Token-Count", b"9511"),
    (b"X-Amzn-Bedrock-Cache-Write-Input-Token-Count", b"1956"),
)


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (b"3", 3),
        (b"0", 0),
        (b"-3", None),
        (b"3.0", None),
        (b"\xb2", None),
        (b"", None),
        (b"9" * 40, None),
    ],
)
def test_headers_are_counts_or_nothing(value: bytes, known: int | None) -> None:
    """Digits are a count; anything else is unknown, and a fault."""
    usage = header_usage({b"x-amzn-bedrock-input-token-count": value})
    assert sides(usage) == (known, None)
    assert usage.malformed == (known is None)
    assert header_usage({}) == Usage()


def metered(
    body: Any, headers: tuple[tuple[bytes, bytes], ...], status: int = 200, *, complete: bool = True
) -> Metered:
    """Meter one exchange with *headers* of its response."""
    path = "/model/cohere.command-text-v14/invoke"
    meter = Meter(BODY, TokenCounter(), path=path)
    meter.request_chunk(b'{"prompt": "hi", "model": "mine"}')
    meter.request_end()
    assert meter.reads_headers
    meter.response_headers(headers)
    meter.response_start(status, b"application/json", b"")
    meter.response_chunk(json.dumps(body).encode())
    return meter.finish(complete=complete)


def test_headers_report_what_the_body_does_not() -> None:
    """Counts of the headers are usage, the cache included, unless the body has its own."""
    got = metered({"generations": [{"text": "hi"}]}, HEADERS)
    assert (got.input_tokens, got.output_tokens) == (11470, 44)
    assert (got.cache_read_input_tokens, got.cache_write_input_tokens) == (9511, 1956)
    assert got.usage_source == "reported"
    assert got.request_model == "cohere.command-text-v14"

    vectors = metered({"embeddings": [[0.1]]}, HEADERS[:2])
    assert (vectors.input_tokens, vectors.output_tokens) == (3, 0)

    own = metered({"prompt_token_count": 8, "generation_token_count": 35}, HEADERS)
    assert (own.input_tokens, own.output_tokens) == (8, 35)

    half = metered({"usage": {"inputTokens": 30}}, HEADERS[:3])
    assert (half.input_tokens, half.output_tokens) == (30, 44)

    cut = metered({"generations": []}, HEADERS, complete=False)
    assert (cut.input_tokens, cut.output_tokens) == (11470, 44)


def test_headers_of_an_error_or_that_lie_say_nothing() -> None:
    """A refused request used nothing; what is no number is a fault."""
    refused = metered({"message": "no"}, HEADERS, status=400)
    assert refused.usage_source == "unknown"
    odd = metered({"generations": []}, ((b"x-amzn-bedrock-input-token-count", b"many"),))
    assert odd.input_tokens is None
    assert odd.malformed == 1


# Streams: each event wraps the vendor's own.


def told(**counts: int) -> dict[str, Any]:
    """Return the counts that the last event has, whoever's it is."""
    return {METRICS: {**counts, "invocationLatency": 7}}


CLAUDE: Final[list[dict[str, Any]]] = [
    {
        "type": "message_start",
        "message": {
            "model": "claude-x",
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hel"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
    {
        "type": "message_delta",
        "usage": {"output_tokens": 21, "output_tokens_details": {"thinking_tokens": 4}},
    },
    {"type": "message_stop", **told(inputTokenCount=10, outputTokenCount=21)},
]
NOVA: Final[list[dict[str, Any]]] = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"delta": {"text": "hel"}, "contentBlockIndex": 0}},
    {"contentBlockDelta": {"delta": {"text": "lo"}, "contentBlockIndex": 0}},
    {
        "metadata": {
            "usage": {"inputTokens": 30, "outputTokens": 55, "cacheReadInputTokenCount": 5}
        },
        **told(inputTokenCount=30, outputTokenCount=55, cacheReadInputTokenCount=5),
    },
]
TITAN: Final[list[dict[str, Any]]] = [
    {"outputText": "hel", "inputTextTokenCount": 28.0},
    {
        "outputText": "lo",
        "totalOutputTextTokenCount": 99.0,
        **told(inputTokenCount=28, outputTokenCount=99),
    },
]
LLAMA: Final[list[dict[str, Any]]] = [
    {"generation": "hel", "prompt_token_count": 17, "generation_token_count": 1},
    {
        "generation": "lo",
        "prompt_token_count": None,
        "generation_token_count": 2,
        **told(inputTokenCount=17, outputTokenCount=2),
    },
]
COHERE: Final[list[dict[str, Any]]] = [
    {"text": "hel", "is_finished": False},
    {"text": "lo"},
    {"is_finished": True, **told(inputTokenCount=4, outputTokenCount=2)},
]
STREAMS: Final = {
    "claude": (CLAUDE, (100, 21)),
    "nova": (NOVA, (35, 55)),
    "titan": (TITAN, (28, 99)),
    "llama": (LLAMA, (17, 2)),
    "cohere": (COHERE, (4, 2)),
}


def wrapped(encode_message: Encode, *events: dict[str, Any]) -> bytes:
    """Return *events* as the server sends them."""
    inner = [b64encode(json.dumps(event, separators=(",", ":")).encode()) for event in events]
    return b"".join(encode_message(b'{"bytes":"%s","p":"abc"}' % each) for each in inner)


def read(
    pieces: list[bytes], *, hold: bool = True, complete: bool = True
) -> tuple[StreamReader, str, int | None]:
    """Read a stream; the third value is how many bytes had passed when it was called terminal."""
    text = Text()
    reader = STREAM.stream(text, hold=hold, framing="eventstream")
    terminal = None
    passed = 0
    for piece in pieces:
        passed += len(piece)
        if reader.feed(piece):
            assert terminal is None
            terminal = passed
    reader.finish(complete=complete, count=True)
    assert reader.held == 0
    return reader, text.said, terminal


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut *body* at *places*."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 5000), max_size=9))
def test_any_cut_of_any_vendors_stream_reads_alike(
    encode_message: Encode, vendor: str, places: list[int]
) -> None:
    """The usage is the vendor's own, and the last event is known by the counts it carries."""
    events, expected = STREAMS[vendor]
    body = wrapped(encode_message, *events)
    for pieces in ([body], cut(body, places), [body[i : i + 1] for i in range(len(body))]):
        for hold in (False, True):
            reader, said, terminal = read(pieces, hold=hold)
            assert terminal == len(body)
            assert sides(reader.usage) == expected
            assert reader.malformed == 0
            assert said in {"", "hello"}
            if vendor == "claude":
                assert reader.model == "claude-x"
                assert reader.usage.reasoning_output_tokens == 4
                assert reader.usage.cache_read_input_tokens == 90


@pytest.mark.parametrize(
    ("vendor", "known"),
    [
        ("claude", (100, None)),
        ("nova", (None, None)),
        ("titan", (28, None)),
        ("llama", (17, 1)),
        ("cohere", (None, None)),
    ],
)
def test_a_stream_that_was_cut_has_what_it_reported_until_then(
    encode_message: Encode, vendor: str, known: tuple[int | None, int | None]
) -> None:
    """What an early event tells is kept; the rest is for the count of the text."""
    events, _ = STREAMS[vendor]
    body = wrapped(
        encode_message, *events[: 3 if vendor == "claude" else 2 if vendor == "nova" else 1]
    )
    for hold in (False, True):
        reader, said, terminal = read([body], hold=hold, complete=False)
        assert terminal is None
        assert sides(reader.usage) == known
        assert said in {"", "hel"}
        assert (said == "hel") == (not reader.usage.whole) or not hold
        assert reader.opaque or reader.usage.whole


def test_the_last_events_counts_serve_any_vendor(encode_message: Encode) -> None:
    """Where the vendor's own say nothing, what Bedrock measured is the usage."""
    end = told(inputTokenCount=4, outputTokenCount=2, cacheWriteInputTokenCount=6)
    for hold in (False, True):
        reader, _, terminal = read([wrapped(encode_message, {"text": "hi"}, end)], hold=hold)
        assert terminal is not None
        assert sides(reader.usage) == (10, 2)


@pytest.mark.parametrize(
    "payload", [b'{"bytes":"!"}', b'{"bytes":7}', b"[]", b"{", b'{"bytes":"e30"}']
)
def test_what_wraps_nothing_is_a_fault(encode_message: Encode, payload: bytes) -> None:
    """A message without an object inside is dropped and counted; the stream goes on."""
    body = encode_message(payload) + wrapped(encode_message, *TITAN)
    for hold in (False, True):
        reader, _, terminal = read([body], hold=hold)
        assert terminal == len(body)
        assert sides(reader.usage) == (28, 99)
        assert reader.malformed == 1


def test_an_exception_ends_the_stream(encode_message: Encode) -> None:
    """It is terminal and an error."""
    thrown = encode_message(
        b"{}", message_type="exception", exception_type="modelStreamErrorException"
    )
    for hold in (False, True):
        reader, said, terminal = read([wrapped(encode_message, TITAN[0]), thrown], hold=hold)
        assert terminal is not None
        assert reader.error
        assert said == "hel"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "usage",
                    "message",
                    "metadata",
                    "content",
                    "delta",
                    "type",
                    "meta",
                    "results",
                    METRICS,
                    "input_tokens",
                    "inputTokens",
                    "prompt_tokens",
                    "inputTokenCount",
                    "tokenCount",
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
            ["usage", "message", "metadata", "type", "meta", "results", "embedding", METRICS]
        ),
        JSON_VALUES,
        max_size=5,
    )
)
def test_any_object_is_borne(encode_message: Encode, event: dict[str, Any]) -> None:
    """Objects of any shape never raise; counts are counts or unknown."""
    reader, _ = answered(event)
    streamed, _, _ = read([wrapped(encode_message, event)])
    assert not streamed.broken
    for each in (reader, streamed):
        for count in sides(each.usage):
            assert count is None or count >= 0


def asgi_answer(runtime: ZeroRetention) -> None:
    """Answer one call over ASGI, the counts in its headers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        start = {"type": "http.response.start", "status": 200, "headers": list(HEADERS)}
        await send(start)
        await send({"type": "http.response.body", "body": b'{"generations": []}'})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Any) -> None:
        assert message["type"].startswith("http.response.")

    async def call() -> None:
        scope = {"type": "http", "method": "POST", "path": "/model/m/invoke", "headers": []}
        await runtime.asgi(app)(scope, receive, send)

    asyncio.run(call())


def wsgi_answer(runtime: ZeroRetention) -> None:
    """Answer one call over WSGI, the counts in its headers."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [(name.decode(), value.decode()) for name, value in HEADERS])
        return [b'{"generations": []}']

    environ: dict[str, Any] = {"REQUEST_METHOD": "POST", "PATH_INFO": "/model/m/invoke"}
    setup_testing_defaults(environ)
    response = runtime.wsgi(app)(environ, lambda *_: lambda _: None)
    assert b"".join(response) == b'{"generations": []}'
    response.close()  # type: ignore[attr-defined] # what zeroret returns has it


@pytest.mark.parametrize("answer", [asgi_answer, wsgi_answer])
def test_both_shells_hand_the_headers_on(
    runtime: ZeroRetention, answer: Callable[[ZeroRetention], None]
) -> None:
    """Counts that stand in headers alone reach the record, over ASGI as over WSGI."""
    answer(runtime)
    (record,) = testing.usage_records(runtime)
    assert (record.input_tokens, record.output_tokens) == (11470, 44)
    assert record.usage_source == "reported"
