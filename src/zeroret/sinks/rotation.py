"""Rotation of a file of lines: when it is moved aside, under which name, and what is old."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qsl

from zeroret.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import stat_result
    from pathlib import Path

_SIZE: Final = re.compile(r"([1-9][0-9]{0,5})(kB|MB|GB)")
_UNITS: Final = {"kB": 1000, "MB": 1000**2, "GB": 1000**3}
_STAMP: Final = "%Y%m%dT%H%M%S%fZ"
_STAMPED: Final = re.compile(r"\d{8}T\d{12}Z")
_ALLOWED: Final = (
    "rotate=day, rotate=hour or a size such as rotate=100MB, as in jsonl:///usage.jsonl?rotate=day"
)


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is moved aside: past a size in bytes, or when its hour or day (UTC) is over."""

    size: int | None = None
    span: str | None = None

    @classmethod
    def of(cls, query: str) -> Self:
        """Return what the query of a sink's URI asks for; an empty one asks for none.

        Raises:
            ConfigurationError: it asks for something else.
        """
        if not query:
            return cls()
        try:
            given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True))
        except ValueError:
            given = {}
        value = given.pop("rotate", None)
        if value is None or given:
            raise ConfigurationError(f"the jsonl: sink takes {_ALLOWED}")
        if value in {"day", "hour"}:
            return cls(span=value)
        match = _SIZE.fullmatch(value)
        if match is None:
            raise ConfigurationError(f"rotate={value!r} is not allowed: write {_ALLOWED}")
        return cls(size=int(match[1]) * _UNITS[match[2]])

    def is_due(self, status: stat_result, now: datetime) -> bool:
        """Tell whether a file with this *status* is to be moved aside before the next write."""
        if not status.st_size:
            return False
        if self.size is not None:
            return status.st_size >= self.size
        if self.span is None:
            return False
        return _span(datetime.fromtimestamp(status.st_mtime, UTC), self.span) < _span(
            now, self.span
        )


def aside(path: Path, now: datetime) -> Path:
    """Return the name under which the file at *path* is kept aside."""
    return path.with_name(f"{path.name}.{now.strftime(_STAMP)}")


def kept_aside(path: Path) -> Iterator[Path]:
    """Return the files that were moved aside from *path*, in no order."""
    for other in path.parent.glob(f"{path.name}.*"):
        if _STAMPED.fullmatch(other.name[len(path.name) + 1 :]):
            yield other


def _span(moment: datetime, span: str) -> datetime:
    hour = moment.replace(minute=0, second=0, microsecond=0)
    return hour if span == "hour" else hour.replace(hour=0)
