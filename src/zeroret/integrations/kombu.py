"""kombu, which Celery publishes through: messages are judged as they will be sent."""

from __future__ import annotations

from functools import wraps
from typing import Any, Final

from zeroret.content.destinations import Store, kind_of
from zeroret.guards.stores import PATCHES, is_judged, judge
from zeroret.guards.surfacing import surfacing

_HEADERS: Final = slice(4, 7)
"""Headers, properties and routing key among the arguments of ``Producer._publish``."""


def watch(module: Any) -> None:
    """Judge what the producers of *module* (``kombu``) publish; no retry meets a refusal."""
    PATCHES.replace(module.Producer, "publish", surfacing(is_judged))
    PATCHES.replace(module.Producer, "_publish", _published)


def _published(original: Any) -> Any:
    @wraps(original)
    def publish(self: Any, body: Any, *args: Any, **options: Any) -> Any:
        if is_judged():
            beside = args[_HEADERS.start - 1 : _HEADERS.stop - 1]
            judge(lambda: _store(self.connection), _plain(body, beside), *beside)
        return original(self, body, *args, **options)

    return publish


def _plain(body: Any, beside: tuple[Any, ...]) -> Any:
    """Return *body* as it was before it was compressed."""
    headers = beside[0] if beside else None
    coding = headers.get("compression") if isinstance(headers, dict) else None
    if not coding:
        return body
    from kombu.compression import decompress

    return decompress(body, coding)  # type: ignore[no-untyped-call] # kombu has no types


def _store(connection: Any) -> Store:
    kind = kind_of(connection.transport.driver_type)
    host, port = connection.hostname or "", connection.port
    if kind == "memory":
        return Store(kind)
    database = str(connection.virtual_host or "").strip("/") or None
    if port is None:
        port = getattr(connection.transport, "default_port", None)
    return Store(kind, "" if host.startswith("/") else host, port, database)
