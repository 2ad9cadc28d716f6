"""httpcore and httpcore2, which httpx and httpx2 (and the SDKs on them) send every request through.

The pool is the seam: each request passes it, on a new connection or a pooled one, after redirects
and event hooks; transports that never leave the process (mocks, ASGI) do not come here.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.addresses import LOCALHOST
from zeroret.guards.egress import Request, Target, verifies
from zeroret.guards.network import PATCHES, is_judged, judge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from zeroret.guards.network import Passing

_DEFAULT_PORTS: Final = {b"https": 443, b"wss": 443}
_ENCRYPTED: Final = frozenset(_DEFAULT_PORTS)
_HTTP_PORT: Final = 80
_CONTENT: Final = frozenset(
    {"httpx", "httpx._content", "httpx2", "httpx2._content"}
    | {"httpcore", "httpcore._models", "httpcore2", "httpcore2._models"}
)


def watch(module: Any) -> None:
    """Judge each request of *module* (``httpcore`` or ``httpcore2``)."""
    PATCHES.replace(module.ConnectionPool, "handle_request", _sync)
    PATCHES.replace(module.AsyncConnectionPool, "handle_async_request", _async)


def _sync(original: Any) -> Any:
    @wraps(original)
    def handle_request(self: Any, request: Any) -> Any:
        if is_judged():
            passing = judge(lambda: _target(self, request), lambda: _said(request))
            if passing is not None and _body(request.stream) is None:
                request.stream = _Stream(request.stream, passing)
        return original(self, request)

    return handle_request


def _async(original: Any) -> Any:
    @wraps(original)
    async def handle_async_request(self: Any, request: Any) -> Any:
        if is_judged():
            passing = judge(lambda: _target(self, request), lambda: _said(request))
            if passing is not None and _body(request.stream) is None:
                request.stream = _AsyncStream(request.stream, passing)
        return await original(self, request)

    return handle_async_request


def _target(pool: Any, request: Any) -> Target:
    url = request.url
    host = url.host.decode("ascii", "surrogateescape")
    port = url.port or _DEFAULT_PORTS.get(url.scheme, _HTTP_PORT)
    if pool._uds is not None:  # noqa: SLF001 - httpcore's pool tells it nowhere else, here and below
        return Target(LOCALHOST, port)
    encrypted = url.scheme in _ENCRYPTED
    verified = encrypted and verifies(pool._ssl_context)  # noqa: SLF001
    named = request.extensions.get("sni_hostname")
    if verified and named is not None:
        # The certificate is checked against this name, so this is where it really goes.
        verified = _text(named).lower() == host.lower()
    proxy = getattr(pool, "_proxy", None)
    url = getattr(pool, "_proxy_url", None) if proxy is None else proxy.url
    if url is None:
        return Target(host, port, verified)
    if encrypted or url.scheme not in (b"http", b"https"):
        return Target(host, port, verified, tunnelled=True)
    context = pool._proxy_ssl_context if proxy is None else proxy.ssl_context  # noqa: SLF001
    through = Target(
        url.host.decode("ascii", "surrogateescape"),
        url.port or _DEFAULT_PORTS.get(url.scheme, _HTTP_PORT),
        verified=url.scheme == b"https" and verifies(context),
    )
    return Target(host, port, verified, through, tunnelled=True)


def _said(request: Any) -> Request:
    body = _body(request.stream)
    return Request(
        method=_text(request.method),
        path=_text(request.url.target),
        headers=[(_text(name), _text(value)) for name, value in request.headers],
        body=body,
        streamed=body is None,
    )


def _body(stream: Any) -> bytes | None:
    """Return a body that is in memory; None for one that comes in pieces."""
    kind = type(stream)
    if kind.__name__ == "ByteStream" and kind.__module__ in _CONTENT:
        held = vars(stream).get("_stream", vars(stream).get("_content"))
        if type(held) is bytes:
            return held
    return None


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


class _Stream:
    """A request's body whose every piece is looked at before it goes."""

    def __init__(self, stream: Any, passing: Passing) -> None:
        self._stream = stream
        self._passing = passing

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._passing.check(piece)
            yield piece

    def close(self) -> None:
        """Close the body itself, if it can be."""
        if hasattr(self._stream, "close"):
            self._stream.close()


class _AsyncStream:
    """The same for a body that is read asynchronously."""

    def __init__(self, stream: Any, passing: Passing) -> None:
        self._stream = stream
        self._passing = passing

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._passing.check(piece)
            yield piece

    async def aclose(self) -> None:
        """Close the body itself, if it can be."""
        if hasattr(self._stream, "aclose"):
            await self._stream.aclose()
