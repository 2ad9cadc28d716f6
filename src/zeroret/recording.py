"""From an exchange to its usage record: each column's one source, under the policy's eye."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, structs

from zeroret.exchange import METHODS
from zeroret.usage.client import client_address, client_family
from zeroret.usage.identity import format_id
from zeroret.usage.meter import Metered
from zeroret.usage.models import OTHER
from zeroret.usage.record import ALWAYS, UsageRecord

if TYPE_CHECKING:
    from zeroret.exchange import Exchange
    from zeroret.policy import Policy
    from zeroret.usage.models import ModelNames
    from zeroret.usage.record import Outcome

_DURATIONS: Final = ("duration", "time_to_first_token")
_PRECISION: Final = 6  # microseconds: finer digits are noise

NOTHING: Final = Metered()
"""What is metered of an exchange in no dialect that anyone reported on."""


class Recorder:
    """Builds the records of one policy; a column the policy removes is never computed.

    *columns* are more than the policy's own where a store keeps collections apart from its rows.
    """

    def __init__(
        self, policy: Policy, models: ModelNames, columns: frozenset[str] | None = None
    ) -> None:
        self._stamp = policy.stamp
        self._known = models.known
        self._kept = policy.columns if columns is None else columns
        self._columns = self._kept - ALWAYS

    def record(self, exchange: Exchange, metered: Metered, outcome: Outcome) -> UsageRecord:
        """Return the record of *exchange* as it stands now: each column from its one source."""
        kept, known, no = self._kept, self._known, UNSET
        return UsageRecord(
            id=format_id(exchange.raw_id),
            policy=self._stamp,
            usage_source=metered.usage_source,
            started_at=_moment(exchange.wall) if "started_at" in kept else no,
            duration=_duration(exchange) if "duration" in kept else no,
            time_to_first_token=(
                _time_to_first_token(exchange, metered) if "time_to_first_token" in kept else no
            ),
            account=exchange.account if "account" in kept else no,
            key_id=exchange.key_id() if "key_id" in kept else no,
            route=exchange.route_template() or OTHER if "route" in kept else no,
            method=_method(exchange) if "method" in kept else no,
            dialect=metered.dialect if "dialect" in kept else no,
            provider=_provider(metered) if "provider" in kept else no,
            request_model=known(metered.request_model) if "request_model" in kept else no,
            response_model=known(metered.response_model) if "response_model" in kept else no,
            service_tier=metered.service_tier if "service_tier" in kept else no,
            stream=metered.stream if "stream" in kept else no,
            status=exchange.status if "status" in kept else no,
            outcome=outcome if "outcome" in kept else no,
            error_type=exchange.error_type if "error_type" in kept else no,
            input_tokens=metered.input_tokens if "input_tokens" in kept else no,
            output_tokens=metered.output_tokens if "output_tokens" in kept else no,
            cache_read_input_tokens=(
                metered.cache_read_input_tokens if "cache_read_input_tokens" in kept else no
            ),
            cache_write_input_tokens=(
                metered.cache_write_input_tokens if "cache_write_input_tokens" in kept else no
            ),
            reasoning_output_tokens=(
                metered.reasoning_output_tokens if "reasoning_output_tokens" in kept else no
            ),
            audio_input_tokens=metered.audio_input_tokens if "audio_input_tokens" in kept else no,
            audio_output_tokens=(
                metered.audio_output_tokens if "audio_output_tokens" in kept else no
            ),
            images=metered.images if "images" in kept else no,
            request_bytes=exchange.request_bytes if "request_bytes" in kept else no,
            response_bytes=exchange.response_bytes if "response_bytes" in kept else no,
            client_ip=client_address(exchange.client_host) if "client_ip" in kept else no,
            client=_client(exchange) if "client" in kept else no,
            cost=None if "cost" in kept else no,
        )

    def minimal(self, exchange: Exchange, outcome: Outcome) -> UsageRecord:
        """Return a record of *exchange* with nothing in it that could fail to be computed."""
        return self._bare(exchange.raw_id, exchange.wall, outcome)

    def killed(self, raw_id: bytes, wall: float, noted: UsageRecord | None) -> UsageRecord:
        """Return the record of an exchange whose process died, from what its live slot held.

        How long it lasted is not known. What was noted obeyed the policy of its time, which the
        note names.
        """
        if noted is None:
            return self._bare(raw_id, wall, "killed")
        unknown = {name: None for name in _DURATIONS if getattr(noted, name) is not UNSET}
        return structs.replace(noted, **unknown)

    def _bare(self, raw_id: bytes, wall: float, outcome: Outcome) -> UsageRecord:
        values: dict[str, Any] = dict.fromkeys(self._columns)
        if "started_at" in values:
            values["started_at"] = _moment(wall)
        if "outcome" in values:
            values["outcome"] = outcome
        return UsageRecord(id=format_id(raw_id), policy=self._stamp, **values)


def _moment(wall: float) -> datetime:
    return datetime.fromtimestamp(wall, UTC)


def _duration(exchange: Exchange) -> float:
    return round(time.perf_counter() - exchange.started, _PRECISION)


def _time_to_first_token(exchange: Exchange, metered: Metered) -> float | None:
    if exchange.first_byte is None or not metered.stream:
        return None
    return round(exchange.first_byte - exchange.started, _PRECISION)


def _method(exchange: Exchange) -> str:
    return exchange.method if exchange.method in METHODS else OTHER


def _provider(metered: Metered) -> str | None:
    return None if metered.dialect is None else metered.dialect.partition(".")[0]


def _client(exchange: Exchange) -> str | None:
    agent = exchange.user_agent
    return None if agent is None else client_family(agent.decode("latin-1"))
