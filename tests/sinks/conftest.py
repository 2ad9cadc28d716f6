"""Records for the sinks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

import pytest

from zeroret.usage.record import UsageRecord

MakeRecord: TypeAlias = Callable[..., UsageRecord]


@pytest.fixture
def make() -> MakeRecord:
    """Give ``make(number, **columns)``: a complete record with that number as its id."""

    def record(number: int, **columns: Any) -> UsageRecord:
        values: dict[str, Any] = {
            "id": str(UUID(int=number)),
            "policy": "usage-only@000000000000",
            "usage_source": "reported",
            "started_at": datetime(2025, 1, 31, 9, 30, tzinfo=UTC),
            "duration": 1.5,
            "account": "a",
            "input_tokens": number,
            "outcome": "completed",
        }
        return UsageRecord(**(values | columns))

    return record
