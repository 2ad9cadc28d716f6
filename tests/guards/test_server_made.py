"""What the server vouches for: its ids, numbers, times and paths, and nothing that quotes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID, uuid4

import pytest

from zeroret import Sealed, server_made
from zeroret.content.flight import Flight

MADE: dict[str, Any] = {
    "text": "job-" + "4711",
    "id": uuid4(),
    "large number": 2**70,
    "time": datetime(2025, 1, 31, 9, 30, tzinfo=UTC),
    "day": date(2025, 1, 31),
    "hour": time(9, 30),
    "ratio": 0.5,
    "span": timedelta(hours=2),
    "price": Decimal("0.0042"),
    "path": Path("spool") / "a",
    "pure path": PurePosixPath("/srv") / "b",
}


@pytest.mark.parametrize("name", MADE)
def test_strict_logging_shows_what_is_vouched_for(name: str, output: Any, flight: Flight) -> None:
    """A vouched value shows as its text, whatever it is; unvouched it may not."""
    output.log.info("%s", server_made(MADE[name]))
    assert output.message == str(MADE[name])


def test_a_vouched_value_is_compared_as_text(output: Any, flight: Flight) -> None:
    """An id that the client sent is withheld, vouched for or not."""
    sent = UUID(int=2**127 + 4711)
    flight.hold(f"my id is {sent}".encode())
    output.log.info("%s", server_made(sent))
    assert str(sent) not in output.text


@pytest.mark.parametrize("value", [b"x", [1], None, 1j, object(), Sealed("x"), ValueError("x")])
def test_nothing_else_can_be_vouched_for(value: Any) -> None:
    """Bytes, containers and objects of any kind are refused, by their class alone."""
    with pytest.raises(TypeError, match=r"server_made\(\) takes a str, number, UUID, date"):
        server_made(value)
