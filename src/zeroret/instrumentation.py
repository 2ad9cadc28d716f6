"""Metering the upstream calls of an SDK's or httpx's client, at the transport below it.

Inside an exchange the calls of an instrumented client add up to the exchange's usage. The bytes of
requests and responses pass unchanged and unbuffered, unless ``ask_usage`` asks for usage.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from zeroret.dialects import detect
from zeroret.dialects.asking import ENDPOINTS, UsageHidden, asking
from zeroret.errors import ConfigurationError
from zeroret.exchange import Exchange, current
from zeroret.heads import declared_length
from zeroret.usage.meter import Meter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

Client = TypeVar("Client")

_SUCCESS: Final = range(200, 300)
_MARK: Final = "_zeroret_instrumented"
_LIBRARIES: Final = ("httpx", "httpx2")


def instrument(client: Client, *, ask_usage: bool = False) -> Client:
    """Meter the upstream calls of *client*, and return it.

    Args:
        client: of ``openai``, ``anthropic`` or another SDK on httpx (sync or async), or an httpx
            client itself. Doing it twice changes nothing.
        ask_usage: ask OpenAI-like upstreams for the usage of a stream where the caller did not,
            and hide the chunk that answers from the caller.

    Raises:
        ConfigurationError: *client* is on no library that is known.
    """
    found = _http_client(client)
    if found is None:
        raise ConfigurationError(
            "instrument() knows clients of openai, anthropic and others on httpx, and httpx's "
            f"own; a {type(client).__name__} was given"
        )
    if getattr(found, _MARK, False):
        return client
    library = _library(found)
    wrap = _AsyncTransport if hasattr(found, "aclose") else _Transport
    found._transport = wrap(found._transport, library, ask_usage=ask_usage)  # noqa: SLF001 - httpx has no public way to exchange a transport
    for pattern, transport in list(found._mounts.items()):  # noqa: SLF001 - likewise
        if transport is not None:
            found._mounts[pattern] = wrap(transport, library, ask_usage=ask_usage)  # noqa: SLF001 - likewise
    setattr(found, _MARK, True)
    return client


class Call:
    """One upstream call: its request is read, its response metered as it passes."""

    __slots__ = ("_exchange", "_hidden", "_left", "_meter", "_place", "_status", "asked")

    def __init__(self, exchange: Exchange, request: Any, *, ask_usage: bool) -> None:
        self._exchange = exchange
        self._place = (str(request.url.host), request.url.port or 443)
        path = str(request.url.path)
        dialect = detect(path, request.method)
        runtime = exchange.runtime
        self._meter = None if dialect is None else Meter(dialect, runtime.counter, path=path)
        self._status = 0
        self._left: int | None = None
        """Bytes that the response's Content-Length still promises; None if it promises nothing."""
        self._hidden: UsageHidden | None = None
        self.asked: bytes | None = None
        """The request's body with the question for usage in it; None if nothing is to be asked."""
        if self._meter is not None:
            self._read(request, path, ask_usage=ask_usage)

    def _read(self, request: Any, path: str, *, ask_usage: bool) -> None:
        meter = self._meter
        assert meter is not None
        try:
            body = request.content
        except Exception:  # noqa: BLE001 - a body that streams is not read ahead
            return
        if ask_usage and path.rstrip("/").endswith(ENDPOINTS):
            self.asked = asking(body)
        meter.request_start(
            request.headers.get("content-type", ""), request.headers.get("content-encoding", "")
        )
        meter.request_chunk(self.asked or body)
        meter.request_end()

    def started(self, status: int, headers: Any) -> None:
        """Take the response's head."""
        self._status = status
        meter = self._meter
        if meter is None:
            return
        if meter.reads_headers:
            meter.response_headers([(bytes(name), bytes(value)) for name, value in headers.raw])
        self._left = declared_length(headers.get("content-length", ""))
        kind, coding = headers.get("content-type", ""), headers.get("content-encoding", "")
        meter.response_start(status, kind, coding)
        if self.asked is not None and status in _SUCCESS and not coding:
            self._hidden = UsageHidden() if kind.startswith("text/event-stream") else None

    def chunk(self, chunk: bytes) -> bytes:
        """Take a piece of the response, and return what the caller may see of it.

        The call is added as soon as it is whole: a handler that passes the piece on may end its
        own reply with it.
        """
        if self._meter is not None:
            whole = self._meter.response_chunk(chunk)
            if self._left is not None:
                self._left -= len(chunk)
                whole = whole or self._left <= 0
            if whole:
                self.end(complete=True)
        return chunk if self._hidden is None else self._hidden.feed(chunk)

    def rest(self) -> bytes:
        """Return what was held back of the response when it ended."""
        return b"" if self._hidden is None else self._hidden.finish()

    def end(self, *, complete: bool) -> None:
        """Add the call to its exchange, once; never raises."""
        meter, self._meter = self._meter, None
        if meter is None:
            return
        with suppress(Exception):
            if self._status in _SUCCESS:
                self._exchange.upstream_call(meter.finish(complete=complete), *self._place)
            else:
                meter.finish(complete=False)
                self._exchange.upstream_call(None, *self._place)


class _Shared:
    """What both kinds of transport have in common."""

    def __init__(self, transport: Any, library: str, *, ask_usage: bool) -> None:
        self._transport = transport
        self._library = library
        self._ask_usage = ask_usage

    def _begun(self, request: Any) -> tuple[Call | None, Any]:
        """Return the call and the request to send; no call outside of an exchange."""
        exchange = current()
        if exchange is None:
            return None, request
        try:
            call = Call(exchange, request, ask_usage=self._ask_usage)
            if call.asked is not None:
                request = _with_body(request, call.asked)
        except Exception as error:  # noqa: BLE001 - metering must not hurt the call
            exchange.runtime.failed("instrument", error)
            return None, request
        return call, request

    def _observed(self, call: Call, response: Any, stream: Callable[[Any], type]) -> Any:
        call.started(response.status_code, response.headers)
        response.stream = stream(sys.modules[self._library])(response.stream, call)
        return response


class _Transport(_Shared):
    """A synchronous transport whose calls are metered."""

    def handle_request(self, request: Any) -> Any:
        call, request = self._begun(request)
        if call is None:
            return self._transport.handle_request(request)
        try:
            response = self._transport.handle_request(request)
        except BaseException:
            call.end(complete=False)
            raise
        return self._observed(call, response, _sync_stream)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        self._transport.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._transport.__exit__(*error)


class _AsyncTransport(_Shared):
    """An asynchronous transport whose calls are metered."""

    async def handle_async_request(self, request: Any) -> Any:
        call, request = self._begun(request)
        if call is None:
            return await self._transport.handle_async_request(request)
        try:
            response = await self._transport.handle_async_request(request)
        except BaseException:
            call.end(complete=False)
            raise
        return self._observed(call, response, _async_stream)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._transport.__aexit__(*error)


def _sync_stream(library: Any) -> type:
    """Return the class of metered streams of *library*, which asks for its own base."""
    base: Any = library.SyncByteStream

    class MeteredStream(base):  # type: ignore[misc] # the base is known at run time only
        def __init__(self, stream: Any, call: Call) -> None:
            self._stream = stream
            self._call = call

        def __iter__(self) -> Iterator[bytes]:
            whole = False
            try:
                for chunk in self._stream:
                    if passing := self._call.chunk(chunk):
                        yield passing
                whole = True
                if rest := self._call.rest():
                    yield rest
            finally:
                self._call.end(complete=whole)

        def close(self) -> None:
            try:
                self._stream.close()
            finally:
                self._call.end(complete=False)

    return MeteredStream


def _async_stream(library: Any) -> type:
    """Return the class of metered asynchronous streams of *library*."""
    base: Any = library.AsyncByteStream

    class MeteredStream(base):  # type: ignore[misc] # the base is known at run time only
        def __init__(self, stream: Any, call: Call) -> None:
            self._stream = stream
            self._call = call

        async def __aiter__(self) -> AsyncIterator[bytes]:
            whole = False
            try:
                async for chunk in self._stream:
                    if passing := self._call.chunk(chunk):
                        yield passing
                whole = True
                if rest := self._call.rest():
                    yield rest
            finally:
                self._call.end(complete=whole)

        async def aclose(self) -> None:
            try:
                await self._stream.aclose()
            finally:
                self._call.end(complete=False)

    return MeteredStream


def _with_body(request: Any, body: bytes) -> Any:
    """Return *request* with another body, uncompressed in both directions."""
    headers = [
        (name, value)
        for name, value in request.headers.raw
        if name.lower() not in {b"content-length", b"accept-encoding", b"transfer-encoding"}
    ]
    headers.append((b"accept-encoding", b"identity"))
    return type(request)(
        request.method, request.url, headers=headers, content=body, extensions=request.extensions
    )


def _http_client(client: Any) -> Any:
    """Return the httpx client that *client* is, or has; None if there is none."""
    for found in (client, getattr(client, "_client", None)):
        if found is not None and _library(found) and hasattr(found, "_transport"):
            return found
    return None


def _library(client: Any) -> str:
    """Return the name of the library that *client*'s class, or a base of it, is from."""
    for base in type(client).__mro__:
        root = base.__module__.partition(".")[0]
        if root in _LIBRARIES:
            return root
    return ""
