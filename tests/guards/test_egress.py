"""Egress: the decision about one request, without any library."""

from __future__ import annotations

import gzip
import ssl
import zlib
from typing import Any

import pytest

from zeroret.content.boundary import Boundary
from zeroret.content.destinations import Upstreams
from zeroret.content.flight import Flight
from zeroret.guards.egress import Request, Target, objection, outline, verifies, way
from zeroret.guards.sharing import Pieces

SECRET = "the words of a prompt that nobody else would say"


def boundary(*names: str, **options: Any) -> Boundary:
    """Return a boundary with these upstreams."""
    return Boundary(upstreams=Upstreams.of(names), **options)


def flight(*names: str, **options: Any) -> Flight:
    """Return an exchange that carries the secret."""
    made = Flight(boundary=boundary(*names, **options))
    made.hold(SECRET)
    return made


PROXY = Target("proxy", 3128)


@pytest.mark.parametrize(
    ("names", "target", "found"),
    [
        (["a.com"], Target("a.com", 443, verified=True), "open"),
        (["a.com"], Target("a.com", 443), "cleartext"),
        (["a.com"], Target("b.com", 443, verified=True), "closed"),
        (["http://a.com"], Target("a.com", 80), "open"),
        (["http://a.com"], Target("a.com", 443), "closed"),
        (["localhost"], Target("127.0.0.1", 8000), "open"),
        (["localhost"], Target("localhost", 8000, tunnelled=True), "cleartext"),
        (["localhost"], Target("localhost", 8000, verified=True, tunnelled=True), "open"),
        (["a.com"], Target("a.com", 443, verified=True, tunnelled=True), "open"),
        (["http://a.com"], Target("a.com", 80, through=PROXY, tunnelled=True), "closed"),
        (["http://a.com", "proxy"], Target("a.com", 80, through=PROXY, tunnelled=True), "closed"),
        (
            ["http://a.com", "http://proxy:3128"],
            Target("a.com", 80, through=PROXY, tunnelled=True),
            "open",
        ),
        (
            ["localhost", "http://proxy:3128"],
            Target("localhost", 80, through=PROXY, tunnelled=True),
            "cleartext",
        ),
        ([], Target("localhost", 80), "closed"),
    ],
)
def test_the_way_to_a_host(names: list[str], target: Target, found: str) -> None:
    """Host, port, TLS and every proxy that reads along have to be as the operator stated."""
    assert way(boundary(*names), target) == found


def test_without_a_list_known_providers_are_meant() -> None:
    """And this machine; anything else is closed."""
    known = Boundary(upstreams=None)
    assert way(known, Target("api.anthropic.com", 443, verified=True)) == "open"
    assert way(known, Target("api.anthropic.com", 80)) == "cleartext"
    assert way(known, Target("localhost", 80)) == "open"
    assert way(known, Target("evil.net", 443, verified=True)) == "closed"


def test_a_context_verifies_only_if_it_checks_both() -> None:
    """Certificate and name; a library's default does."""
    context = ssl.create_default_context()
    assert verifies(None)
    assert verifies(context)
    context.check_hostname = False
    assert not verifies(context)
    context.verify_mode = ssl.CERT_NONE
    assert not verifies(context)


EVIL = Target("evil.net", 443, verified=True)


def judged(request: Request, **options: Any) -> Any:
    """Return what speaks against a request of an exchange with the secret to a foreign host."""
    exchange = flight(**options)
    found = objection(exchange, EVIL, request, way(exchange.boundary, EVIL))
    return None if isinstance(found, Pieces) else found


@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", "/", body=SECRET.encode()),
        Request("GET", "/?q=" + SECRET.replace(" ", "+")),
        Request("GET", "/", [("X-Note", SECRET)]),
        Request("GET", "/", [("Accept", SECRET * 2)]),
        Request("GET", "/", [("X-" + SECRET.replace(" ", "-"), "1")]),
        Request(SECRET.replace(" ", "-"), "/"),
        Request(
            "POST", "/", [("Content-Encoding", "gzip")], gzip.compress(SECRET.encode(), mtime=0)
        ),
        Request("POST", "/", [("Content-Encoding", "deflate")], zlib.compress(SECRET.encode())),
        Request("POST", "/", [("Content-Encoding", "gzip")], b"not gzip at all"),
        Request("POST", "/", [("Content-Encoding", "br")], b"\1"),
        Request("POST", "/", [("Content-Encoding", "gzip, br")], b"\1"),
        Request("POST", "/", [("Content-Encoding", "zstd")], streamed=True),
        Request("POST", "/", body=bytes(2**20 + 1)),
        Request("GET", "/" + "a" * 2**21),
    ],
    ids=repr,
)
def test_what_may_not_leave(request_: Request) -> None:
    """Content in any part, what cannot be read, and what is too much to read."""
    assert judged(request_) == "upstream"


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/health"),
        Request("POST", "/", [("Content-Type", "application/json")], b'{"n": 1}'),
        Request("POST", "/", [("Content-Encoding", "identity")], b"other words"),
        Request(
            "POST", "/", [("Content-Encoding", "gzip")], gzip.compress(b"other words", mtime=0)
        ),
        Request("POST", "/", streamed=True),
        Request("GET", "/", [("Accept", "text/html, application/xhtml+xml")]),
    ],
    ids=repr,
)
def test_what_may_leave(request_: Request) -> None:
    """Anything that shares nothing with the exchange."""
    assert judged(request_) is None


def test_a_gzip_bomb_is_too_much_to_read() -> None:
    """What unpacks to more than can be read is not let out, whole or in pieces."""
    bomb = gzip.compress(bytes(2**22))
    headers = [("Content-Encoding", "gzip")]
    assert judged(Request("POST", "/", headers, bomb)) == "upstream"
    found = objection(flight(), EVIL, Request("POST", "/", headers, streamed=True), "closed")
    assert isinstance(found, Pieces)
    assert any(found.takes(bomb[at : at + 1024]) for at in range(0, len(bomb), 1024))


def test_upstreams_are_asked_for_tls_and_storage_alone() -> None:
    """What a request to an upstream holds does not matter, unless it may not be kept there."""
    target = Target("llm.internal", 443, verified=True)
    request = Request("POST", "/v1/files", body=SECRET.encode())
    assert objection(flight(), target, request, "open") is None
    assert objection(flight(), target, request, "cleartext") == "cleartext"
    strict = flight(upstream_storage="forbid")
    assert objection(strict, target, request, "open") == "storage"
    chat = Request("POST", "/v1/chat/completions", body=b"{}")
    assert objection(strict, target, chat, "open") is None
    for hidden in (
        chat._replace(body=None, streamed=True),
        chat._replace(headers=[("Content-Encoding", "gzip")], body=gzip.compress(b"{}", mtime=0)),
    ):
        assert objection(strict, target, hidden, "open") == "storage"


def test_an_outline_holds_what_is_at_hand() -> None:
    """Host, path, headers and body; ordinary headers are left aside."""
    headers = [("Accept", "*/*"), ("X-Note", "a note")]
    text = outline(EVIL, Request("POST", "/path", headers, b"the body"))
    for part in (b"evil.net", b"/path", b"a note", b"the body"):
        assert part in text
    assert b"*/*" not in text


@pytest.mark.parametrize(
    ("trace", "found"),
    [
        ("0af7651916cd43dd8448eb211c80319c", None),
        (b"sixteen letters!".hex(), "upstream"),
        ("12345678901234567890123456789012", "upstream"),
    ],
)
def test_traces_are_handed_on(trace: str, found: str | None) -> None:
    """A client's trace may be joined by services behind, unless its id spells a text."""
    header = f"00-{trace}-b7ad6b7169203331-01"
    request = Request("GET", "/", [("Traceparent", header)])
    own = flight()
    own.hold(header)
    judged = objection(own, EVIL, request, "closed")
    assert (judged if isinstance(judged, str) else None) == found
