"""Every vendor's format against what nobody should send: unknown and counted, never wrong."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import detect
from zeroret.dialects.sse import EVENT_LIMIT
from zeroret.dialects.streams import HOLD_LIMIT
from zeroret.dialects.vendors import VENDORS
from zeroret.tokens import TokenCounter
from zeroret.usage.meter import Meter, Metered

Encode = Callable[..., bytes]
JSON: Final = "application/json"
SSE: Final = "text/event-stream"
LINES: Final = "application/x-ndjson"
BINARY: Final = "application/vnd.amazon.eventstream"

GEMINI: Final = '{"candidates":[{"finishReason":"STOP"}],"usageMetadata":%s,"modelVersion":"m"}'
GOOGLE: Final = ("promptTokenCount", "candidatesTokenCount")
AMAZON: Final = ("inputTokens", "outputTokens")
COHERE: Final = ("input_tokens", "output_tokens")
OPENAI: Final = ("prompt_tokens", "completion_tokens")
OLLAMA: Final = ("prompt_eval_count", "eval_count")

FORMATS: Final[dict[str, tuple[str, str, str, tuple[str, str]]]] = {
    "gemini": ("/v1beta/models/m:generateContent", JSON, GEMINI, GOOGLE),
    "gemini events": ("/v1beta/models/m:streamGenerateContent", SSE, GEMINI, GOOGLE),
    "gemini array": ("/v1beta/models/m:streamGenerateContent", JSON, GEMINI, GOOGLE),
    "converse": ("/model/m/converse", JSON, '{"usage":%s}', AMAZON),
    "converse stream": ("/model/m/converse-stream", BINARY, '{"usage":%s}', AMAZON),
    "invoke": ("/model/m/invoke", JSON, '{"usage":%s}', COHERE),
    "invoke stream": (
        "/model/m/invoke-with-response-stream",
        BINARY,
        '{"metadata":{"usage":%s}}',
        AMAZON,
    ),
    "cohere 1": ("/v1/chat", JSON, '{"text":"a","meta":{"tokens":%s}}', COHERE),
    "cohere 1 lines": (
        "/v1/chat",
        LINES,
        '{"event_type":"stream-end","response":{"meta":{"tokens":%s}}}',
        COHERE,
    ),
    "cohere 2": ("/v2/chat", JSON, '{"usage":{"tokens":%s}}', COHERE),
    "cohere 2 events": (
        "/v2/chat",
        SSE,
        '{"type":"message-end","delta":{"usage":{"tokens":%s}}}',
        COHERE,
    ),
    "mistral": ("/v1/fim/completions", SSE, '{"choices":[],"usage":%s}', OPENAI),
    "ollama": ("/api/chat", JSON, '{"done":true,%s', OLLAMA),
    "ollama lines": ("/api/generate", LINES, '{"done":true,%s', OLLAMA),
}
"""Path, content type, the frame around a usage block, and the names of its two sides."""


def framed(kind: str, path: str, objects: list[bytes], encode_message: Encode) -> bytes:
    """Return *objects* as the server sends them."""
    if kind == SSE:
        return b"".join(b"data: " + each + b"\n\n" for each in objects)
    if kind == LINES:
        return b"".join(each + b"\n" for each in objects)
    if kind == BINARY:
        if "invoke" in path:
            objects = [b'{"bytes":"%s"}' % b64encode(each) for each in objects]
        return b"".join(encode_message(each) for each in objects)
    return b"[" + b",".join(objects) + b"]" if "stream" in path else b"".join(objects)


def metered(path: str, kind: str, body: bytes, encoding: bytes = b"", size: int = 7) -> Metered:
    """Meter one exchange, its response in pieces of *size*."""
    dialect = detect(path)
    assert dialect is not None
    meter = Meter(dialect, TokenCounter(), path=path)
    meter.request_chunk(b'{"model":"m"}')
    meter.request_end()
    meter.response_start(200, kind.encode(), encoding)
    for at in range(0, len(body), size):
        meter.response_chunk(body[at : at + size])
        assert meter.held < 40 * 2**20
    return meter.finish(complete=True)


def sides(got: Metered) -> tuple[int | None, int | None]:
    """Return what was reported; what was counted here is no report."""
    if got.usage_source in {"counted", "estimated"}:
        return None, None
    return got.input_tokens, got.output_tokens


def block_of(names: tuple[str, str], frame: str, taken: str, made: str) -> bytes:
    """Return an object of a *frame* around two counts."""
    pairs = f'"{names[0]}":{taken},"{names[1]}":{made}}}'
    return (frame % (pairs if frame.endswith("%s") else "{" + pairs)).encode()


NO_COUNTS: Final = (
    '"9"', "-9", "9.5", "true", "[]", "{}", '"x"', str(2**53 + 1), "9" * 4000, "1e999", "NaN",
    '{"a":' * 400 + "1" + "}" * 400,
)  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_counts_are_read(encode_message: Encode, name: str) -> None:
    """The frames of these tests hold what is read: two counts are both sides, zeros included."""
    path, kind, frame, names = FORMATS[name]
    for taken, made in ((9, 4), (0, 0)):
        body = framed(kind, path, [block_of(names, frame, str(taken), str(made))], encode_message)
        got = metered(path, kind, body)
        assert sides(got) == (taken, made)
        assert got.malformed == 0
        whole = metered(path, kind, gzip.compress(body), b"gzip")
        assert sides(whole) == (taken, made)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", NO_COUNTS, ids=lambda value: value[:12])
def test_what_is_no_count_is_unknown(encode_message: Encode, name: str, value: str) -> None:
    """A side that was sent as something else is unknown and a fault, whatever the other one is."""
    path, kind, frame, names = FORMATS[name]
    for taken, made in ((value, "4"), ("9", value)):
        body = framed(kind, path, [block_of(names, frame, taken, made)], encode_message)
        got = metered(path, kind, body)
        assert got.malformed
        known = (9 if made == value else None, 4 if taken == value else None)
        for count, true in zip((got.input_tokens, got.output_tokens), known, strict=True):
            assert count in {None, true} or got.usage_source == "estimated"


@pytest.mark.parametrize("name", FORMATS)
def test_a_duplicated_key_is_read_once(encode_message: Encode, name: str) -> None:
    """The last one counts, as in every parser of JSON; they are never added."""
    path, kind, frame, names = FORMATS[name]
    body = framed(kind, path, [block_of(names, frame, f'9,"{names[0]}":5', "4")], encode_message)
    assert sides(metered(path, kind, body)) == (5, 4)


@pytest.mark.parametrize("name", FORMATS)
def test_a_thousand_usages_are_one(encode_message: Encode, name: str) -> None:
    """Running totals overwrite one another."""
    path, kind, frame, names = FORMATS[name]
    if kind == JSON and "stream" not in path:
        return
    blocks = [block_of(names, frame, "9", str(number)) for number in range(1000)]
    got = metered(path, kind, framed(kind, path, blocks, encode_message), size=1000)
    # where the first block is also the last event, what follows it is no part of the answer
    assert sides(got) in {(9, 999), (9, 0)}
    assert sides(got) == (9, 999) or kind in {BINARY, LINES} or "v2" in path


@pytest.mark.parametrize("name", FORMATS)
def test_a_huge_usage_is_unknown(encode_message: Encode, name: str) -> None:
    """Megabytes where two numbers belong are no usage."""
    path, kind, frame, names = FORMATS[name]
    junk = json.dumps({str(number): number for number in range(60_000)})
    body = framed(kind, path, [block_of(names, frame, junk, junk)], encode_message)
    got = metered(path, kind, body, size=65536)
    assert sides(got) == (None, None)
    assert got.malformed


@pytest.mark.parametrize("name", FORMATS)
def test_a_bomb_is_unknown(encode_message: Encode, name: str) -> None:
    """What inflates a thousandfold is not followed, and what nests without end is not read."""
    path, kind, frame, names = FORMATS[name]
    body = framed(kind, path, [block_of(names, frame, "9", "4")], encode_message)
    bomb = gzip.compress(b" " * 4 * 2**20 + body)
    got = metered(path, kind, bomb, b"gzip", size=4096)
    assert sides(got) == (None, None)
    assert got.malformed
    deep = framed(kind, path, [b'{"usage":' * 5000 + b"1" + b"}" * 5000], encode_message)
    assert sides(metered(path, kind, deep, size=1000)) == (None, None)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("other", ["text/html", "", "application/octet-stream", JSON, SSE, BINARY])
def test_a_wrong_content_type_is_no_error(encode_message: Encode, name: str, other: str) -> None:
    """The right counts or none: what is framed otherwise than it says is not guessed at."""
    path, kind, frame, names = FORMATS[name]
    body = framed(kind, path, [block_of(names, frame, "9", "4")], encode_message)
    assert sides(metered(path, other, body)) in {(9, 4), (None, None)}


PATHS: Final = sorted({path for path, _, _, _ in FORMATS.values()})


@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "usage",
                        "usageMetadata",
                        "meta",
                        "tokens",
                        "response",
                        "delta",
                        "message",
                        *OLLAMA,
                        *COHERE,
                    ]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=9,
    ).map(lambda value: json.dumps(value).encode()),
    st.sampled_from(PATHS),
    st.sampled_from([JSON, SSE, LINES, BINARY, ""]),
    st.integers(1, 40),
)
def test_any_answer_is_borne(body: bytes, path: str, kind: str, size: int) -> None:
    """Whatever a server sends, the exchange has a record, with counts or without."""
    for each in (body, b"data: " + body + b"\n\n"):
        got = metered(path, kind, each, size=size)
        for count in (got.input_tokens, got.output_tokens):
            assert count is None or count >= 0


@pytest.mark.parametrize("name", FORMATS)
def test_an_event_without_end_is_not_held(name: str) -> None:
    """No more than one event of the largest size, and a batch of pieces, is ever referenced."""
    path, kind, _, _ = FORMATS[name]
    dialect = detect(path)
    assert dialect is not None
    framing = dialect.framing(kind.encode(), asked=True)
    if framing is None:
        return
    prelude = struct.pack(">II", 20 * 2**20, 0)
    prelude += struct.pack(">I", zlib.crc32(prelude))
    begun = {"sse": b'data: {"text":"', "array": b'[{"text":"', "eventstream": prelude}
    reader = dialect.stream(None, hold=True, framing=framing)
    reader.feed(begun.get(framing, b'{"text":"'))
    most = 0
    for _ in range(300):
        reader.feed(b"a" * 65536)
        most = max(most, reader.held)
    assert most <= (dialect.event_limit or EVENT_LIMIT) + HOLD_LIMIT + 2 * 65536
    reader.finish(complete=False, count=True)
    assert reader.held == 0


@pytest.mark.parametrize("verb", ["rawPredict", "streamRawPredict"])
def test_vertex_speaks_the_publishers_format(verb: str) -> None:
    """Claude and Mistral on Vertex answer as at home; the path names the model."""
    base = "/v1/projects/p/locations/l/publishers"
    claude = f"{base}/anthropic/models/claude-sonnet-4-5@20250929:{verb}"
    usage = b'{"input_tokens":9,"output_tokens":4}'
    start = b'data: {"type":"message_start","message":{"usage":' + usage + b"}}\n\n"
    end = b'data: {"type":"message_delta","usage":{"output_tokens":4}}\n\n'
    kind, body = (SSE, start + end) if "stream" in verb else (JSON, b'{"usage":' + usage + b"}")
    got = metered(claude, kind, body)
    assert (got.dialect, got.request_model) == ("vertex.anthropic", "claude-sonnet-4-5@20250929")
    assert sides(got) == (9, 4)

    mistral = f"{base}/mistralai/models/mistral-medium:{verb}"
    body = b'{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}'
    got = metered(mistral, kind, b"data: " + body + b"\n\n" if kind == SSE else body)
    assert (got.dialect, got.request_model) == ("vertex.mistral", "mistral-medium")
    assert sides(got) == (9, 4)


def test_every_vendors_readers_can_be_made() -> None:
    """Each line of the registry names readers that are there, and paths that find it."""
    for dialect in VENDORS:
        assert not dialect.body(None).error
        if dialect.streams or dialect.framings != ("sse",):
            assert dialect.stream(None, hold=True, framing=dialect.framings[0]).held == 0
        for route in dialect.routes:
            path = "/v9/" + route.pattern.replace("{model:path}", "m").replace("{model}", "m")
            assert detect(path.replace("{endpoint}", "7")) is dialect
