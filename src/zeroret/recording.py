"""From an exchange to its usage record: each column's one source, under the policy's eye."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import UNSET, structs

from zeroret.exchange import METHODS
from zeroret.usage.client import client_address, client_family
from zeroret.usage.identity import format_id
from zeroret.usage.meter import Metered
from zeroret.usage.record import ALWAYS, COLUMNS, TOKEN_COLUMNS, UsageRecord

if TYPE_CHECKING:
    from zeroret.exchange import Exchange
    from zeroret.policy import Policy
    from zeroret.usage.models import ModelNames
    from zeroret.usage.record import Outcome

Source: TypeAlias = Callable[["Exchange", "Metered"], Any]
"""Computes one column's value."""

_DURATIONS: Final = ("duration", "time_to_first_token")
_PRECISION: Final = 6  # microseconds: finer digits are noise


def _duration(exchange: Exchange, _: Metered) -> float:
    return round(time.perf_counter() - exchange.started, _PRECISION)


def _time_to_first_token(exchange: Exchange, metered: Metered) -> float | None:
    if exchange.first_byte is None or not metered.stream:
        return None
    return round(exchange.first_byte - exchange.started, _PRECISION)


def _route(exchange: Exchange, _: Metered) -> str:
    return exchange.route_template() or "other"


def _method(exchange: Exchange, _: Metered) -> str:
    return exchange.method if exchange.method in METHODS else "other"


def _client(exchange: Exchange, _: Metered) -> str | None:
    return None if exchange.user_agent is None else client_family(exchange.user_agent)


def _provider(_: Exchange, metered: Metered) -> str | None:
    return None if metered.dialect is None else metered.dialect.partition(".")[0]


def _started_at(exchange: Exchange, _: Metered) -> datetime:
    return datetime.fromtimestamp(exchange.wall, UTC)


_SOURCES: Final[dict[str, Source]] = {
    "started_at": _started_at,
    "duration": _duration,
    "time_to_first_token": _time_to_first_token,
    "account": lambda exchange, _: exchange.account,
    "key_id": lambda exchange, _: exchange.key_id(),
    "route": _route,
    "method": _method,
    "dialect": lambda _, metered: metered.dialect,
    "provider": _provider,
    "stream": lambda _, metered: metered.stream,
    "status": lambda exchange, _: exchange.status,
    "error_type": lambda exchange, _: exchange.error_type,
    "request_bytes": lambda exchange, _: exchange.request_bytes,
    "response_bytes": lambda exchange, _: exchange.response_bytes,
    "client_ip": lambda exchange, _: client_address(exchange.client_host),
    "client": _client,
    "cost": lambda _, __: None,
}
"""Where each column comes from; the counts, the models and the outcome are set beside these."""

NOTHING: Final = Metered()
"""What is metered of an exchange in no dialect that anyone reported on."""

_MODELS: Final = ("request_model", "response_model")


class Recorder:
    """Builds the records of one policy; a column the policy removes is never computed."""

    def __init__(self, policy: Policy, models: ModelNames) -> None:
        kept = policy.columns
        self._stamp = policy.stamp
        self._models = models
        self._sources = tuple(
            (name, _SOURCES[name]) for name in COLUMNS if name in kept & _SOURCES.keys()
        )
        self._counts = tuple(name for name in TOKEN_COLUMNS if name in kept)
        self._model_columns = tuple(name for name in _MODELS if name in kept)
        self._columns = kept - ALWAYS
        self._keeps_outcome = "outcome" in kept

    def record(self, exchange: Exchange, metered: Metered, outcome: Outcome) -> UsageRecord:
        """Return the record of *exchange* as it stands now."""
        values: dict[str, Any] = {name: source(exchange, metered) for name, source in self._sources}
        for name in self._counts:
            values[name] = getattr(metered, name)
        for name in self._model_columns:
            values[name] = self._models.known(getattr(metered, name))
        if self._keeps_outcome:
            values["outcome"] = outcome
        return UsageRecord(
            id=format_id(exchange.raw_id),
            policy=self._stamp,
            usage_source=metered.usage_source,
            **values,
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
            values["started_at"] = datetime.fromtimestamp(wall, UTC)
        if "outcome" in values:
            values["outcome"] = outcome
        return UsageRecord(id=format_id(raw_id), policy=self._stamp, **values)
