"""Moments: times of events, kept where they lie near now, so that a number cannot hold a text."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from zeroret.guards.judging import DROPPED, Judge

NEAR: Final = 366 * 86_400
"""Seconds before and after now within which a time is believed."""

_LONGEST: Final = 40


def nanoseconds(value: object) -> int:
    """Return a time in nanoseconds since the epoch; 0 for one that lies far from now."""
    if type(value) is not int:
        return 0
    return value if abs(value / 1e9 - time.time()) < NEAR else 0


def moment(judge: Judge, value: Any) -> Any:
    """Show a time: seconds since the epoch, or its ISO 8601 text (RFC 3339)."""
    kind = type(value)
    if kind is int or kind is float:
        return value if abs(value - time.time()) < NEAR else judge.drop()
    if kind is datetime:
        return value if _is_near(value) else judge.drop()
    if value is None:
        return DROPPED
    if not isinstance(value, str) or len(value) > _LONGEST:
        return judge.drop()
    try:
        read = datetime.fromisoformat(str.__str__(value))
    except ValueError:
        return judge.drop()
    return _written(read) if _is_near(read) else judge.drop()


def _is_near(read: datetime) -> bool:
    at = read if read.tzinfo is not None else read.replace(tzinfo=UTC)
    return abs(datetime.now(UTC) - at) < timedelta(seconds=NEAR)


def _written(read: datetime) -> str:
    at = (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).astimezone(UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
