"""websockets: a client's handshake and each frame it sends, in asyncio, threads and trio alike."""

from __future__ import annotations

import ssl
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Final

from zeroret.content.addresses import common, is_loopback
from zeroret.guards import wording
from zeroret.guards.egress import Request, Target, verifies
from zeroret.guards.network import PATCHES, conversation, is_judged, judge
from zeroret.guards.surfacing import surfacing, surfacing_async

_TARGET: Final = "_zeroret_target"


def watch(module: Any) -> None:
    """Judge what the clients of *module* send: their protocol, or a connection that drives it."""
    if module.__name__ == "websockets.client":
        PATCHES.replace(module.ClientProtocol, "send_request", _send_request)
        PATCHES.replace(module.ClientProtocol, "send_frame", _send_frame)
        return
    wording.learn(getattr(module, "USER_AGENT", ""))
    PATCHES.replace(module.ClientConnection, "handshake", _handshake)
    for name in ("send", "ping", "pong", "close"):
        if hasattr(module.ClientConnection, name):
            PATCHES.replace(module.ClientConnection, name, _surfaced)


def _surfaced(original: Any) -> Any:
    # A connection takes what goes wrong within a send for a bug of its own, and closes.
    wrap = surfacing_async if iscoroutinefunction(original) else surfacing
    return wrap(is_judged)(original)


def _handshake(original: Any) -> Any:
    surfaced = _surfaced(original)

    @wraps(original)
    def handshake(self: Any, *args: Any, **options: Any) -> Any:
        if is_judged():
            self.protocol.__dict__[_TARGET] = _reached(self)
        return surfaced(self, *args, **options)

    return handshake


def _send_request(original: Any) -> Any:
    @wraps(original)
    def send_request(self: Any, request: Any) -> None:
        if is_judged():
            headers = list(request.headers.raw_items())
            judge(lambda: _target(self), lambda: Request("GET", request.path, headers))
        original(self, request)

    return send_request


def _send_frame(original: Any) -> Any:
    @wraps(original)
    def send_frame(self: Any, frame: Any) -> None:
        if frame.data and is_judged():
            conversation(self).check(lambda: _target(self), frame.data)
        original(self, frame)

    return send_frame


def _target(protocol: Any) -> Target:
    """Return where *protocol* is connected to; by its URI alone where nobody told."""
    found: Target | None = protocol.__dict__.get(_TARGET)
    uri = protocol.uri
    return Target(uri.host, uri.port, verified=uri.secure) if found is None else found


def _reached(connection: Any) -> Target:
    uri, peer = connection.protocol.uri, connection.remote_address
    context = getattr(_over(connection), "context", None)
    verified = uri.secure and isinstance(context, ssl.SSLContext) and verifies(context)
    host = uri.host
    if isinstance(peer, tuple) and is_loopback(common(host)) and not is_loopback(str(peer[0])):
        host = str(peer[0])  # connect(…, host=…) leads elsewhere than the URI says
    return Target(host, uri.port, verified)


def _over(connection: Any) -> Any:
    """Return what *connection* is sent over: asyncio's TLS object, a socket, a stream of trio's."""
    transport = getattr(connection, "transport", None)
    if transport is not None:
        return transport.get_extra_info("ssl_object")
    return getattr(connection, "socket", None) or getattr(connection, "stream", None)
