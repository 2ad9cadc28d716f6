"""What a period means on the calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.policy import Period

MOMENTS = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001 - likewise
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
CLOCKED = st.builds(
    lambda amount, unit: Period.parse(f"{amount} {unit}"),
    st.integers(1, 400),
    st.sampled_from(["hour", "hours", "days", "weeks", "months", "years"]),
)
SLACK = timedelta(days=3)
"""The most that two months of unlike length can differ in their last days."""


@pytest.mark.parametrize(
    "text", ["90 days", "1 day", "24 hours", "2 weeks", "12 months", "7 years", "for ever"]
)
def test_text_round_trips(text: str) -> None:
    """A period prints as it was stated."""
    assert str(Period.parse(text)) == text
    assert Period.parse(str(Period.parse(text))) == Period.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "90", "0 days", "-1 days", "1.5 years", "90  days", "90 days ", "90 Days", "forever",
     "99999 days", "٩ days", "90 days\n", "1 fortnight"],
)  # fmt: skip
def test_other_text_is_refused(text: str) -> None:
    """Nothing but the grammar is a period, and the message says what is allowed."""
    with pytest.raises(ValueError, match="for ever"):
        Period.parse(text)


@pytest.mark.parametrize(
    ("text", "now", "cutoff"),
    [
        ("90 days", "2026-03-31T12:00", "2025-12-31T12:00"),
        ("1 month", "2026-03-31T12:00", "2026-02-28T12:00"),
        ("1 month", "2024-03-31T12:00", "2024-02-29T12:00"),
        ("12 months", "2025-01-15T00:00", "2024-01-15T00:00"),
        ("7 years", "2024-02-29T01:02", "2017-02-28T01:02"),
        ("24 hours", "2026-01-01T00:00", "2025-12-31T00:00"),
        ("1 month", "2026-01-31T00:00", "2025-12-31T00:00"),
    ],
)
def test_before_follows_the_calendar(text: str, now: str, cutoff: str) -> None:
    """Days are exact, months and years go to the same day or the month's last."""
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert Period.parse(text).before(moment) == datetime.fromisoformat(cutoff).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["for ever", "as law needs"])
def test_no_clock_makes_nothing_due(text: str) -> None:
    """A period without a clock has no cutoff and no end."""
    period = Period.parse(text)
    assert not period.clocked
    assert period.before(datetime.now(UTC)) is None
    assert period.after(datetime.now(UTC)) is None


def test_naive_moments_are_refused() -> None:
    """A moment without a zone is refused, also by a period without a clock."""
    for text in ("1 day", "for ever"):
        with pytest.raises(ValueError, match="time zone"):
            Period.parse(text).before(datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test


def test_beyond_the_calendar_is_never() -> None:
    """A period longer than the calendar makes nothing due instead of failing."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for text in ("9999 years", "9999 weeks"):
        assert Period.parse("9999 years").before(moment) is None
        assert Period.parse(text).after(datetime(9990, 1, 1, tzinfo=UTC)) is None


@given(CLOCKED, MOMENTS)
def test_before_undoes_after(period: Period, start: datetime) -> None:
    """What began at the cutoff is over now, give or take the unlike lengths of months."""
    end = period.after(start)
    assert end is not None
    assert end > start
    cutoff = period.before(end)
    assert cutoff is not None
    assert timedelta(0) <= start - cutoff <= SLACK


@given(CLOCKED, MOMENTS, MOMENTS)
def test_later_now_never_keeps_more(period: Period, one: datetime, other: datetime) -> None:
    """The cutoff moves only forward as time does."""
    early, late = sorted((one, other))
    first, second = period.before(early), period.before(late)
    assert first is not None
    assert second is not None
    assert first <= second
    assert first < early
