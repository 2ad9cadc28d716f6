"""The meter against recorded exchanges of real providers, cut, packed and re-ended at random.

These are the formats of OpenAI and Anthropic, by whichever provider spoke them; `test_vendors` has
the others.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from genai_prices import extract_usage

from zeroret.dialects import detect
from zeroret.tokens import TokenCounter
from zeroret.usage.meter import Meter, Metered

FAMILIES: Final = ("openai.", "anthropic.", "mistral.chat")
FIELDS: Final = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_write_input_tokens",
    "reasoning_tokens": "reasoning_output_tokens",
    "input_audio_tokens": "audio_input_tokens",
    "output_audio_tokens": "audio_output_tokens",
}
DIFFERENT: Final = {
    "30a0582a1d8d4bdd": "the truth leaves out the thoughts, which only the total tells",
    "aaddf020890425e7": "the truth leaves out the thoughts, which only the total tells",
}
"""Records whose counts are not their truth's, and why."""

UNBILLED: Final = frozenset({"anthropic.count_tokens"})
"""Formats of endpoints that nothing is paid for."""

SILENT_BODIES: Final = frozenset({"anthropic.complete"})
"""Formats that never report: they are counted."""

FLAVORS: Final = {
    "openai.chat": "chat",
    "openai.completions": "chat",
    "openai.responses": "responses",
    "openai.embeddings": "embeddings",
    "mistral.chat": "default",
    "anthropic.messages": "default",
}
"""What an independent library calls the formats."""

ORACLES: Final = {
    "openai": {"openai.chat", "openai.completions", "openai.responses", "openai.embeddings"},
    "azure": {"openai.chat", "openai.responses", "openai.embeddings"},
    "anthropic": {"anthropic.messages"},
    "mistral": {"mistral.chat"},
    "groq": {"openai.chat"},
    "openrouter": {"openai.chat"},
    "deepseek": {"openai.chat"},
    "cerebras": {"openai.chat"},
    "zai": {"openai.chat"},
}
"""The providers it knows, and their formats that it reads."""

SMALL: Final = 3000
COUNTER: Final = TokenCounter()


@pytest.fixture(scope="module")
def exchanges(exchanges_file: Path) -> list[dict[str, Any]]:
    """Give the recorded exchanges of these formats."""
    with gzip.open(exchanges_file, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return [record for record in records if record["dialect"].startswith(FAMILIES)]


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
    record: dict[str, Any],
    rng: random.Random,
    *,
    finest: bool = False,
    form: str = "",
    until: int | None = None,
) -> Metered:
    """Replay *record* in random pieces, only *until* a place in its body if one is given.

    *form* is ``gzip``, ``deflate``, ``crlf`` or ``lf``.
    """
    request, body = record["request_body"].encode(), record["response_body"].encode()[:until]
    encoding = b""
    if form in {"crlf", "lf"}:
        body = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n" if form == "crlf" else b"\n")
    elif form:
        encoding = form.encode()
        pack = gzip.compress if form == "gzip" else zlib.compress
        request, body = pack(request), pack(body)
    meter = Meter(detect(record["path"]), COUNTER, path=record["path"])
    meter.request_start(record["request_content_type"] or b"", encoding)
    for piece in cut(request, rng, finest=False):
        meter.request_chunk(piece)
    meter.request_end()
    meter.response_start(record["status"], record["content_type"], encoding)
    for piece in cut(body, rng, finest=finest):
        meter.response_chunk(piece)
    got = meter.finish(complete=until is None)
    assert meter.held == 0
    return got


def mismatches(record: dict[str, Any], got: Metered) -> list[str]:
    """Return what *got* says otherwise than the truth of *record*."""
    truth = record["truth"] or {}
    if record["id"] in DIFFERENT:
        return []
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
@pytest.mark.parametrize("form", ["", "gzip", "deflate", "crlf", "lf"])
def test_the_truth_is_found_in_any_cut(
    exchanges: list[dict[str, Any]], seed: int, form: str
) -> None:
    """Every count of every record is the one the provider sent, in whatever pieces and packing."""
    rng = random.Random(f"{seed} {form}")  # noqa: S311 - cuts, not secrets
    wrong: list[str] = []
    known = 0
    for record in exchanges:
        if form in {"crlf", "lf"} and record["framing"] != "sse":
            continue
        got = metered(record, rng, finest=seed == 1)
        wrong += mismatches(record, got)
        if record["truth"] is not None:
            known += 1
            assert got.malformed == 0, record["id"]
            assert got.usage_source == "reported", record["id"]
    assert known > (150 if form in {"crlf", "lf"} else 750)
    assert not wrong, wrong


def test_the_records_that_differ_are_few_and_told(exchanges: list[dict[str, Any]]) -> None:
    """What is taken otherwise than the truth says is listed with its reason, and is that alone."""
    rng = random.Random(4)  # noqa: S311 - as above
    ids = {record["id"] for record in exchanges}
    assert len(DIFFERENT) / len(ids) < 0.005
    for record in exchanges:
        if record["id"] in DIFFERENT:
            got, truth = metered(record, rng), record["truth"]
            assert got.input_tokens == truth["input_tokens"]
            assert (got.output_tokens or 0) + truth["input_tokens"] == truth["total_reported"]


@pytest.mark.parametrize("form", ["gzip", "deflate", "crlf", "lf"])
def test_packing_and_line_ends_change_nothing(exchanges: list[dict[str, Any]], form: str) -> None:
    """A packed or re-ended body is metered as the plain one, counted ones included."""
    rng = random.Random(4)  # noqa: S311 - as above
    sample = [r for r in exchanges if form not in {"crlf", "lf"} or r["framing"] == "sse"]
    for record in rng.sample(sample, 150):
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


def test_a_stream_that_was_cut_never_reports_more_than_the_whole(
    exchanges: list[dict[str, Any]],
) -> None:
    """A hang-up anywhere has what was reported until then, or a count: never a wrong report."""
    rng = random.Random(8)  # noqa: S311 - as above
    sources: Counter[str] = Counter()
    for record in exchanges:
        if record["framing"] != "sse" or record["status"] != 200:
            continue
        whole = metered(record, rng)
        got = metered(record, rng, until=rng.randrange(len(record["response_body"].encode())))
        sources[got.usage_source] += 1
        if got.usage_source == "reported" and record["id"] not in DIFFERENT:
            assert got.input_tokens == whole.input_tokens, record["id"]
            assert (got.output_tokens or 0) <= (whole.output_tokens or 0), record["id"]
    assert sources["counted"] + sources["estimated"] > sources["reported"]


def test_what_is_not_billed_is_unknown(exchanges: list[dict[str, Any]]) -> None:
    """What a provider refused, or does for nothing, was not used, and is not called zero."""
    rng = random.Random(6)  # noqa: S311 - as above
    for record in exchanges:
        if record["status"] >= 400 or record["dialect"] in UNBILLED:
            got = metered(record, rng)
            assert got.usage_source == "unknown", record["id"]
            assert got.input_tokens is None, record["id"]
        elif record["dialect"] in SILENT_BODIES:
            assert metered(record, rng).usage_source == "estimated", record["id"]


def reported_in(record: dict[str, Any]) -> dict[str, Any] | None:
    """Return the part of an answer, or of the last event of one, that has its usage."""
    if record["framing"] == "json":
        body = json.loads(record["response_body"])
        return body if isinstance(body, dict) and body.get("usage") else None
    found: dict[str, Any] = {}
    for line in record["response_body"].splitlines():
        if not line.startswith("data: {"):
            continue
        event = json.loads(line[6:])
        for part in (event, event.get("response"), event.get("message"), event.get("x_groq")):
            if isinstance(part, dict) and part.get("usage"):
                usage = {**found.get("usage", {}), **part["usage"]}
                model = part.get("model") or event.get("model") or found.get("model")
                found = {"model": model, "usage": usage}
    return found or None


def test_an_independent_reader_agrees(exchanges: list[dict[str, Any]]) -> None:
    """Wherever another library can be asked, it finds the same counts, in bodies and streams."""
    rng = random.Random(7)  # noqa: S311 - as above
    compared: Counter[str] = Counter()
    for record in exchanges:
        provider, flavor = record["provider"], FLAVORS.get(record["dialect"], "")
        if record["dialect"] not in ORACLES.get(provider, ()) or not record["truth"]:
            continue
        part = reported_in(record)
        if part is None:
            continue
        flavor = "default" if provider == "groq" else flavor
        try:
            usage = extract_usage(part, provider_id=provider, api_flavor=flavor).usage
        except LookupError:
            continue  # it knows the provider, but not the model
        got = metered(record, rng)
        assert usage.input_tokens == got.input_tokens, record["id"]
        assert (usage.output_tokens or 0) == (got.output_tokens or 0), record["id"]
        for theirs, ours in (
            (usage.cache_read_tokens, got.cache_read_input_tokens),
            (usage.cache_write_tokens, got.cache_write_input_tokens),
        ):
            assert not theirs or theirs == ours, record["id"]
        compared[record["dialect"] + (" stream" if record["stream"] else "")] += 1
    assert sum(compared.values()) > 500, compared
    assert len(compared) >= 8, compared
