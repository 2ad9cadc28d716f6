"""Recorded exchanges of vendors with formats of their own, cut, packed and re-ended at random."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pytest
from genai_prices import extract_usage

from zeroret.dialects import detect
from zeroret.tokens import TokenCounter
from zeroret.usage.meter import Meter, Metered

FAMILIES: Final = ("bedrock.", "cohere.", "gemini.", "mistral.", "ollama.", "rerank", "vertex.")
FIELDS: Final = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_write_input_tokens",
    "reasoning_tokens": "reasoning_output_tokens",
    "input_audio_tokens": "audio_input_tokens",
    "output_audio_tokens": "audio_output_tokens",
}
NAMES: Final = {
    "mistral.chat": "openai.chat",
    "gemini.batchEmbedContents": "gemini.embedContent",
    "rerank": "cohere.v1.rerank",
}
"""What a recorded format is called here, where the path cannot tell the two apart."""

ORACLES: Final = {
    "gemini.generateContent": ("google", "default"),
    "gemini.streamGenerateContent": ("google", "default"),
    "bedrock.converse": ("aws", "default"),
    "bedrock.converse_stream": ("aws", "default"),
    "mistral.chat": ("mistral", "default"),
    "cohere.v2.chat": ("cohere", "tokens"),
    "cohere.v2.embed": ("cohere", "embeddings"),
}
"""What an independent library calls them."""

FINEST: Final = 2000
COUNTER: Final = TokenCounter()


@pytest.fixture(scope="module")
def exchanges(exchanges_file: Path) -> list[dict[str, Any]]:
    """Give the recorded exchanges of these vendors."""
    with gzip.open(exchanges_file, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return [record for record in records if record["dialect"].startswith(FAMILIES)]


def body_of(record: dict[str, Any]) -> bytes:
    """Return the bytes of a response."""
    binary = record.get("response_body_b64")
    return b64decode(binary) if binary else str(record["response_body"]).encode()


def cut(body: bytes, rng: random.Random, *, finest: bool) -> Iterator[bytes]:
    """Cut *body* at random places; with *finest* into single bytes if it is small."""
    if finest and len(body) < FINEST:
        yield from (body[at : at + 1] for at in range(len(body)))
        return
    number = rng.choice([0, 1, 7, 60])
    places = sorted(rng.randrange(len(body) + 1) for _ in range(number))
    start = 0
    for place in (*places, len(body)):
        yield body[start:place]
        start = place


def metered(
    record: dict[str, Any],
    rng: random.Random,
    *,
    finest: bool = False,
    form: str = "",
    until: int | None = None,
) -> Metered:
    """Replay *record* in random pieces, only *until* a place in its body if one is given.

    *form* is ``gzip``, ``deflate`` or ``crlf``.
    """
    request, path = record["request_body"].encode(), unquote(record["path"])
    body = body_of(record)[:until]
    encoding = b""
    if form == "crlf":
        body = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    elif form:
        encoding = form.encode()
        pack = gzip.compress if form == "gzip" else zlib.compress
        request, body = pack(request), pack(body)
    dialect = detect(path)
    assert dialect is not None, path
    meter = Meter(dialect, COUNTER, path=path)
    meter.request_start(record["request_content_type"] or b"", encoding)
    for piece in cut(request, rng, finest=False):
        meter.request_chunk(piece)
    meter.request_end()
    meter.response_start(record["status"], record["content_type"], encoding)
    for piece in cut(body, rng, finest=finest):
        meter.response_chunk(piece)
    return meter.finish(complete=until is None)


def mismatches(record: dict[str, Any], got: Metered) -> list[str]:
    """Return what *got* says otherwise than the truth of *record*."""
    truth = record["truth"] or {}
    return [
        f"{record['id']} {record['dialect']} {name}: {getattr(got, field)} != {truth[name]}"
        for name, field in FIELDS.items()
        if truth.get(name) is not None and getattr(got, field) != truth[name]
    ]


def test_every_path_is_known(exchanges: list[dict[str, Any]]) -> None:
    """The recorded paths are found to be of their dialect, and name their model."""
    for record in exchanges:
        path = unquote(record["path"])
        dialect = detect(path)
        assert dialect is not None, path
        assert dialect.name == NAMES.get(record["dialect"], record["dialect"]), path
        if record["dialect"].startswith(("bedrock.", "gemini.", "vertex.")):
            assert dialect.model_in(path), path


@pytest.mark.parametrize("seed", [1, 2])
def test_the_truth_is_found_in_any_cut(exchanges: list[dict[str, Any]], seed: int) -> None:
    """Every count of every record is the one the provider sent, in whatever pieces."""
    rng = random.Random(seed)  # noqa: S311 - cuts, not secrets
    wrong: list[str] = []
    known = 0
    for record in exchanges:
        got = metered(record, rng, finest=seed == 1)
        wrong += mismatches(record, got)
        truth = record["truth"] or {}
        if truth.get("input_tokens") is not None and truth.get("output_tokens") is not None:
            known += 1
            assert got.usage_source == "reported", record["id"]
        assert got.malformed == 0, record["id"]
        streamed = record["framing"] in {"sse", "ndjson", "eventstream"}
        assert got.stream == streamed or record["status"] >= 400, record["id"]
    assert known > 410
    assert not wrong, wrong


@pytest.mark.parametrize("form", ["gzip", "deflate", "crlf"])
def test_packing_and_line_ends_change_nothing(exchanges: list[dict[str, Any]], form: str) -> None:
    """A packed or CRLF body is metered as the plain one."""
    rng = random.Random(3)  # noqa: S311 - as above
    lined = {"sse", "ndjson"}
    sample = [each for each in exchanges if form != "crlf" or each["framing"] in lined]
    for record in rng.sample(sample, min(len(sample), 100)):
        plain = metered(record, rng)
        assert metered(record, rng, form=form) == plain, record["id"]


def test_a_json_array_says_what_the_events_say(exchanges: list[dict[str, Any]]) -> None:
    """Gemini's stream as one array has the usage, text and model of the same as events."""
    rng = random.Random(4)  # noqa: S311 - as above
    seen = 0
    for record in exchanges:
        if record["dialect"] != "gemini.streamGenerateContent":
            continue
        seen += 1
        lines = record["response_body"].splitlines()
        chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        array = json.dumps(chunks, indent=2).replace("\n  {", "\n{")
        for finest in (True, False):
            kind = "application/json; charset=UTF-8"
            as_array = {**record, "content_type": kind, "response_body": array}
            got = metered(as_array, rng, finest=finest)
            assert got == metered(record, rng), record["id"]
    assert seen == 18


def test_streams_that_were_cut_are_counted(exchanges: list[dict[str, Any]]) -> None:
    """What was delivered before the client left has a count, reported or estimated, never exact."""
    rng = random.Random(5)  # noqa: S311 - as above
    seen = 0
    for record in exchanges:
        framed = record["framing"] in {"sse", "ndjson", "eventstream"}
        if not framed or record["status"] != 200 or record["dialect"] == "mistral.chat":
            continue
        until = len(body_of(record)) * 2 // 3
        got = metered(record, rng, until=until)
        again = metered(record, rng, until=until, finest=True)
        assert got == again, record["id"]
        if got.usage_source == "unknown":
            assert got.response_model is None, record["id"]
            continue  # not one of few long events had come whole
        assert got.usage_source in {"reported", "estimated"}, record["id"]
        assert got.output_tokens, record["id"]
        seen += 1
    assert seen > 40


def test_refused_requests_have_no_counts(exchanges: list[dict[str, Any]]) -> None:
    """What a provider refused was not used, and is not called zero."""
    rng = random.Random(6)  # noqa: S311 - as above
    for record in exchanges:
        if record["status"] >= 400:
            got = metered(record, rng)
            assert got.usage_source == "unknown", record["id"]
            assert got.input_tokens is None, record["id"]


def test_an_independent_reader_agrees(exchanges: list[dict[str, Any]]) -> None:
    """Another library finds the same totals in the provider's own usage block."""
    rng = random.Random(7)  # noqa: S311 - as above
    compared: dict[str, int] = {}
    for record in exchanges:
        oracle, block = ORACLES.get(record["dialect"]), record["raw_usage"]
        if oracle is None or not block or block.keys() == {"trafficType"}:
            continue  # the last one says nothing, which that library calls an error
        provider, flavor = oracle
        root = {"google": "usageMetadata"}.get(provider, "usage")
        root = "meta" if record["dialect"] == "cohere.v2.embed" else root
        usage = extract_usage({root: block}, provider_id=provider, api_flavor=flavor).usage
        got = metered(record, rng)
        assert (usage.input_tokens or 0) == (got.input_tokens or 0), record["id"]
        assert (usage.output_tokens or 0) == (got.output_tokens or 0), record["id"]
        compared[record["dialect"]] = compared.get(record["dialect"], 0) + 1
    assert compared.keys() == ORACLES.keys()
    assert sum(compared.values()) > 350, compared
