"""The meter against recorded exchanges of real providers, cut, packed and re-ended at random."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from genai_prices import extract_usage

from zeroret.dialects import detect
from zeroret.tokens import TokenCounter
from zeroret.usage.meter import Meter, Metered

DIALECTS: Final = frozenset(
    {
        "openai.chat",
        "openai.completions",
        "openai.embeddings",
        "anthropic.messages",
        "mistral.chat",
    }
)
FIELDS: Final = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_write_input_tokens",
    "reasoning_tokens": "reasoning_output_tokens",
    "input_audio_tokens": "audio_input_tokens",
    "output_audio_tokens": "audio_output_tokens",
}
SMALL: Final = 3000
COUNTER: Final = TokenCounter()


@pytest.fixture(scope="module")
def exchanges(exchanges_file: Path) -> list[dict[str, Any]]:
    """Give the recorded exchanges of the dialects that are read."""
    with gzip.open(exchanges_file, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return [record for record in records if record["dialect"] in DIALECTS]


def cut(body: bytes, rng: random.Random, *, finest: bool) -> Iterator[bytes]:
    """Cut *body* at random places; with *finest* into single bytes if it is small."""
    number = len(body) if finest and len(body) < SMALL else rng.choice([0, 1, 7, 60])
    places = (
        range(1, len(body))
        if number == len(body)
        else sorted(rng.randrange(len(body) + 1) for _ in range(number))
    )
    start = 0
    for place in (*places, len(body)):
        yield body[start:place]
        start = place


def metered(
    record: dict[str, Any], rng: random.Random, *, finest: bool = False, form: str = ""
) -> Metered:
    """Replay *record* in random pieces; *form* is ``gzip``, ``deflate`` or ``crlf``."""
    request, body = record["request_body"].encode(), record["response_body"].encode()
    encoding = b""
    if form == "crlf":
        body = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    elif form:
        encoding = form.encode()
        pack = gzip.compress if form == "gzip" else zlib.compress
        request, body = pack(request), pack(body)
    meter = Meter(detect(record["path"]), COUNTER)
    meter.request_start(record["request_content_type"] or b"", encoding)
    for piece in cut(request, rng, finest=False):
        meter.request_chunk(piece)
    meter.request_end()
    meter.response_start(record["status"], record["content_type"], encoding)
    for piece in cut(body, rng, finest=finest):
        meter.response_chunk(piece)
    return meter.finish(complete=True)


def mismatches(record: dict[str, Any], got: Metered) -> list[str]:
    """Return what *got* says otherwise than the truth of *record*."""
    truth = record["truth"] or {}
    return [
        f"{record['id']} {record['dialect']} {name}: {getattr(got, field)} != {truth[name]}"
        for name, field in FIELDS.items()
        if truth.get(name) is not None and getattr(got, field) != truth[name]
    ]


def test_every_path_is_known(exchanges: list[dict[str, Any]]) -> None:
    """The recorded paths, prefixes and all, are found to be of their dialect."""
    for record in exchanges:
        dialect = detect(record["path"])
        assert dialect is not None, record["path"]
        expected = record["dialect"].replace("mistral", "openai")
        assert dialect.name == expected, record["path"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_truth_is_found_in_any_cut(exchanges: list[dict[str, Any]], seed: int) -> None:
    """Every count of every record is the one the provider sent, in whatever pieces."""
    rng = random.Random(seed)  # noqa: S311 - cuts, not secrets
    wrong: list[str] = []
    known = 0
    for record in exchanges:
        got = metered(record, rng, finest=seed == 1)
        wrong += mismatches(record, got)
        if record["truth"] is not None:
            known += 1
            assert got.usage_source == "reported", record["id"]
    assert known > 590
    assert len(wrong) <= known // 100, wrong
    assert not wrong, wrong


@pytest.mark.parametrize("form", ["gzip", "deflate", "crlf"])
def test_packing_and_line_ends_change_nothing(exchanges: list[dict[str, Any]], form: str) -> None:
    """A packed or CRLF body is metered as the plain one."""
    rng = random.Random(4)  # noqa: S311 - as above
    sample = [r for r in exchanges if form != "crlf" or r["framing"] == "sse"]
    for record in rng.sample(sample, 120):
        plain = metered(record, rng)
        assert metered(record, rng, form=form) == plain, record["id"]


def delivered(record: dict[str, Any]) -> bool:
    """Whether a stream of *record* delivered text."""
    for line in record["response_body"].splitlines():
        if not line.startswith("data: {"):
            continue
        for choice in json.loads(line[6:]).get("choices", []):
            said = choice.get("delta") or {}
            if said.get("content") or said.get("tool_calls") or choice.get("text"):
                return True
    return False


def test_streams_without_usage_are_counted(exchanges: list[dict[str, Any]]) -> None:
    """Where the provider was silent, delivered text has a count, both ways of cutting alike."""
    rng = random.Random(5)  # noqa: S311 - as above
    silent = 0
    for record in exchanges:
        if record["truth"] is not None or record["status"] != 200 or not record["stream"]:
            continue
        got = metered(record, rng)
        if not delivered(record):
            continue
        silent += 1
        assert got.usage_source in {"counted", "estimated"}, record["id"]
        assert got.output_tokens, record["id"]
        assert got.input_tokens, record["id"]
        assert metered(record, rng, finest=True) == got, record["id"]
    assert silent > 60


def test_refused_requests_have_no_counts(exchanges: list[dict[str, Any]]) -> None:
    """What a provider refused was not used, and is not called zero."""
    rng = random.Random(6)  # noqa: S311 - as above
    for record in exchanges:
        if record["status"] >= 400:
            got = metered(record, rng)
            assert got.usage_source == "unknown", record["id"]
            assert got.input_tokens is None, record["id"]


def test_an_independent_reader_agrees(exchanges: list[dict[str, Any]]) -> None:
    """On plain JSON answers of two providers another library finds the same totals."""
    rng = random.Random(7)  # noqa: S311 - as above
    compared = 0
    for record in exchanges:
        flavor = {"openai": "chat", "anthropic": "default"}.get(record["provider"])
        chat = record["dialect"] in {"openai.chat", "anthropic.messages"}
        if flavor is None or not chat or record["framing"] != "json" or not record["truth"]:
            continue
        body = json.loads(record["response_body"])
        usage = extract_usage(body, provider_id=record["provider"], api_flavor=flavor).usage
        got = metered(record, rng)
        assert usage.input_tokens == got.input_tokens, record["id"]
        assert usage.output_tokens == got.output_tokens, record["id"]
        compared += 1
    assert compared > 100
