"""The filter for logging that is wired by hand."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from zeroret.content.flight import CURRENT, Flight
from zeroret.content.live import LIVE
from zeroret.guards.filter import RedactingFilter


@pytest.fixture
def wired(content: str) -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger whose handler has the filter, inside an exchange, with no guard installed."""
    flight = Flight()
    flight.hold(content)
    LIVE.enter(flight)
    token = CURRENT.set(flight)
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RedactingFilter())
    log = logging.Logger("wired")  # noqa: LOG001 - a private logger is the case
    log.addHandler(handler)
    yield log, out
    CURRENT.reset(token)
    LIVE.leave(flight, 0)


def test_it_withholds_like_the_guard(
    wired: tuple[logging.Logger, io.StringIO], content: str
) -> None:
    """Constants and numbers stay, content goes, on every supported Python."""
    log, out = wired
    log.warning("took %d for %s", 3, content)
    assert out.getvalue().startswith("took 3 for [withheld 87 chars test_filter.py:")
    assert content not in out.getvalue()


def test_it_keeps_exceptions_content_free_and_useful(
    wired: tuple[logging.Logger, io.StringIO], content: str
) -> None:
    """A stack trace stays, its message does not."""
    log, out = wired
    try:
        raise ValueError(content)
    except ValueError:
        log.exception("failed %5d", content)
    assert content not in out.getvalue()
    assert "raise ValueError(content)" in out.getvalue()


def test_it_selects_by_name_as_filters_do() -> None:
    """A name restricts it to that logger, as for `logging.Filter`."""
    record = logging.makeLogRecord({"name": "other", "msg": "x"})
    assert not RedactingFilter("wired").filter(record)
    assert RedactingFilter().filter(record)
