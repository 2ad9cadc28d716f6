"""urllib3, which requests and botocore send through; every request passes a pool's ``urlopen``."""

from __future__ import annotations

import ssl
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import wording
from zeroret.guards.egress import Request, Target, verifies
from zeroret.guards.network import PATCHES, is_judged, judge
from zeroret.guards.surfacing import surfacing
from zeroret.integrations.http_client import (
    HTTP_PORT,
    HTTPS_PORT,
    beyond_proxy,
    in_memory,
    mark_judged,
)

if TYPE_CHECKING:
    from zeroret.guards.network import Passing

_judged: Final[ContextVar[tuple[Any, Passing | None] | None]] = ContextVar(
    "zeroret.urllib3", default=None
)
"""The pool whose request was judged in this context, and what has to see its body."""


def watch(module: Any) -> None:
    """Judge each request of *module* (``urllib3``), and tell its connection so."""
    wording.learn(f"python-urllib3/{module.__version__}")
    PATCHES.replace(module.HTTPConnectionPool, "urlopen", _urlopen)
    PATCHES.replace(module.HTTPConnectionPool, "_make_request", _make_request)


def _urlopen(original: Any) -> Any:
    surfaced = surfacing(is_judged)(_judging(original))

    @wraps(original)
    def urlopen(self: Any, method: Any, url: Any, *args: Any, **options: Any) -> Any:
        if not is_judged():
            return original(self, method, url, *args, **options)
        return surfaced(self, method, url, *args, **options)

    return urlopen


def _judging(original: Any) -> Any:
    def urlopen(
        self: Any,
        method: Any,
        url: Any,
        body: Any = None,
        headers: Any = None,
        *args: Any,
        **options: Any,
    ) -> Any:
        passing = judge(lambda: _target(self, url), lambda: _said(self, method, url, body, headers))
        if in_memory(body) is not None:
            passing = None  # it was seen as a whole
        token = _judged.set((self, passing))
        try:
            return original(self, method, url, body, headers, *args, **options)
        finally:
            _judged.reset(token)

    return urlopen


def _make_request(original: Any) -> Any:
    @wraps(original)
    def make_request(self: Any, conn: Any, *args: Any, **options: Any) -> Any:
        judged = _judged.get()
        if judged is not None and judged[0] is self:
            mark_judged(conn, judged[1])
        return original(self, conn, *args, **options)

    return make_request


def _target(pool: Any, url: str) -> Target:
    encrypted = pool.scheme == "https"
    port = pool.port or (HTTPS_PORT if encrypted else HTTP_PORT)
    target = Target(pool.host, port, verified=encrypted and _verifies(pool))
    proxy = pool.proxy
    if proxy is None:
        tunnelled = "_socks_options" in pool.conn_kw
        return target._replace(tunnelled=True) if tunnelled else target
    if url.startswith("/"):
        return target._replace(tunnelled=True)  # CONNECT: TLS ends at the host itself
    context = getattr(pool.proxy_config, "ssl_context", None)
    reads = Target(
        proxy.host or "",
        proxy.port or HTTP_PORT,
        verified=proxy.scheme == "https" and verifies(context),
    )
    return beyond_proxy(url, reads)


def _verifies(pool: Any) -> bool:
    """Tell whether *pool* checks its peer's certificate and name, or the certificate itself."""
    if pool.assert_fingerprint:
        return True
    named = pool.conn_kw.get("server_hostname") or pool.host
    if pool.assert_hostname is False or (pool.assert_hostname or named).lower() != named.lower():
        return False
    if named.strip("[]").lower() != pool.host.strip("[]").lower():
        return False
    asked = pool.cert_reqs
    if asked is None:
        context = pool.conn_kw.get("ssl_context")
        return context is None or context.verify_mode == ssl.CERT_REQUIRED
    return asked in ("REQUIRED", "CERT_REQUIRED", ssl.CERT_REQUIRED)


def _said(pool: Any, method: str, url: str, body: Any, headers: Any) -> Request:
    lines = [*dict(pool.headers if headers is None else headers).items()]
    if pool.proxy is not None:
        lines += dict(pool.proxy_headers or {}).items()
    held = in_memory(body)
    return Request(
        method=method,
        path=url,
        headers=[(_text(name), _text(value)) for name, value in lines],
        body=held,
        streamed=body is not None and held is None,
    )


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
