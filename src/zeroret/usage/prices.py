"""Prices: what a record's tokens cost in US dollars, by the operator's tables or a catalogue.

Computed while records are delivered, never on the reply's path. An unknown price is None, never 0.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec import UNSET
from msgspec.structs import replace

from zeroret.dialects.tiers import TIERS
from zeroret.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroret.usage.record import UsageRecord

CATALOGUE: Final = "genai-prices"
"""The name of the catalogue in option ``prices``."""

RATES: Final = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "reasoning",
    "audio_input",
    "audio_output",
    "image",
)
"""What a table may state for a model: dollars for a million tokens; ``image`` for one image."""

PLACES: Final = Decimal("0.000000001")
"""The precision of a cost: a billionth of a dollar."""

_MILLION: Final = Decimal(1_000_000)


class PriceSource(Protocol):
    """Something that knows prices."""

    version: str
    """Names the prices, so that a cost can be traced to them."""

    def cost(self, record: UsageRecord, model: str) -> Decimal | None:
        """Return what *record* cost at *model*'s prices; None if they are not known."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The disjoint parts of a record's tokens; they add up to its input and output."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    reasoning: int
    audio_input: int
    audio_output: int
    image: int


class PriceTable:
    """The operator's own prices: a mapping from models to rates.

    Args:
        rates: model to ``{"input": "2.50", "output": "10", …}``; decimals as text or numbers.
            ``"tiers": {"flex": {…}}`` states the rates of a service tier that has its own.

    Raises:
        ConfigurationError: a rate is unknown, negative or no number.
    """

    def __init__(self, rates: Mapping[str, Mapping[str, Any]]) -> None:
        self._rates: dict[tuple[str, str], dict[str, Decimal]] = {}
        for model, given in rates.items():
            base, tiers = _split(model, given)
            self._rates[model, ""] = _rates(model, base)
            for tier, own in tiers.items():
                self._rates[model, tier] = _rates(f"{model}, {tier}", own)
        plain = [
            [*key, {name: str(rate) for name, rate in sorted(each.items())}]
            for key, each in sorted(self._rates.items())
        ]
        digest = hashlib.sha256(json.dumps(plain).encode()).hexdigest()
        self.version = f"own@{digest[:12]}"

    @classmethod
    def load(cls, path: str | PathLike[str]) -> PriceTable:
        """Return the table in a TOML file: a table per model, such as ``[models."gpt-4o"]``.

        Raises:
            ConfigurationError: the file cannot be read, or holds something else.
        """
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"prices={str(path)!r} cannot be read ({type(error).__name__}): give a TOML file "
                'with a table per model, such as [models."gpt-4o"] and input = "2.50"'
            ) from None
        models = data.get("models")
        if not isinstance(models, dict) or len(data) != 1:
            raise ConfigurationError(
                f"prices={str(path)!r} must hold tables of models and nothing else, such as "
                '[models."gpt-4o"]'
            )
        return cls(models)

    def cost(self, record: UsageRecord, model: str) -> Decimal | None:
        """Return what *record* cost at *model*'s rates; None for another model.

        A part that has no rate of its own is charged as the input or output that it belongs to, a
        service tier that has none at the model's own rates.
        """
        tier = record.service_tier if isinstance(record.service_tier, str) else ""
        rates = self._rates.get((model, tier)) or self._rates.get((model, ""))
        counts = parts(record)
        if rates is None or counts is None:
            return None
        total = Decimal(0)
        for name in RATES:
            count = getattr(counts, name)
            if count and name == "image":
                total += count * rates.get("image", Decimal(0)) * _MILLION
            elif count:
                total += count * rates.get(name, rates[_WHOLE.get(name, name)])
        return total / _MILLION


_WHOLE: Final = {
    "cache_read": "input",
    "cache_write": "input",
    "audio_input": "input",
    "reasoning": "output",
    "audio_output": "output",
}


class Prices:
    """Sets the cost of records, by the first source that knows it.

    Args:
        sources: the operator's own tables first.
    """

    def __init__(self, sources: Sequence[PriceSource]) -> None:
        self._sources = tuple(sources)
        self.versions = tuple(source.version for source in self._sources)
        """What the costs are computed by, the first first."""

    def priced(self, records: Sequence[UsageRecord]) -> Sequence[UsageRecord]:
        """Return *records* with cost and price version, where the policy keeps a cost."""
        return [self._priced(record) for record in records]

    def _priced(self, record: UsageRecord) -> UsageRecord:
        if record.cost is UNSET or record.cost is not None:
            return record
        for model in (record.response_model, record.request_model):
            if not isinstance(model, str) or not model:
                continue
            for source in self._sources:
                cost = _cost(source, record, model)
                if cost is not None:
                    return replace(record, cost=cost, price_version=source.version)
        return record


def prices_of(value: Any) -> Prices | None:
    """Return what option ``prices`` asks for.

    Raises:
        ConfigurationError: it is no catalogue, table or list of these.
        MissingExtraError: the catalogue's package is not installed.
    """
    if value is None or value == []:
        return None
    given = value if isinstance(value, list | tuple) else [value]
    return Prices([_source(each) for each in given])


def _source(value: Any) -> PriceSource:
    if value == CATALOGUE:
        from zeroret.usage.catalogue import Catalogue

        return Catalogue()
    if isinstance(value, Mapping):
        return PriceTable(value)
    if isinstance(value, str | PathLike):
        return PriceTable.load(value)
    raise ConfigurationError(
        f"prices must be {CATALOGUE!r}, the path of a TOML file, a mapping from models to rates, "
        f"or a list of these; a {type(value).__name__} was given"
    )


def parts(record: UsageRecord) -> Counts | None:
    """Return the disjoint parts of *record*'s tokens; None if input or output is not known.

    A part that is larger than the whole it belongs to makes both unknown: something lied.
    """
    whole_input, whole_output = record.input_tokens, record.output_tokens
    if not isinstance(whole_input, int) or not isinstance(whole_output, int):
        return None
    cache_read, cache_write = (
        _known(record.cache_read_input_tokens),
        _known(record.cache_write_input_tokens),
    )
    audio_input, audio_output = (
        _known(record.audio_input_tokens),
        _known(record.audio_output_tokens),
    )
    reasoning = _known(record.reasoning_output_tokens)
    plain_input = whole_input - cache_read - cache_write - audio_input
    plain_output = whole_output - reasoning - audio_output
    if plain_input < 0 or plain_output < 0:
        return None
    return Counts(
        plain_input,
        plain_output,
        cache_read,
        cache_write,
        reasoning,
        audio_input,
        audio_output,
        _known(record.images),
    )


def _known(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _cost(source: PriceSource, record: UsageRecord, model: str) -> str | None:
    try:
        cost = source.cost(record, model)
        return None if cost is None else format(cost.quantize(PLACES).normalize(), "f")
    except (ArithmeticError, LookupError, ValueError, TypeError):
        return None  # a price nobody can compute is unknown


def _split(model: str, given: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return the rates of a model, and those of its service tiers."""
    if not isinstance(given, Mapping) or "tiers" not in given:
        return given, {}
    tiers = given["tiers"]
    unknown = sorted(set(tiers) - TIERS) if isinstance(tiers, Mapping) else ["no table"]
    if unknown:
        raise ConfigurationError(
            f"prices for {model!r} state tiers {', '.join(map(str, unknown))}; allowed is a table "
            f"for any of {', '.join(sorted(TIERS))}"
        )
    return {name: value for name, value in given.items() if name != "tiers"}, tiers


def _rates(model: str, given: Any) -> dict[str, Decimal]:
    if not isinstance(given, Mapping) or not {"input", "output"} <= given.keys():
        raise ConfigurationError(
            f"prices for {model!r} must state input and output, in dollars for a million tokens"
        )
    found = {}
    for name, value in given.items():
        if name not in RATES:
            raise ConfigurationError(
                f"prices for {model!r} state {name!r}; allowed are {', '.join(RATES)}"
            )
        found[name] = _rate(model, name, value)
    return found


def _rate(model: str, name: str, value: Any) -> Decimal:
    try:
        rate = None if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        rate = None
    if rate is None or not rate.is_finite() or rate < 0:
        raise ConfigurationError(
            f"prices for {model!r} state {name}={value!r}, which is no amount: write one like "
            "'2.50', in dollars"
        )
    return rate
