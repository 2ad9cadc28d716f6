"""Egress: whether a request may leave for where it is going; pure decisions.

To an upstream that is allowed and reached as it should be, whatever the request holds; to any other
host, what shares no content with an exchange in flight.
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from zeroret.content import providers
from zeroret.content.addresses import common
from zeroret.content.destinations import known_upstreams
from zeroret.content.matching import OWN
from zeroret.guards import idents
from zeroret.guards.sharing import LIMIT, Pieces, shares
from zeroret.guards.upstream_storage import keeps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeroret.content.boundary import Boundary
    from zeroret.content.flight import Flight
    from zeroret.guards.violations import Kind

Way: TypeAlias = Literal["open", "cleartext", "closed"]
"""The way to a host: allowed, allowed but for its missing TLS, or not allowed."""

_READABLE: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
_UNREMARKABLE: Final = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host"}
    | {"transfer-encoding", "expect", "te", "upgrade", "date"}
)
_LONGEST_ORDINARY: Final = 64
_TRACE: Final = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class Target(NamedTuple):
    """Where a request goes.

    Args:
        host: A name or address, as the client library has it.
        port: The port.
        verified: Whether TLS is on, with certificate and name checked.
        through: The proxy that reads the request on its way; None if none does.
        tunnelled: Whether it goes through a proxy that cannot read it; ``localhost`` is then
            another machine's.
    """

    host: str
    port: int
    verified: bool = False
    through: Target | None = None
    tunnelled: bool = False


class Request(NamedTuple):
    """What a request says.

    Args:
        method: Its method.
        path: Its path and query, as it will be sent.
        headers: Its headers, names in any case.
        body: Its body; None if it has none, or comes in pieces.
        streamed: Whether a body comes in pieces.
    """

    method: str
    path: str
    headers: Iterable[tuple[str, str]] = ()
    body: bytes | None = None
    streamed: bool = False


def verifies(context: ssl.SSLContext | None) -> bool:
    """Tell whether *context* checks its peer's certificate and name; a library's default does."""
    if context is None:
        return True
    return bool(context.check_hostname) and context.verify_mode == ssl.CERT_REQUIRED


def way(boundary: Boundary, target: Target) -> Way:
    """Return how the way to *target* stands."""
    upstreams = boundary.upstreams
    grant = (known_upstreams() if upstreams is None else upstreams).grant(target.host, target.port)
    if grant is None:
        return "closed"
    if target.through is not None and way(boundary, target.through) != "open":
        return "closed"
    if target.verified or grant == "cleartext":
        return "open"
    if grant == "local" and target.through is None and not target.tunnelled:
        return "open"
    return "cleartext"


def objection(flight: Flight, target: Target, request: Request, found: Way) -> Kind | Pieces | None:
    """Return what speaks against a request, or what has to look at what else is sent with it.

    Args:
        flight: The exchange that makes it.
        target: Where it goes.
        request: What it says.
        found: How the way there stands.
    """
    if found == "cleartext":
        return "cleartext"
    if found == "open":
        forbidden = flight.boundary.upstream_storage == "forbid"
        return "storage" if forbidden and _keeps(target, request) else None
    return _content_in(flight, target, request)


def outline(target: Target, request: Request) -> bytes:
    """Return what of a request is matched where no exchange is known: all of it that is at hand."""
    return _head(target, request, request.headers) + b"\n" + (request.body or b"")


def _content_in(flight: Flight, target: Target, request: Request) -> Kind | Pieces | None:
    """Look for content in a request to a host that is no upstream."""
    headers = list(request.headers)
    head = _head(target, request, headers)
    if len(head) > LIMIT or shares(head, flight):
        return "upstream"
    coding = _coding(headers)
    if (request.body or request.streamed) and coding not in _READABLE:
        return "upstream"
    pieces = Pieces(flight, coding if coding != "identity" else "")
    return "upstream" if request.body and pieces.takes(request.body) else pieces


def _keeps(target: Target, request: Request) -> bool:
    body = None if request.streamed else request.body or b""
    if body and _coding(request.headers) not in ("", "identity"):
        body = None
    known = providers.is_known(common(target.host))
    return keeps(request.method, request.path, body, known=known)


def _head(target: Target, request: Request, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return the texts of a request's head, ordinary headers and their names left aside."""
    parts = [target.host, request.method, request.path]
    for name, value in headers:
        lower = name.lower()
        if lower == "traceparent" and _is_trace(value):
            continue  # a service that joins a trace must be able to hand it on
        if lower not in _UNREMARKABLE or len(value) > _LONGEST_ORDINARY:
            parts += (name, value) if len(name) >= OWN else (value,)
    return "\n".join(parts).encode("utf-8", "surrogatepass")


def _is_trace(value: str) -> bool:
    """Tell whether a ``traceparent`` is well-formed (W3C Trace Context) and spells no text."""
    found = _TRACE.fullmatch(value)
    return found is not None and idents.hex_id(found[1], 32) == found[1]


def _coding(headers: Iterable[tuple[str, str]]) -> str:
    codings = [value for name, value in headers if name.lower() == "content-encoding"]
    return ",".join(codings).strip().lower()
