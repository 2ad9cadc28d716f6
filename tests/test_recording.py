"""Recording: each column has one source, closed sets stay closed, the killed obey their policy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from zeroret import Policy, UsageRecord, ZeroRetention, testing
from zeroret.exchange import METHODS, Exchange
from zeroret.recording import NOTHING, Recorder
from zeroret.usage.identity import format_id, issued_at, new_id, parse_id
from zeroret.usage.metered import Metered
from zeroret.usage.models import ModelNames
from zeroret.usage.record import COLUMNS, decode, encode

POLICIES = ("crofai", "crouter", "kriora", "noorapi", "usage-only", "wallet")
METERED = Metered(
    dialect="openai.chat",
    request_model="gpt-4o",
    response_model="a prompt instead of a model",
    stream=True,
    usage_source="reported",
    input_tokens=7,
    output_tokens=0,
    cache_read_input_tokens=3,
    reasoning_output_tokens=None,
)


@pytest.fixture
def opened(runtime: ZeroRetention) -> Iterator[Exchange]:
    """Give an exchange that has begun, and end it."""
    exchange = Exchange(runtime, "POST", "/v1/chat/completions")
    yield exchange
    exchange.leave()


def recorder(policy: str) -> Recorder:
    """Return a recorder under *policy* with the catalogue's models."""
    return Recorder(Policy.load(policy), ModelNames(None))


@pytest.mark.parametrize("policy", POLICIES)
def test_every_way_to_a_record_has_the_policys_columns(policy: str, opened: Exchange) -> None:
    """Whole, minimal and killed records have the same columns, and survive the journal's line."""
    made = recorder(policy)
    whole = made.record(opened, METERED, "completed")
    records = [
        whole,
        made.minimal(opened, "error"),
        made.killed(opened.raw_id, opened.wall, None),
        made.killed(opened.raw_id, opened.wall, made.record(opened, METERED, "killed")),
    ]
    for record in records:
        assert record.as_dict().keys() == Policy.load(policy).columns
        assert decode(encode(record)) == record
        assert record.id == opened.id
        assert record.policy == Policy.load(policy).stamp


def test_unknown_is_none_and_zero_is_zero(opened: Exchange) -> None:
    """A known zero stays one, what nobody said is None, and text is never a model."""
    record = recorder("usage-only").record(opened, METERED, "completed")
    assert (record.input_tokens, record.output_tokens) == (7, 0)
    assert (record.cache_read_input_tokens, record.reasoning_output_tokens) == (3, None)
    assert (record.request_model, record.response_model) == ("gpt-4o", "other")
    assert (record.dialect, record.provider) == ("openai.chat", "openai")
    assert (record.route, record.cost, record.status) == ("other", None, None)
    empty = recorder("usage-only").record(opened, NOTHING, "rejected")
    assert (empty.dialect, empty.provider, empty.usage_source) == (None, None, "unknown")


def test_a_method_is_a_method() -> None:
    """Whatever stands in the request line, the column holds one of nine methods or ``other``."""

    @given(st.text() | st.sampled_from(sorted(METHODS)))
    def check(method: str) -> None:
        exchange = Exchange(runtime, method, "")
        record = recorder("usage-only").record(exchange, NOTHING, "completed")
        exchange.leave()
        assert record.method == (method if method in METHODS else "other")

    with testing.memory_runtime(log_guard="none", grace=0) as runtime:
        check()


def test_times_are_of_the_exchange(opened: Exchange) -> None:
    """The start is wall-clock UTC and stands in the id; durations are seconds since then."""
    time.sleep(0.01)
    opened.first_byte = opened.started + 0.005
    record = recorder("usage-only").record(opened, METERED, "completed")
    assert record.started_at == datetime.fromtimestamp(opened.wall, UTC)
    assert abs(issued_at(parse_id(record.id)) - opened.wall) < 0.002
    assert isinstance(record.duration, float)
    assert 0.01 <= record.duration < 60
    assert record.time_to_first_token == 0.005


def test_only_streams_have_a_first_token(opened: Exchange) -> None:
    """A reply that is no stream, or has not begun, has no time to its first token."""
    made = recorder("usage-only")
    assert made.record(opened, METERED, "aborted").time_to_first_token is None
    opened.first_byte = opened.started + 1
    unstreamed = msgspec.structs.replace(METERED, stream=False)
    assert made.record(opened, unstreamed, "completed").time_to_first_token is None


def test_a_killed_record_forgets_only_how_long_it_took(opened: Exchange) -> None:
    """What the slot noted stays, durations become unknown, removed columns stay removed."""
    for policy in POLICIES:
        made = recorder(policy)
        noted = made.record(opened, METERED, "killed")
        killed = made.killed(opened.raw_id, opened.wall, noted)
        for name in COLUMNS:
            before, after = getattr(noted, name), getattr(killed, name)
            if name in ("duration", "time_to_first_token") and before is not UNSET:
                assert after is None
            else:
                assert after == before


def test_a_note_of_an_older_policy_keeps_its_stamp(opened: Exchange) -> None:
    """A record that was noted under another policy says so, and keeps that policy's columns."""
    noted = recorder("crofai").record(opened, METERED, "killed")
    adopted = recorder("usage-only").killed(opened.raw_id, opened.wall, noted)
    assert adopted.policy == Policy.load("crofai").stamp
    assert adopted.as_dict().keys() == Policy.load("crofai").columns


def test_an_unnoted_kill_is_known_by_its_start() -> None:
    """Of an exchange that died before any note, id and start are known and nothing else."""
    wall = 1_750_000_000.25
    raw = new_id(wall)
    record = recorder("usage-only").killed(raw, wall, None)
    known: dict[str, Any] = {name: value for name, value in record.as_dict().items() if value}
    assert known == {
        "id": format_id(raw),
        "policy": Policy.load("usage-only").stamp,
        "usage_source": "unknown",
        "started_at": datetime.fromtimestamp(wall, UTC),
        "outcome": "killed",
    }


def test_no_field_takes_free_text_from_the_head(runtime: ZeroRetention) -> None:
    """A request made of one marker everywhere leaves a record without it."""
    marker = "marker-93c1"
    exchange = Exchange(runtime, marker, f"/v1/{marker}/messages")
    raw = marker.encode()
    exchange.head(raw, [(name, raw) for name in (b"authorization", b"user-agent", b"x", raw)])
    exchange.client_host = marker
    exchange.request_chunk(b'{"model": "' + raw + b'", "messages": []}')
    exchange.request_end()
    exchange.response_start(200, raw, b"")
    exchange.response_chunk(b'{"model": "' + raw + b'", "type": "message", "content": []}')
    exchange.account_is(f"{marker}@example.com")
    exchange.note_error(type(marker, (Exception,), {})())
    exchange.complete()
    exchange.leave()
    (record,) = testing.usage_records(runtime)
    assert isinstance(record, UsageRecord)
    assert "marker" not in repr(record)
    assert "93c1" not in encode(record).decode()
