"""The ASGI shell: pure middleware around any ASGI 3 application, under asyncio and trio alike."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Final

from zeroret.bodies import ASGIBodyLimit
from zeroret.content.flight import CURRENT, LAST
from zeroret.durable import DurableSend, unavailable_asgi
from zeroret.exchange import SWITCHING_PROTOCOLS, Exchange
from zeroret.heads import declared_length
from zeroret.integrations.routing import asgi_route
from zeroret.sharing import shared

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from contextvars import Token
    from typing import Unpack

    from zeroret.content.flight import Flight
    from zeroret.options import ShellOptions
    from zeroret.runtime import ZeroRetention
    from zeroret.types import ASGIApp, Identify, Message, Receive, Scope, Send

SCOPE_KEY: Final = "zeroret.exchange"
"""Where the scope tells that it is wrapped already."""

_WHOLE_BODY: Final = frozenset({"http.response.pathsend", "http.response.zerocopysend"})
_NORMAL_CLOSE: Final = frozenset({None, 1000, 1001, 1005})  # RFC 6455, 7.4.1
_FORBIDDEN: Final = 403


class ZeroRetentionMiddleware:
    """ASGI middleware that enforces zero retention and meters every exchange.

    Takes the options of `zeroret.ZeroRetention`, or a ready *runtime*. Equal options share one
    runtime, however often a framework builds the middleware. The reply passes unchanged and
    unbuffered; an application that is wrapped twice is handled once.

    Spec: https://asgi.readthedocs.io/en/latest/specs/www.html
    """

    def __init__(
        self, app: ASGIApp, *, runtime: ZeroRetention | None = None, **options: Unpack[ShellOptions]
    ) -> None:
        self.app = app
        self.runtime = shared(runtime, dict(options))
        self.runtime.apps.add(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the wrapped application."""
        kind = scope.get("type")
        if kind == "lifespan":
            await _Lifespan(self.runtime, receive, send).run(self.app, scope)
            return
        if kind not in ("http", "websocket") or SCOPE_KEY in scope:
            await self.app(scope, receive, send)
            return
        limit = self.runtime.options.max_body
        app = self.app if limit is None else ASGIBodyLimit(self.app, limit)
        responder = ASGIResponder(self.runtime, scope, receive, send)
        await responder.run(app if responder.admitted() else unavailable_asgi)


class ASGIResponder:
    """One exchange over ASGI: stands in both directions of the wire and passes everything on."""

    __slots__ = ("_exchange", "_left", "_receive", "_runtime", "_scope", "_send")

    def __init__(self, runtime: ZeroRetention, scope: Scope, receive: Receive, send: Send) -> None:
        self._runtime = runtime
        self._scope = scope
        self._receive = receive
        self._send = send
        self._left: int | None = None
        """Bytes that the declared Content-Length still promises; None if it promises nothing."""
        method, path = scope.get("method", "GET"), scope.get("path")
        self._exchange = Exchange(
            runtime,
            method if isinstance(method, str) else "",
            path if isinstance(path, str) else "",
        )
        if runtime.options.durability.fsync == "always":
            self._send = DurableSend(self._exchange, send)

    def admitted(self) -> bool:
        """Tell whether the journal can take what this exchange will leave."""
        return self._exchange.journal.accepts()

    async def run(self, app: ASGIApp) -> None:
        """Run *app* for this exchange; its exceptions leave as content-free stand-ins."""
        exchange, scope = self._exchange, self._scope
        scope[SCOPE_KEY] = exchange
        token = CURRENT.set(exchange)
        LAST.set(exchange)
        stand_in: BaseException | None = None
        try:
            self._open()
            if self._runtime.identify is not None and exchange.credential is not None:
                await self._identify(exchange.credential, self._runtime.identify)
            if scope["type"] == "http":
                await app(scope, self._receive_http, self._send_http)
            else:
                await app(scope, self._receive_websocket, self._send_websocket)
                exchange.complete()
        except Exception as error:  # noqa: BLE001 - whatever the app raises leaves as its stand-in
            exchange.fail(error)
            stand_in = self._runtime.stand_in(error)
        except BaseException as error:
            exchange.fail(error)
            stand_in = self._runtime.stand_in(error)
            if stand_in is error:
                raise
        finally:
            exchange.leave()
            _reset(token)
        if stand_in is not None:
            # Raised out here so that Python chains nothing: the original must not be its context.
            raise stand_in

    def _open(self) -> None:
        """Note what the request's head says: who called, from where, and the route's finder."""
        exchange, scope = self._exchange, self._scope
        exchange.routed_by(partial(asgi_route, scope))
        try:
            headers = scope.get("headers") or ()
            if hasattr(headers, "__next__"):
                headers = scope["headers"] = list(headers)  # the app reads it too
            exchange.head(scope.get("query_string", b""), headers)
            client = scope.get("client")
            exchange.client_host = client[0] if client else None
        except Exception as error:  # noqa: BLE001 - what breaks the protocol is the app's to judge
            self._runtime.failed("head", error)

    async def _identify(self, credential: str, identify: Identify) -> None:
        try:
            account = identify(credential)
            self._exchange.account_is(await account if isawaitable(account) else account)
        except Exception as error:  # noqa: BLE001 - the operator's own code must not hurt the reply
            self._runtime.failed("identify", error)

    async def _receive_http(self) -> Message:
        message = await self._receive()
        try:
            self._came(message)
        except Exception as error:  # noqa: BLE001 - as in _open
            self._runtime.failed("message", error)
        return message

    def _came(self, message: Message) -> None:
        kind = message.get("type")
        if kind == "http.request":
            chunk = message.get("body")
            if chunk:
                self._exchange.request_chunk(chunk)
            if not message.get("more_body"):
                self._exchange.request_end()
        elif kind == "http.disconnect":
            self._exchange.disconnected = True

    def _send_http(self, message: Message) -> Awaitable[None]:
        # Not a coroutine of its own: one frame less for every event of a stream.
        try:
            if message["type"] == "http.response.body":
                event, chunk = self._exchange.event, message.get("body")
                if (
                    event is None
                    or type(chunk) is not bytes
                    or not message.get("more_body")
                    or self._left is not None
                ):
                    self._body(message)
                elif event(chunk):
                    self._exchange.complete()
            else:
                self._goes(message)
        except Exception as error:  # noqa: BLE001 - as in _open
            self._runtime.failed("message", error)
        return self._send(message)

    def _goes(self, message: Message) -> None:
        kind = message.get("type")
        if kind == "http.response.start":
            self._start(message)
        elif kind in _WHOLE_BODY:
            self._exchange.complete()

    def _start(self, message: Message) -> None:
        content_type = content_encoding = b""
        self._left = None
        meter = self._exchange.meter
        if meter is not None and meter.reads_headers:
            meter.response_headers(message.get("headers") or ())
        for name, value in message.get("headers") or ():
            lowered = name.lower()
            if lowered == b"content-type":
                content_type = value
            elif lowered == b"content-encoding":
                content_encoding = value
            elif lowered == b"content-length":
                self._left = declared_length(value)
        self._exchange.response_start(message["status"], content_type, content_encoding)

    def _body(self, message: Message) -> None:
        chunk = message.get("body")
        whole = not message.get("more_body")
        if chunk:
            if self._exchange.response_chunk(chunk):
                whole = True
            if self._left is not None:
                self._left -= len(chunk)
                whole = whole or self._left <= 0
        if whole:
            self._exchange.complete()

    async def _receive_websocket(self) -> Message:
        message = await self._receive()
        try:
            kind = message.get("type")
            if kind == "websocket.receive":
                self._exchange.request_chunk(_frame(message))
            elif kind == "websocket.disconnect" and message.get("code") not in _NORMAL_CLOSE:
                self._exchange.disconnected = True
        except Exception as error:  # noqa: BLE001 - as in _open
            self._runtime.failed("message", error)
        return message

    async def _send_websocket(self, message: Message) -> None:
        try:
            self._goes_websocket(message)
        except Exception as error:  # noqa: BLE001 - as in _open
            self._runtime.failed("message", error)
        await self._send(message)

    def _goes_websocket(self, message: Message) -> None:
        exchange, kind = self._exchange, message.get("type")
        if kind == "websocket.send":
            exchange.response_chunk(_frame(message))
        elif kind == "websocket.accept":
            exchange.response_start(SWITCHING_PROTOCOLS, b"", b"")
        elif kind == "websocket.close":
            if exchange.status is None:
                exchange.response_start(_FORBIDDEN, b"", b"")
            exchange.complete()
        elif kind == "websocket.http.response.start":
            self._start(message)
        elif kind == "websocket.http.response.body":
            self._body(message)


class _Lifespan:
    """Starts the runtime before the application does, and drains it when the server stops."""

    __slots__ = ("_answered", "_asked", "_receive", "_runtime", "_send")

    def __init__(self, runtime: ZeroRetention, receive: Receive, send: Send) -> None:
        self._runtime = runtime
        self._receive = receive
        self._send = send
        self._asked = False
        self._answered = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run the application's lifespan; where it has none (Django), the runtime has its own."""
        try:
            await app(scope, self._receive_lifespan, self._send_lifespan)
        except Exception:
            if self._answered:
                raise
        if not self._answered:
            await self._alone()

    async def _alone(self) -> None:
        if not self._asked:
            await self._receive_lifespan()
        await self._send_lifespan({"type": "lifespan.startup.complete"})
        await self._receive()
        await self._send_lifespan({"type": "lifespan.shutdown.complete"})

    async def _receive_lifespan(self) -> Message:
        message = await self._receive()
        self._asked = True
        if message.get("type") == "lifespan.startup":
            try:
                self._runtime.start()
            except Exception as error:
                # Said aloud: many servers take an error alone for an app without a lifespan.
                failed = {"type": "lifespan.startup.failed", "message": f"zeroret: {error}"}
                self._answered = True
                await self._send(failed)
                raise
        return message

    async def _send_lifespan(self, message: Message) -> None:
        self._answered = True
        if message.get("type") in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            self._runtime.flush()
        await self._send(message)


def _frame(message: Message) -> bytes:
    """Return a websocket message's payload as bytes."""
    data: bytes | None = message.get("bytes")
    if data is not None:
        return data
    text: str = message.get("text") or ""
    return text.encode("utf-8", "surrogatepass")


def _reset(token: Token[Flight | None]) -> None:
    with suppress(ValueError):  # closed from another context (a generator's): it ends with it
        CURRENT.reset(token)
