"""How long something is kept, or within what time something is done, as a policy states it."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, cast

from pydantic_core import PydanticCustomError, core_schema

Unit: TypeAlias = Literal["hours", "days", "weeks", "months", "years"]

FOR_EVER: Final = "for ever"
AS_LAW_NEEDS: Final = "as law needs"
Clockless: TypeAlias = Literal["for ever", "as law needs"]

ALLOWED: Final = (
    "a number from 1 to 9999 and hours, days, weeks, months or years, such as '90 days', "
    f"'12 months' or '7 years'; or '{FOR_EVER}'; or '{AS_LAW_NEEDS}'"
)
"""What a period may be, for messages."""

_GRAMMAR: Final = re.compile(r"([1-9][0-9]{0,3}) (hour|day|week|month|year)s?", re.ASCII)
_EXACT: Final = {
    "hours": timedelta(hours=1),
    "days": timedelta(days=1),
    "weeks": timedelta(weeks=1),
}
_MONTHS: Final = {"months": 1, "years": 12}


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time, or one of the two words for a time without a clock.

    Hours, days and weeks are exact; months and years follow the calendar in UTC, to the same day
    or to the last day of a shorter month. A period without a clock (``for ever``, ``as law
    needs``) never makes anything due.
    """

    amount: int
    """How many units; 0 when there is no clock."""
    unit: Unit | Clockless

    @classmethod
    def parse(cls, text: str) -> Period:
        """Return the period that *text* states; raises `ValueError` naming what is allowed."""
        if text in {FOR_EVER, AS_LAW_NEEDS}:
            return cls(0, cast("Clockless", text))
        found = _GRAMMAR.fullmatch(text)
        if found is None:
            raise ValueError(f"a period is {ALLOWED}")
        return cls(int(found[1]), cast("Unit", f"{found[2]}s"))

    @property
    def clocked(self) -> bool:
        """Whether time alone makes something due."""
        return self.amount > 0

    def before(self, now: datetime) -> datetime | None:
        """Return the moment such that whatever is older is past this period at *now*.

        None: nothing is, for want of a clock or because the calendar does not reach back so far.
        Raises `ValueError` when *now* has no time zone.
        """
        return self._moved(now, -1)

    def after(self, start: datetime) -> datetime | None:
        """Return the moment at which this period, begun at *start*, is over; None is never.

        Raises `ValueError` when *start* has no time zone.
        """
        return self._moved(start, 1)

    def _moved(self, moment: datetime, sign: Literal[-1, 1]) -> datetime | None:
        if moment.tzinfo is None:
            raise ValueError(
                "a moment needs a time zone: naive datetimes mean another in each place"
            )
        if not self.clocked:
            return None
        moment = moment.astimezone(UTC)
        try:
            if exact := _EXACT.get(self.unit):
                return moment + sign * self.amount * exact
            return _shifted(moment, sign * self.amount * _MONTHS[self.unit])
        except (OverflowError, ValueError):  # beyond the years 1 to 9999
            return None

    def __str__(self) -> str:
        if not self.clocked:
            return self.unit
        return f"{self.amount} {self.unit if self.amount != 1 else self.unit[:-1]}"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        """Validate from text, keep instances, serialise as text."""
        return core_schema.no_info_plain_validator_function(
            _validate,
            json_schema_input_schema=core_schema.str_schema(),
            serialization=core_schema.to_string_ser_schema(),
        )


def _shifted(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    month += 1
    if not 1 <= year <= 9999:  # noqa: PLR2004 - the years a datetime has
        raise OverflowError
    day = min(moment.day, calendar.monthrange(year, month)[1])
    return moment.replace(year=year, month=month, day=day)


def _validate(value: object) -> Period:
    if isinstance(value, Period):
        return value
    try:
        if isinstance(value, str):
            return Period.parse(value)
    except ValueError:
        pass
    raise PydanticCustomError("period", "allowed: {allowed}", {"allowed": ALLOWED})
