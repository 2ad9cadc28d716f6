"""aiohttp: every request of a session passes its connector, on a new connection or a pooled one."""

from __future__ import annotations

import ssl
from contextlib import suppress
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.addresses import LOCALHOST
from zeroret.errors import RetentionViolation
from zeroret.guards import wording
from zeroret.guards.egress import Request, Target, verifies
from zeroret.guards.network import PATCHES, conversation, is_judged, judge
from zeroret.guards.surfacing import Crossing, surfacing_async

if TYPE_CHECKING:
    from zeroret.guards.network import Passing

_PASSING: Final = "_zeroret_passing"
_refused: Final[ContextVar[list[RetentionViolation] | None]] = ContextVar(
    "zeroret.aiohttp", default=None
)
"""What was refused of the bodies of this call, which aiohttp writes in tasks of their own."""


def watch(module: Any) -> None:
    """Judge each request of *module* (``aiohttp``), and each message of its client websockets."""
    wording.learn(module.http.SERVER_SOFTWARE)
    PATCHES.replace(module.ClientSession, "_request", _request)
    PATCHES.replace(module.BaseConnector, "connect", _connect)
    PATCHES.replace(module.ClientRequest, "write_bytes", _write_bytes)
    for name in ("send_frame", "send_str", "send_bytes", "ping", "pong"):
        PATCHES.replace(module.ClientWebSocketResponse, name, _message)


class _StoppedError(Exception):
    """Ends the writing of a body; what is raised for it is the refusal itself."""


def _request(original: Any) -> Any:
    surfaced = surfacing_async(is_judged)(original)

    @wraps(original)
    async def request(self: Any, *args: Any, **options: Any) -> Any:
        if not is_judged():
            return await original(self, *args, **options)
        refused: list[RetentionViolation] = []
        token = _refused.set(refused)
        try:
            return await surfaced(self, *args, **options)
        except Exception:
            if not refused:
                raise
        finally:
            with suppress(ValueError):  # closed from another context: it ends with it
                _refused.reset(token)
        raise refused[0]  # out here, so that Python chains nothing

    return request


def _connect(original: Any) -> Any:
    @wraps(original)
    async def connect(self: Any, req: Any, *args: Any, **options: Any) -> Any:
        req.__dict__.pop(_PASSING, None)
        if is_judged():
            passing = judge(lambda: _target(self, req), lambda: _said(req))
            if passing is not None and _in_memory(req) is None:
                req.__dict__[_PASSING] = passing
        return await original(self, req, *args, **options)

    return connect


def _write_bytes(original: Any) -> Any:
    @wraps(original)
    async def write_bytes(self: Any, writer: Any, *args: Any, **options: Any) -> None:
        passing = self.__dict__.get(_PASSING)
        if passing is not None:
            writer.write = _checked(writer.write, passing)
        await original(self, writer, *args, **options)

    return write_bytes


def _checked(write: Any, passing: Passing) -> Any:
    async def checked(chunk: Any, **options: Any) -> None:
        try:
            passing.check(chunk)
        except (RetentionViolation, Crossing) as error:
            violation = error.violation if isinstance(error, Crossing) else error
        else:
            await write(chunk, **options)
            return
        refused = _refused.get()
        if refused is not None:
            refused.append(violation)
        raise _StoppedError

    return checked


def _message(original: Any) -> Any:
    @wraps(original)
    async def send(self: Any, message: Any = b"", *args: Any, **options: Any) -> Any:
        if is_judged():
            conversation(self).check(lambda: _peer(self), message)
        return await original(self, message, *args, **options)

    return send


def _target(connector: Any, request: Any) -> Target:
    url = request.url
    host, port = url.raw_host or "", url.port or 0
    if hasattr(connector, "path"):
        return Target(LOCALHOST, port)  # a Unix socket or a named pipe
    encrypted = request.is_ssl()
    verified = encrypted and _verifies(connector, request, host)
    proxy = request.proxy
    if proxy is None:
        return Target(host, port, verified)
    if encrypted:
        return Target(host, port, verified, tunnelled=True)
    reads = Target(proxy.raw_host or "", proxy.port or 0, proxy.scheme == "https")
    return Target(host, port, through=reads, tunnelled=True)


def _verifies(connector: Any, request: Any, host: str) -> bool:
    if connector._get_fingerprint(request) is not None:  # noqa: SLF001 - how aiohttp settles it, here and below
        return True
    named = request.server_hostname
    if named is not None and named.lower() != host.lower():
        return False
    return verifies(connector._get_ssl_context(request))  # noqa: SLF001


def _said(request: Any) -> Request:
    held = _in_memory(request)
    # A body that aiohttp itself will compress is still as it was.
    headers = [
        (name, value)
        for name, value in request.headers.items()
        if not (request.compress and name.lower() == "content-encoding")
    ]
    return Request(
        method=request.method,
        path=request.url.raw_path_qs,
        headers=headers,
        body=held,
        streamed=held is None,
    )


def _in_memory(request: Any) -> bytes | None:
    """Return the body where it is in memory; None for one that comes in pieces."""
    from aiohttp.payload import BytesPayload, JsonPayload, StringPayload

    body = request._body  # noqa: SLF001 - ``body`` is deprecated on some versions
    if body is None or body == b"":
        return b""
    if isinstance(body, bytes):
        return body
    if type(body) in (BytesPayload, StringPayload, JsonPayload):
        return bytes(body._value)  # noqa: SLF001 - a payload's own bytes, which it writes
    return None


def _peer(websocket: Any) -> Target:
    url = websocket._response.url  # noqa: SLF001 - the handshake, which nothing else tells
    over = websocket.get_extra_info("ssl_object")
    verified = isinstance(over, ssl.SSLObject) and verifies(over.context)
    return Target(url.raw_host or "", url.port or 0, verified)
