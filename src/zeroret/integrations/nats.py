"""nats-py: every message of a client, JetStream's included, is judged as it is published."""

from __future__ import annotations

from functools import wraps
from typing import Any, Final
from urllib.parse import urlsplit

from zeroret.content.destinations import Store
from zeroret.guards.stores import PATCHES, is_judged, judge

_DEFAULT_PORT: Final = 4222


def watch(module: Any) -> None:
    """Judge what the clients of *module* (``nats.aio.client``) publish."""
    PATCHES.replace(module.Client, "publish", _published)


def _published(original: Any) -> Any:
    @wraps(original)
    async def publish(
        self: Any, subject: str, payload: bytes = b"", *args: Any, **options: Any
    ) -> Any:
        if is_judged():
            judge(lambda: _store(self), subject, payload, args, options)
        return await original(self, subject, payload, *args, **options)

    return publish


def _store(client: Any) -> Store:
    url = client.connected_url
    parts = url if hasattr(url, "hostname") else urlsplit(str(url or ""))
    return Store("nats", parts.hostname or "?", parts.port or _DEFAULT_PORT)
