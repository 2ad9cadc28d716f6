"""httpx2's websockets: the handshake is a request of its pool, each message is judged here."""

from __future__ import annotations

import ssl
from functools import wraps
from typing import Any

from zeroret.guards.egress import Target, verifies
from zeroret.guards.network import PATCHES, conversation, is_judged


def watch(module: Any) -> None:
    """Judge what the sessions of *module* (``httpx2.websockets._api``) send."""
    PATCHES.replace(module.WebSocketSession, "send", _send)
    PATCHES.replace(module.AsyncWebSocketSession, "send", _send_async)


def _send(original: Any) -> Any:
    @wraps(original)
    def send(self: Any, event: Any) -> None:
        _check(self, event)
        original(self, event)

    return send


def _send_async(original: Any) -> Any:
    @wraps(original)
    async def send(self: Any, event: Any) -> None:
        _check(self, event)
        await original(self, event)

    return send


def _check(session: Any, event: Any) -> None:
    data = getattr(event, "data", None) or getattr(event, "payload", None)
    data = data or getattr(event, "reason", None)
    if data and is_judged():
        conversation(session).check(lambda: _target(session), data)


def _target(session: Any) -> Target:
    url = session.response.request.url
    over = session.stream.get_extra_info("ssl_object")
    context = getattr(over, "context", None)
    verified = isinstance(context, ssl.SSLContext) and verifies(context)
    return Target(url.host, url.port or (443 if url.scheme in ("https", "wss") else 80), verified)
