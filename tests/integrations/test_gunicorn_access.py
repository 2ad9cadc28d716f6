"""gunicorn's access lines through gunicorn's own logger: configured format, closed values."""

from __future__ import annotations

import datetime as dt
import io
import logging
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from zeroret.content.flight import LAST, Flight
from zeroret.guards import logs

ENVIRON = {
    "REMOTE_ADDR": "203.0.113.9",
    "REQUEST_METHOD": "POST",
    "RAW_URI": "/v1/things/secret-word?q=another-secret",
    "PATH_INFO": "/v1/things/secret-word",
    "QUERY_STRING": "q=another-secret",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_REFERER": "https://secret.example",
    "HTTP_USER_AGENT": "secret-agent/1.0",
    "HTTP_AUTHORIZATION": "Basic c2VjcmV0OnNlY3JldA==",
}
HEADERS = [("USER-AGENT", "secret-agent/1.0"), ("X-REQUEST-ID", "secret-id")]
ALL = (
    '%(h)s %(l)s %(u)s "%(r)s" %(m)s %(U)s %(q)s %(H)s %(s)s %(B)s %(b)s "%(f)s" "%(a)s" '
    "%(T)s %(D)s %(M)s %(L)s %({user-agent}i)s %({x-request-id}i)s %({x-secret}o)s %({raw_uri}e)s"
)


@pytest.fixture
def flight() -> Iterator[Flight]:
    """The exchange that just ended in this context."""
    flight = Flight()
    flight.route, flight.started = "/v1/things/<thing>", time.perf_counter()
    LAST.set(flight)
    logs.install()
    yield flight
    logs.uninstall()
    LAST.set(None)


def fresh(text: str) -> str:
    """Return an equal text made at run time: a literal would be source, and shown."""
    return text[:1] + text[1:]


def line(format_: str | None, environ: dict[str, Any] = ENVIRON, status: str = "200 OK") -> str:
    """Return what gunicorn's own logger writes for one request."""
    config = Config()
    config.set("accesslog", "-")
    if format_ is not None:
        config.set("access_log_format", format_)
    logger = Logger(config)
    stream = io.StringIO()
    for handler in logger.access_log.handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(stream)
    response = SimpleNamespace(status=status, sent=421, headers=[("X-Secret", "secret")])
    took = dt.timedelta(milliseconds=7)
    logger.access(response, SimpleNamespace(headers=HEADERS), environ, took)
    logger.access_log.handlers.clear()
    return stream.getvalue()


def test_the_default_line_shows_template_status_and_time(flight: Flight) -> None:
    """The default format stays, with the template and the time in the request line."""
    shown = line(None)
    assert shown.startswith("- - - [")
    assert shown.endswith('] "POST /v1/things/<thing> HTTP/1.1 7.0ms" 200 421 "-" "-"\n')
    assert "secret" not in shown


def test_a_format_of_ones_own_keeps_its_atoms(flight: Flight) -> None:
    """Every atom formats; those a client chose, headers and environment included, show ``-``."""
    shown = line(ALL)
    assert shown == (
        '- - - "POST /v1/things/<thing> HTTP/1.1 7.0ms" POST /v1/things/<thing> - HTTP/1.1 200 421 '
        '421 "-" "-" 0 7000 7 0.007000 - - - -\n'
    )


def test_without_an_exchange_the_route_is_unknown(flight: Flight) -> None:
    """A request that no wrapped app saw shows no path either."""
    LAST.set(None)
    assert '"POST - HTTP/1.1 7.0ms" 200' in line(None)


def test_strange_methods_and_protocols_show_as_none(flight: Flight) -> None:
    """What a client made up stands in no field."""
    strange = {**ENVIRON, "REQUEST_METHOD": "SECRET", "SERVER_PROTOCOL": "secret"}
    shown = line(None, strange, status="secret")
    assert '"- /v1/things/<thing> - 7.0ms" - 421' in shown
    assert "secret" not in shown.lower()


def test_a_format_that_gunicorn_did_not_configure_is_no_access_line(flight: Flight) -> None:
    """Content in place of the format is withheld like any other message."""
    log = logging.getLogger("gunicorn.access")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    log.addHandler(handler)
    flight.hold("a secret prompt of some length")
    from zeroret.content.flight import CURRENT

    token = CURRENT.set(flight)
    log.warning(fresh("a secret prompt"), {"h": "secret"})
    CURRENT.reset(token)
    log.removeHandler(handler)
    assert stream.getvalue().startswith("[withheld 15 chars test_gunicorn_access.py:")
    assert "secret" not in stream.getvalue()
