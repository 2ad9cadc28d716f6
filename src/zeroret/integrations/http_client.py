"""http.client, which urllib and many clients send through, and the connections of urllib3.

``endheaders`` is the seam: the head is complete and nothing has been sent, on a new connection not
even a name looked up. What of a body comes later passes ``send``.
"""

from __future__ import annotations

import re
import ssl
from functools import wraps
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from zeroret.guards import wording
from zeroret.guards.egress import Request, Target, verifies
from zeroret.guards.network import PATCHES, is_judged, judge
from zeroret.guards.surfacing import surfacing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeroret.guards.network import Passing

HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443

_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,16}")

_JUDGED: Final = "_zeroret_judged"
_PASSING: Final = "_zeroret_passing"
_HEAD_FIRST: Final = "_zeroret_head_first"


def watch(module: Any) -> None:
    """Judge each request of ``http.client``; have refusals pass ``urllib.request``."""
    if module.__name__ == "urllib.request":
        wording.learn(f"Python-urllib/{module.__version__}")
        PATCHES.replace(module.AbstractHTTPHandler, "do_open", surfacing(is_judged))
        return
    PATCHES.replace(module.HTTPConnection, "endheaders", _endheaders)
    PATCHES.replace(module.HTTPConnection, "send", _send)
    PATCHES.replace(module.HTTPConnection, "getresponse", _getresponse)


def mark_judged(connection: Any, passing: Passing | None) -> None:
    """Note that the next request of *connection* was judged, and what has to see its body."""
    connection.__dict__[_JUDGED] = passing


def in_memory(body: Any) -> bytes | None:
    """Return a body that is in memory; None for one that comes in pieces, or is none."""
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    return None


def _endheaders(original: Any) -> Any:
    @wraps(original)
    def endheaders(self: Any, message_body: Any = None, **options: Any) -> None:
        state = self.__dict__
        state.pop(_PASSING, None)
        if not is_judged():
            original(self, message_body, **options)
            return
        passing = state.pop(_JUDGED) if _JUDGED in state else _judge(self, message_body)
        streamed = message_body is not None and in_memory(message_body) is None
        if streamed and passing is not None:
            state[_PASSING], state[_HEAD_FIRST] = passing, True
        original(self, message_body, **options)
        if passing is not None:
            state[_PASSING] = passing  # for what is sent beyond what was judged

    return endheaders


def _judge(connection: Any, body: Any) -> Passing | None:
    try:
        return judge(lambda: _target(connection), lambda: _said(connection, body))
    except BaseException:
        # Neither close() nor the next request empties it: what was refused would go with that.
        del connection._buffer[:]  # noqa: SLF001 - likewise
        raise


def _send(original: Any) -> Any:
    @wraps(original)
    def send(self: Any, data: Any) -> None:
        passing = self.__dict__.get(_PASSING)
        if passing is None or self.__dict__.pop(_HEAD_FIRST, False):
            original(self, data)
            return
        for piece in _pieces(self, data):
            passing.check(_unframed(piece))
            original(self, piece)

    return send


def _getresponse(original: Any) -> Any:
    @wraps(original)
    def getresponse(self: Any, *args: Any, **options: Any) -> Any:
        self.__dict__.pop(_PASSING, None)  # a pooled connection keeps nothing of this request
        return original(self, *args, **options)

    return getresponse


def _pieces(connection: Any, data: Any) -> Iterable[Any]:
    """Return the pieces that ``send`` would make of *data*."""
    if hasattr(data, "read"):
        pieces: Iterable[Any] = connection._read_readable(data)  # noqa: SLF001 - http.client's own way
        return pieces
    return (data,) if in_memory(data) is not None or not hasattr(data, "__iter__") else data


def _unframed(piece: Any) -> Any:
    """Return what a chunk (RFC 9112, 7.1) carries: its frame would part content that belongs."""
    if not isinstance(piece, bytes):
        return piece
    size, _, rest = piece.partition(b"\r\n")
    framed = _SIZE.fullmatch(size) and rest.endswith(b"\r\n")
    return rest[:-2] if framed and int(size, 16) == len(rest) - 2 else piece


def _target(connection: Any) -> Target:
    host, port = connection.host, connection.port or HTTP_PORT
    verified = _is_verified(connection)
    tunnel = connection._tunnel_host  # noqa: SLF001 - http.client keeps it nowhere else
    if tunnel:
        # Without TLS inside of it the proxy at its end reads what passes.
        through = None if isinstance(connection, _tls_classes()) else Target(host, port, verified)
        return Target(tunnel, connection._tunnel_port or port, verified, through, tunnelled=True)  # noqa: SLF001
    asked = _line(connection)[1]
    if asked.startswith(("http://", "https://")):
        return beyond_proxy(asked, Target(host, port, verified))
    return Target(host, port, verified)


def beyond_proxy(url: str, proxy: Target) -> Target:
    """Return where a request with an absolute *url* goes, which *proxy* reads and hands on."""
    parts = urlsplit(url)
    port = parts.port or (HTTPS_PORT if parts.scheme == "https" else HTTP_PORT)
    return Target(parts.hostname or "", port, through=proxy, tunnelled=True)


def _is_verified(connection: Any) -> bool:
    if isinstance(connection.sock, ssl.SSLSocket):
        return verifies(connection.sock.context)
    if getattr(connection, "is_verified", None) is not None:
        return bool(connection.is_verified)  # urllib3's, once connected
    context = getattr(connection, "_context", None)
    return isinstance(context, ssl.SSLContext) and verifies(context)


def _tls_classes() -> tuple[type, ...]:
    import http.client

    return (http.client.HTTPSConnection,)


def _line(connection: Any) -> tuple[str, str]:
    """Return method and target of the request that is about to be sent."""
    words = _decoded(connection._buffer[0]).split(" ")  # noqa: SLF001 - what is to be sent stands nowhere else
    return words[0], " ".join(words[1:-1])


def _said(connection: Any, body: Any) -> Request:
    method, path = _line(connection)
    lines = [_decoded(line).partition(":") for line in connection._buffer[1:]]  # noqa: SLF001 - likewise
    held = in_memory(body)
    return Request(
        method=method,
        path=path,
        headers=[(name, value.strip()) for name, _, value in lines],
        body=held,
        streamed=body is not None and held is None,
    )


def _decoded(line: bytes | str) -> str:
    return line if isinstance(line, str) else line.decode("latin-1")
