"""OpenTelemetry's conventions: names, units, buckets and attributes, one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zeroret.sinks import semconv
from zeroret.usage.record import UsageRecord

MakeRecord = Callable[..., UsageRecord]

SECONDS: list[float] = [
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
]
TOKENS: list[float] = [
    *(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144),
    *(1048576, 4194304, 16777216, 67108864),
]
FIRST = [
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
]
PER = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5]

TABLE: dict[str, tuple[str, str, list[float]]] = {
    "gen_ai.client.inference.usage.input_tokens": ("counter", "{token}", []),
    "gen_ai.client.inference.usage.output_tokens": ("counter", "{token}", []),
    "gen_ai.client.inference.usage.cache_read.input_tokens": ("counter", "{token}", []),
    "gen_ai.client.inference.usage.cache_write.input_tokens": ("counter", "{token}", []),
    "gen_ai.client.inference.usage.reasoning.output_tokens": ("counter", "{token}", []),
    "gen_ai.client.inference.operation.input_tokens": ("histogram", "{token}", TOKENS),
    "gen_ai.client.inference.operation.output_tokens": ("histogram", "{token}", TOKENS),
    "gen_ai.client.inference.duration": ("histogram", "s", SECONDS),
    "gen_ai.client.inference.time_to_first_chunk": ("histogram", "s", SECONDS),
    "gen_ai.server.request.duration": ("histogram", "s", SECONDS),
    "gen_ai.server.time_to_first_token": ("histogram", "s", FIRST),
    "gen_ai.server.time_per_output_token": ("histogram", "s", PER),
}
OLD = {
    "gen_ai.client.token.usage": ("histogram", "{token}", TOKENS),
    "gen_ai.client.operation.duration": ("histogram", "s", SECONDS),
} | {name: row for name, row in TABLE.items() if name.startswith("gen_ai.server.")}


@pytest.mark.parametrize(("metrics", "table"), [(semconv.METRICS, TABLE), (semconv.OLD, OLD)])
def test_metrics_are_the_conventions(metrics: Any, table: dict[str, Any]) -> None:
    """Each name has the convention's kind, unit and buckets, and no name is missing or made up."""
    assert {each.name: (each.kind, each.unit, list(each.buckets)) for each in metrics} == table


def measured(record: UsageRecord, **options: Any) -> dict[str, list[tuple[float, dict[str, str]]]]:
    """Return what a record adds, by metric."""
    found: dict[str, list[tuple[float, dict[str, str]]]] = {}
    for name, value, attributes in semconv.measurements(record, **options):
        found.setdefault(name, []).append((value, attributes))
    return found


def chat(make: MakeRecord, **columns: Any) -> UsageRecord:
    """Return the record of a streamed chat."""
    values = {
        "dialect": "openai.chat",
        "provider": "openai",
        "request_model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "input_tokens": 100,
        "output_tokens": 11,
        "duration": 3.0,
        "time_to_first_token": 1.0,
        "outcome": "completed",
    }
    return make(1, **(values | columns))


PLAIN = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
}


def test_a_chat_is_measured(make: MakeRecord) -> None:
    """Counters have a modality, histograms have none, and every required attribute is there."""
    found = measured(chat(make, cache_read_input_tokens=40))
    unknown = PLAIN | {"gen_ai.token.modality": "unknown"}
    assert found == {
        "gen_ai.client.inference.operation.input_tokens": [(100, PLAIN)],
        "gen_ai.client.inference.usage.input_tokens": [(100, unknown)],
        "gen_ai.client.inference.operation.output_tokens": [(11, PLAIN)],
        "gen_ai.client.inference.usage.output_tokens": [(11, unknown)],
        "gen_ai.client.inference.usage.cache_read.input_tokens": [(40, unknown)],
        "gen_ai.client.inference.duration": [(3.0, PLAIN)],
        "gen_ai.server.request.duration": [(3.0, PLAIN)],
        "gen_ai.client.inference.time_to_first_chunk": [(1.0, PLAIN)],
        "gen_ai.server.time_to_first_token": [(1.0, PLAIN)],
        "gen_ai.server.time_per_output_token": [(0.2, PLAIN)],
    }


def test_modalities_add_up(make: MakeRecord) -> None:
    """Audio is told from text where somebody reported it; the parts are the whole."""
    found = measured(chat(make, audio_input_tokens=30, audio_output_tokens=99))
    parts = found["gen_ai.client.inference.usage.input_tokens"]
    assert [(value, told["gen_ai.token.modality"]) for value, told in parts] == [
        (30, "audio"),
        (70, "text"),
    ]
    (nonsense,) = found["gen_ai.client.inference.usage.output_tokens"]
    assert (nonsense[0], nonsense[1]["gen_ai.token.modality"]) == (11, "unknown")


def test_what_is_unknown_is_not_reported(make: MakeRecord) -> None:
    """A missing count is no zero; an exchange in no dialect is no operation."""
    found = measured(chat(make, input_tokens=None, output_tokens=0))
    assert "gen_ai.client.inference.usage.input_tokens" not in found
    assert found["gen_ai.client.inference.usage.output_tokens"][0][0] == 0
    assert not measured(chat(make, dialect=None))


def test_failures_name_their_kind(make: MakeRecord) -> None:
    """Durations of what failed have error.type; token timings are of successes only."""
    found = measured(chat(make, outcome="error", error_type="APIStatusError"))
    told = PLAIN | {"error.type": "APIStatusError"}
    assert found["gen_ai.server.request.duration"] == [(3.0, told)]
    assert "gen_ai.server.time_to_first_token" not in found
    aborted = measured(chat(make, outcome="aborted", error_type=None))
    assert aborted["gen_ai.server.request.duration"][0][1]["error.type"] == "aborted"


def test_old_names_on_demand(make: MakeRecord) -> None:
    """The names from before the move have a token type."""
    found = measured(chat(make), old=True)
    assert found["gen_ai.client.token.usage"] == [
        (100, PLAIN | {"gen_ai.token.type": "input"}),
        (11, PLAIN | {"gen_ai.token.type": "output"}),
    ]
    assert found.keys() <= OLD.keys()


def test_nobody_is_named(make: MakeRecord) -> None:
    """Neither account nor key is an attribute: series would have no end."""
    record = chat(make, account="acme", key_id="k" * 40)
    for old in (False, True):
        text = str(measured(record, old=old))
        assert "acme" not in text
        assert "kkkk" not in text
