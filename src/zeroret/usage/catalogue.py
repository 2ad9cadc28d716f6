"""The price catalogue of the package genai-prices, offline, in the extra ``zeroret[prices]``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from zeroret.dialects.tiers import STANDARD
from zeroret.errors import MissingExtraError
from zeroret.usage.prices import parts

if TYPE_CHECKING:
    from decimal import Decimal

    from zeroret.usage.record import UsageRecord

PROVIDERS: Final = {
    "bedrock": "aws",
    "gemini": "google",
    "vertex": "google",
    "xai": "x-ai",
}
"""The catalogue's providers by a record's, where their names differ."""

_CACHED: Final = 4096


class Catalogue:
    """Prices by the bundled data of genai-prices, as of the moment an exchange began.

    The data is the installed package's; this never asks the network for newer.

    Raises:
        MissingExtraError: the package is not installed.
    """

    def __init__(self) -> None:
        try:
            import genai_prices
            from genai_prices.data_snapshot import get_snapshot
        except ImportError:
            raise MissingExtraError("prices='genai-prices'", "prices") from None
        self.version = f"genai-prices@{genai_prices.__version__}"
        self._usage = genai_prices.Usage
        self._snapshot = get_snapshot()
        self._models: dict[tuple[str, str], Any] = {}

    def cost(self, record: UsageRecord, model: str) -> Decimal | None:
        """Return what *record* cost; None for a model or a combination without a price.

        The catalogue has list prices: what was served in a tier of another price has none.
        """
        tier = record.service_tier
        if isinstance(tier, str) and tier not in STANDARD:
            return None
        provider = record.provider if isinstance(record.provider, str) else ""
        found = self._model(PROVIDERS.get(provider, provider), model)
        counts = parts(record)
        if found is None or counts is None:
            return None
        began = record.started_at if isinstance(record.started_at, datetime) else datetime.now(UTC)
        usage = {
            "input_tokens": record.input_tokens,
            "output_tokens": record.output_tokens,
            "cache_read_tokens": counts.cache_read,
            "cache_write_tokens": counts.cache_write,
            "input_audio_tokens": counts.audio_input,
            "output_audio_tokens": counts.audio_output,
        }
        shown = self._usage(**{name: count for name, count in usage.items() if count})
        total: Decimal = found.get_prices(began).calc_price(shown)["total_price"]
        return total

    def _model(self, provider: str, model: str) -> Any:
        """Return the catalogue's entry of a model, at its provider or wherever its name leads."""
        key = (provider, model)
        if key not in self._models:
            if len(self._models) >= _CACHED:
                self._models.clear()
            self._models[key] = self._find(provider or None, model) or self._find(None, model)
        return self._models[key]

    def _find(self, provider: str | None, model: str) -> Any:
        try:
            return self._snapshot.find_provider_model(model, None, provider, None)[1]
        except LookupError:
            return None
