"""Prices: exact decimals, the operator's own first, unknown as None, a version with each."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret import testing
from zeroret.errors import ConfigurationError
from zeroret.usage.catalogue import Catalogue
from zeroret.usage.prices import Prices, PriceTable, parts, prices_of
from zeroret.usage.record import UsageRecord

MakeRecord = Callable[..., UsageRecord]
MOMENT = datetime(2026, 6, 1, tzinfo=UTC)


def record(**columns: Any) -> UsageRecord:
    """Return a record whose cost is still to be computed."""
    values: dict[str, Any] = {
        "request_model": "mine",
        "response_model": None,
        "input_tokens": 1_000_000,
        "output_tokens": 500_000,
        "started_at": MOMENT,
        "cost": None,
    }
    return UsageRecord(id="0190a1b2-0000-7000-8000-000000000001", policy="p@1", **values | columns)


def cost(prices: Any, one: UsageRecord) -> str | None:
    """Return the cost that *prices* set."""
    (priced,) = prices_of(prices).priced([one])  # type: ignore[union-attr] # there are prices
    found: str | None = priced.cost  # type: ignore[assignment] # the policy keeps it
    return found


OWN = {"mine": {"input": "2.50", "output": 10, "cache_read": "0.25", "reasoning": "12"}}


def test_a_cost_is_exact_and_named() -> None:
    """Each part has its rate, or that of the whole it belongs to; the version says which table."""
    (priced,) = Prices([PriceTable(OWN)]).priced([record()])
    assert (priced.cost, priced.price_version) == ("7.5", PriceTable(OWN).version)
    assert cost(OWN, record(cache_read_input_tokens=400_000)) == "6.6"
    assert cost(OWN, record(cache_write_input_tokens=400_000)) == "7.5"
    assert cost(OWN, record(reasoning_output_tokens=500_000)) == "8.5"
    assert cost(OWN, record(input_tokens=1, output_tokens=0)) == "0.0000025"
    assert cost(OWN, record(input_tokens=0, output_tokens=0)) == "0"


@pytest.mark.parametrize(
    "columns",
    [
        {"request_model": "other"},
        {"request_model": None},
        {"output_tokens": None},
        {"cache_read_input_tokens": 2_000_000},
    ],
)
def test_an_unknown_price_is_none(columns: dict[str, Any]) -> None:
    """No model, no counts, or counts that contradict each other: None, never 0."""
    one = record(**columns)
    (priced,) = Prices([PriceTable(OWN)]).priced([one])
    assert priced is one
    assert priced.cost is None


def test_a_policy_without_cost_has_none() -> None:
    """A record whose policy removes the cost is passed on as it is."""
    one = UsageRecord(id="x", policy="p@1", input_tokens=1, output_tokens=1, request_model="mine")
    assert Prices([PriceTable(OWN)]).priced([one]) == [one]


def test_a_tier_has_rates_of_its_own() -> None:
    """Where the table states them; another tier is charged at the model's own rates."""
    table = PriceTable(
        {"m": {"input": "2", "output": "8", "tiers": {"flex": {"input": "1", "output": "4"}}}}
    )
    plain = PriceTable({"m": {"input": "2", "output": "8"}})
    costs = {
        tier: table.cost(record(input_tokens=10**6, output_tokens=10**6, service_tier=tier), "m")
        for tier in ("flex", "default", None)
    }
    assert costs == {"flex": 5, "default": 10, None: 10}
    assert table.version != plain.version
    with pytest.raises(ConfigurationError, match="allowed is a table for any of auto, batch"):
        PriceTable({"m": {"input": "2", "output": "8", "tiers": {"cheap": {}}}})


def test_the_catalogue_has_list_prices() -> None:
    """What was served in a tier of another price has none."""
    sold = {"input_tokens": 1000, "output_tokens": 10, "provider": "openai"}
    catalogue = Catalogue()
    assert catalogue.cost(record(**sold, service_tier="default"), "gpt-4o") is not None
    assert catalogue.cost(record(**sold, service_tier="flex"), "gpt-4o") is None


def test_the_operators_own_table_comes_first() -> None:
    """The first source that knows the model wins; the catalogue prices the rest."""
    own = {"gpt-4o": {"input": "1", "output": "1"}}
    both = prices_of([own, "genai-prices"])
    assert both is not None
    four, three = both.priced(
        [
            record(request_model="gpt-4o", provider="openai"),
            record(request_model="gpt-4o-mini", provider="openai"),
        ]
    )
    assert (four.cost, str(four.price_version)[:4]) == ("1.5", "own@")
    assert str(three.price_version).startswith("genai-prices@")
    assert three.cost == "0.45"


@pytest.mark.parametrize(
    ("provider", "model", "columns"),
    [
        ("openai", "gpt-4o", {}),
        ("openai", "gpt-4o", {"cache_read_input_tokens": 300_000}),
        ("anthropic", "claude-sonnet-4-5", {"cache_write_input_tokens": 100_000}),
        ("gemini", "gemini-2.5-flash", {}),
    ],
)
def test_the_catalogue_is_its_packages(provider: str, model: str, columns: dict[str, Any]) -> None:
    """Costs equal what the package itself computes for the same usage."""
    import genai_prices

    one = record(provider=provider, request_model=model, **columns)
    usage = genai_prices.Usage(
        input_tokens=1_000_000,
        output_tokens=500_000,
        cache_read_tokens=columns.get("cache_read_input_tokens"),
        cache_write_tokens=columns.get("cache_write_input_tokens"),
    )
    right = genai_prices.calc_price(
        usage,
        model,
        provider_id={"gemini": "google"}.get(provider, provider),
        genai_request_timestamp=MOMENT,
    ).total_price
    found = Catalogue().cost(one, model)
    assert found == right > 0


def test_the_catalogue_finds_models_served_in_anothers_dialect() -> None:
    """A model of another vendor behind an OpenAI route is found by its name."""
    found = Catalogue().cost(record(provider="openai"), "claude-sonnet-4-5")
    assert found is not None
    assert Catalogue().cost(record(provider="openai"), "no such model") is None


@given(
    counts=st.fixed_dictionaries(
        {
            name: st.none() | st.integers(0, 1000)
            for name in (
                *("input_tokens", "output_tokens", "cache_read_input_tokens"),
                *("cache_write_input_tokens", "reasoning_output_tokens", "audio_input_tokens"),
                "audio_output_tokens",
            )
        }
    )
)
def test_parts_add_up(counts: dict[str, int | None]) -> None:
    """The parts are disjoint and add up to input and output, whatever was reported."""
    found = parts(record(**counts))
    if found is None:
        return
    assert counts["input_tokens"] == sum(
        (found.input, found.cache_read, found.cache_write, found.audio_input)
    )
    assert counts["output_tokens"] == found.output + found.reasoning + found.audio_output


def test_a_file_is_a_table(tmp_path: Path) -> None:
    """The same rates have the same version, wherever they come from."""
    path = tmp_path / "prices.toml"
    path.write_text(
        '[models.mine]\ninput = "2.50"\noutput = 10\ncache_read = "0.25"\nreasoning = "12"\n'
    )
    assert PriceTable.load(path).version == PriceTable(OWN).version
    assert cost(str(path), record()) == "7.5"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("no-such.toml", "cannot be read"),
        (5, "a int was given"),
        ({"m": {"input": "1"}}, "must state input and output"),
        ({"m": {"input": "1", "output": "-2"}}, "is no amount"),
        ({"m": {"input": "1", "output": "NaN"}}, "is no amount"),
        ({"m": {"input": "1", "output": True}}, "is no amount"),
        ({"m": {"input": "1", "output": "1", "images": 2}}, "allowed are input, output"),
    ],
)
def test_mistakes_are_told(given: Any, sentence: str) -> None:
    """A table that cannot be right is refused when the runtime is made."""
    with pytest.raises(ConfigurationError, match=sentence):
        prices_of(given)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A file that holds no tables of models says what it should hold."""
    path = tmp_path / "prices.toml"
    path.write_text('gpt = "1"\n')
    with pytest.raises(ConfigurationError, match="must hold tables of models"):
        PriceTable.load(path)


def test_costs_come_with_delivery() -> None:
    """A runtime with prices fills the cost in on the way to the sinks, and names the version."""
    with testing.memory_runtime("wallet", prices=OWN) as runtime:
        runtime.journal.append(record())
        (priced,) = testing.usage_records(runtime)
    assert (priced.cost, priced.price_version) == ("7.5", PriceTable(OWN).version)
    assert Decimal(str(priced.cost)) == Decimal("7.5")
    with testing.memory_runtime("wallet") as runtime:
        runtime.journal.append(record())
        (plain,) = testing.usage_records(runtime)
    assert plain.cost is None
    assert "price_version" not in json.loads(json.dumps(list(plain.as_dict())))
