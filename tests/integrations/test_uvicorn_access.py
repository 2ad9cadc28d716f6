"""uvicorn's access lines through uvicorn's own formatter: template, status, time, nothing else."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator

import pytest
from uvicorn.logging import AccessFormatter

from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.guards import logs

LINE = '%s - "%s %s HTTP/%s" %d'
ADDRESS = "203.0.113.9:5555"
PATH = "/v1/things/secret-word?q=another-secret"


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """What uvicorn's own access formatter writes, with the log guard installed."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(AccessFormatter('%(client_addr)s - "%(request_line)s" %(status_code)s'))
    names = ("uvicorn.access", "uvicorn.error")
    for name in names:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.INFO)
    logs.install()
    yield stream
    logs.uninstall()
    for name in names:
        logging.getLogger(name).removeHandler(handler)


@pytest.fixture
def flight() -> Iterator[Flight]:
    """An exchange that runs now and whose route is known."""
    flight = Flight()
    flight.route, flight.started = "/v1/things/{thing}", time.perf_counter()
    token = CURRENT.set(flight)
    yield flight
    CURRENT.reset(token)
    LAST.set(None)


def fresh(text: str) -> str:
    """Return an equal text made at run time: a literal would be source, and shown."""
    return text[:1] + text[1:]


def access(status: object = 200, version: str = "1.1", method: str = "POST") -> None:
    """Log as uvicorn does."""
    logging.getLogger("uvicorn.access").info(LINE, ADDRESS, method, PATH, version, status)


def test_the_line_shows_template_status_and_time(out: io.StringIO, flight: Flight) -> None:
    """Method, route template, version, time and status stand where they always stood."""
    access()
    line = out.getvalue()
    assert line.startswith('- - "POST /v1/things/{thing} HTTP/1.1 ')
    assert line.endswith('ms" 200 OK\n')
    assert "secret" not in line
    assert "203.0.113.9" not in line


def test_the_exchange_that_just_ended_names_the_route(out: io.StringIO, flight: Flight) -> None:
    """After the exchange, in its context, the line still knows the template; closed, too."""
    CURRENT.set(None)
    LAST.set(flight)
    flight.drop()
    access(500)
    assert '"POST /v1/things/{thing} HTTP/1.1 ' in out.getvalue()


def test_without_any_exchange_the_route_is_unknown(out: io.StringIO) -> None:
    """A request that no wrapped app saw shows method, version and status."""
    access(404)
    assert out.getvalue() == '- - "POST - HTTP/1.1" 404 Not Found\n'


def test_nothing_a_client_chose_stands_in_any_field(out: io.StringIO, flight: Flight) -> None:
    """A strange method, version or status shows as none."""
    access(status="secret", version="secret", method="SECRET")
    assert '"- /v1/things/{thing} HTTP/- ' in out.getvalue()
    assert "secret" not in out.getvalue().lower()


@pytest.mark.parametrize(
    ("line", "rest", "end"),
    [
        ('%s - "WebSocket %s" [accepted]', (), "[accepted]"),
        ('%s - "WebSocket %s" 403', (), "403"),
        ('%s - "WebSocket %s" %d', (401,), "401"),
    ],
)
def test_websocket_lines_show_the_template(
    out: io.StringIO, flight: Flight, line: str, rest: tuple[int, ...], end: str
) -> None:
    """Websockets are logged through ``uvicorn.error``: those lines are rewritten as well."""
    handler = logging.getLogger("uvicorn.error").handlers[-1]
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger("uvicorn.error").info(line, ADDRESS, PATH, *rest)
    assert out.getvalue() == f'- - "WebSocket /v1/things/{{thing}}" {end}\n'


def test_other_records_of_these_loggers_are_ordinary(out: io.StringIO, flight: Flight) -> None:
    """What is no access line goes the way of every record."""
    handler = logging.getLogger("uvicorn.error").handlers[-1]
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger("uvicorn.access").info(fresh("secret"))
    logging.getLogger("uvicorn.error").info("got %s", fresh("secret"))
    assert "secret" not in out.getvalue()
    assert out.getvalue().count("[withheld 6 chars") == 2


def test_report_mode_leaves_the_line(out: io.StringIO, flight: Flight) -> None:
    """With `enforce` off the server's line is what it was."""
    flight.enforce = False
    access()
    assert PATH in out.getvalue()
