"""OpenTelemetry's conventions for generative AI: metrics, buckets and attributes, as tables.

Source: open-telemetry/semantic-conventions-genai (docs/gen-ai), where the names moved from
open-telemetry/semantic-conventions in 2026; all are of status Development. The metrics of servers
are as they were last written there. `OLD` has the names from before the move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from msgspec import UNSET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeroret.usage.record import UsageRecord

Attributes: TypeAlias = "dict[str, str]"

SECONDS: Final = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28),
    *(2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
)
TOKENS: Final = tuple(float(4**power) for power in range(14))
FIRST_TOKEN: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
PER_TOKEN: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)


class Metric(NamedTuple):
    """One metric: its name, kind, unit, buckets of a histogram, and what it says."""

    name: str
    kind: Literal["counter", "histogram"]
    unit: str
    buckets: tuple[float, ...]
    about: str


_USAGE: Final = "gen_ai.client.inference.usage."
_OPERATION: Final = "gen_ai.client.inference.operation."

METRICS: Final[tuple[Metric, ...]] = (
    Metric(_USAGE + "input_tokens", "counter", "{token}", (), "Input tokens, cached ones included"),
    Metric(_USAGE + "output_tokens", "counter", "{token}", (), "Output tokens, reasoning included"),
    Metric(_USAGE + "cache_read.input_tokens", "counter", "{token}", (), "Read from a cache"),
    Metric(_USAGE + "cache_write.input_tokens", "counter", "{token}", (), "Written to a cache"),
    Metric(_USAGE + "reasoning.output_tokens", "counter", "{token}", (), "Spent on reasoning"),
    Metric(_OPERATION + "input_tokens", "histogram", "{token}", TOKENS, "Input of an operation"),
    Metric(_OPERATION + "output_tokens", "histogram", "{token}", TOKENS, "Output of an operation"),
    Metric("gen_ai.client.inference.duration", "histogram", "s", SECONDS, "Operation duration"),
    Metric(
        "gen_ai.client.inference.time_to_first_chunk",
        "histogram",
        "s",
        SECONDS,
        "Time to the first chunk",
    ),
    Metric("gen_ai.server.request.duration", "histogram", "s", SECONDS, "Request duration"),
    Metric(
        "gen_ai.server.time_to_first_token", "histogram", "s", FIRST_TOKEN, "Time to first token"
    ),
    Metric(
        "gen_ai.server.time_per_output_token",
        "histogram",
        "s",
        PER_TOKEN,
        "Time per output token after the first",
    ),
)
"""The current names."""

OLD: Final[tuple[Metric, ...]] = (
    Metric("gen_ai.client.token.usage", "histogram", "{token}", TOKENS, "Tokens used"),
    Metric("gen_ai.client.operation.duration", "histogram", "s", SECONDS, "Operation duration"),
    *(metric for metric in METRICS if metric.name.startswith("gen_ai.server.")),
)
"""The names from before the move, with ``gen_ai.token.type``."""

OPERATIONS: Final = {
    "chat": "chat",
    "messages": "chat",
    "responses": "chat",
    "realtime": "chat",
    "converse": "chat",
    "completions": "text_completion",
    "generate": "text_completion",
    "embeddings": "embeddings",
    "embed": "embeddings",
    "generate_content": "generate_content",
}
"""``gen_ai.operation.name`` by the last part of a dialect's name; others stand for themselves."""

PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""``gen_ai.provider.name`` by a record's provider, where the convention has another word."""

Measurement: TypeAlias = "tuple[str, float, Attributes]"
"""A metric's name, the value to add or record, and its attributes."""


def measurements(record: UsageRecord, *, old: bool = False) -> Iterator[Measurement]:
    """Give what *record* adds to each metric; a count that is unknown adds nothing.

    An exchange in no dialect is no operation of a model, and adds nothing. Keys and accounts are
    never attributes.
    """
    dialect = _text(record.dialect)
    if not dialect:
        return
    attributes = _attributes(record, dialect)
    yield from _tokens_old(record, attributes) if old else _tokens(record, attributes)
    yield from _durations(record, attributes, old=old)


def _attributes(record: UsageRecord, dialect: str) -> Attributes:
    last = dialect.rpartition(".")[2]
    provider = _text(record.provider) or dialect.partition(".")[0]
    attributes = {
        "gen_ai.operation.name": OPERATIONS.get(last, last),
        "gen_ai.provider.name": PROVIDERS.get(provider, provider),
    }
    for key, value in (
        ("gen_ai.request.model", record.request_model),
        ("gen_ai.response.model", record.response_model),
    ):
        if text := _text(value):
            attributes[key] = text
    return attributes


def _tokens(record: UsageRecord, attributes: Attributes) -> Iterator[Measurement]:
    sides = (
        ("input_tokens", _number(record.input_tokens), _number(record.audio_input_tokens)),
        ("output_tokens", _number(record.output_tokens), _number(record.audio_output_tokens)),
    )
    for name, count, audio in sides:
        if count is None:
            continue
        yield _OPERATION + name, count, attributes
        for modality, part in _by_modality(count, audio):
            yield _USAGE + name, part, attributes | {"gen_ai.token.modality": modality}
    parts = (
        ("cache_read.input_tokens", record.cache_read_input_tokens),
        ("cache_write.input_tokens", record.cache_write_input_tokens),
        ("reasoning.output_tokens", record.reasoning_output_tokens),
    )
    for name, value in parts:
        if (count := _number(value)) is not None:
            yield _USAGE + name, count, attributes | {"gen_ai.token.modality": "unknown"}


def _by_modality(count: float, audio: float | None) -> list[tuple[str, float]]:
    """Return the parts of a count whose modality somebody reported; they add up to it."""
    if audio is None or audio > count:
        return [("unknown", count)]
    return [(name, part) for name, part in (("audio", audio), ("text", count - audio)) if part]


def _tokens_old(record: UsageRecord, attributes: Attributes) -> Iterator[Measurement]:
    for kind, value in (("input", record.input_tokens), ("output", record.output_tokens)):
        if (count := _number(value)) is not None:
            yield "gen_ai.client.token.usage", count, attributes | {"gen_ai.token.type": kind}


def _durations(record: UsageRecord, attributes: Attributes, *, old: bool) -> Iterator[Measurement]:
    duration = _number(record.duration)
    if duration is None:
        return
    failed = record.outcome is not UNSET and record.outcome != "completed"
    told = attributes | {"error.type": _text(record.error_type) or str(record.outcome)}
    shown = told if failed else attributes
    client = "gen_ai.client.operation.duration" if old else "gen_ai.client.inference.duration"
    yield client, duration, shown
    yield "gen_ai.server.request.duration", duration, shown
    first = _number(record.time_to_first_token)
    if first is None or failed:
        return  # token timings are for successful responses only
    if not old:
        yield "gen_ai.client.inference.time_to_first_chunk", first, attributes
    yield "gen_ai.server.time_to_first_token", first, attributes
    output = _number(record.output_tokens)
    if output is not None and output > 1 and duration >= first:
        yield "gen_ai.server.time_per_output_token", (duration - first) / (output - 1), attributes


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return None
