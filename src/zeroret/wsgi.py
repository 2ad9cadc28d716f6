"""The WSGI shell: middleware around any WSGI application (PEP 3333), valid on both sides."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from zeroret.bodies import WSGIBodyLimit
from zeroret.content.flight import CURRENT, LAST
from zeroret.durable import unavailable_wsgi
from zeroret.exchange import Exchange
from zeroret.guards import spools
from zeroret.heads import declared_length
from zeroret.sharing import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Unpack

    from zeroret.options import ShellOptions
    from zeroret.runtime import ZeroRetention
    from zeroret.types import Environ, StartResponse, WSGIApp

ENVIRON_KEY: Final = "zeroret.exchange"
"""Where the environment tells that it is wrapped already."""

_END: Final = object()


class ZeroRetentionWSGIMiddleware:
    """WSGI middleware that enforces zero retention and meters every exchange.

    Takes the options of `zeroret.ZeroRetention`, or a ready *runtime*. The reply passes unchanged
    and unbuffered; an application that is wrapped twice is handled once.
    """

    def __init__(
        self, app: WSGIApp, *, runtime: ZeroRetention | None = None, **options: Unpack[ShellOptions]
    ) -> None:
        self.app = app
        self.runtime = shared(runtime, dict(options))
        self.runtime.apps.add(app)
        self.runtime.guard_logs()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request of the wrapped application."""
        if ENVIRON_KEY in environ:
            return self.app(environ, start_response)
        limit = self.runtime.options.max_body
        app = self.app if limit is None else WSGIBodyLimit(self.app, limit)
        responder = WSGIResponder(self.runtime, environ, start_response)
        return responder.run(app if responder.admitted() else unavailable_wsgi)


class WSGIResponder:
    """One exchange over WSGI: stands in both directions of the wire and passes everything on."""

    __slots__ = ("_environ", "_exchange", "_left", "_runtime", "_start_response")

    def __init__(
        self, runtime: ZeroRetention, environ: Environ, start_response: StartResponse
    ) -> None:
        self._runtime = runtime
        self._environ = environ
        self._start_response = start_response
        self._left: int | None = None
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        self._exchange = Exchange(runtime, environ.get("REQUEST_METHOD", ""), path)

    def admitted(self) -> bool:
        """Tell whether the journal can take what this exchange will leave."""
        return self._exchange.journal.accepts()

    def run(self, app: WSGIApp) -> Iterable[bytes]:
        """Call *app* and return its response, wrapped; exceptions leave as stand-ins."""
        exchange, environ = self._exchange, self._environ
        environ[ENVIRON_KEY] = exchange
        LAST.set(exchange)
        response: Iterable[bytes] = self.within(self._call, app)
        if _is_file(response, environ):
            # The server sends the file itself; wrapping it would cost it that path.
            self.exhausted()
            spools.hand_over(exchange)
            exchange.leave()
            return response
        sized = hasattr(response, "__len__")
        return (_SizedResponse if sized else _Response)(self, response)

    def within(self, step: Callable[..., Any], *args: Any) -> Any:
        """Run one step of the application inside the exchange."""
        exchange = self._exchange
        token = CURRENT.set(exchange)
        stand_in: BaseException | None = None
        try:
            return step(*args)
        except Exception as error:  # noqa: BLE001 - whatever the app raises leaves as its stand-in
            exchange.fail(error)
            stand_in = self._runtime.stand_in(error)
        except BaseException as error:
            exchange.fail(error)
            stand_in = self._runtime.stand_in(error)
            if stand_in is error:
                exchange.leave()
                raise
        finally:
            CURRENT.reset(token)
        # Raised out here so that Python chains nothing: the original must not be its context.
        exchange.leave()
        raise stand_in

    def _call(self, app: WSGIApp) -> Iterable[bytes]:
        self._open()
        return app(self._environ, self._started)

    def _open(self) -> None:
        """Note what the request's head says, and stand in front of its body."""
        exchange, environ = self._exchange, self._environ
        if "wsgi.input" in environ:
            environ["wsgi.input"] = _Input(environ["wsgi.input"], exchange)
        try:
            query = environ.get("QUERY_STRING", "").encode("latin-1", "replace")
            exchange.head(query, _headers(environ))
            exchange.client_host = environ.get("REMOTE_ADDR")
        except Exception as error:  # noqa: BLE001 - what breaks the protocol is the app's to judge
            self._runtime.failed("head", error)
        credential, identify = exchange.credential, self._runtime.identify
        if credential is None or identify is None:
            return
        try:
            account = identify(credential)
            exchange.account_is(asyncio.run(_settled(account)) if isawaitable(account) else account)
        except Exception as error:  # noqa: BLE001 - the operator's own code must not hurt the reply
            self._runtime.failed("identify", error)

    def _started(
        self, status: str, headers: list[tuple[str, str]], *exc_info: Any
    ) -> Callable[[bytes], object]:
        """Stand in for ``start_response``; *exc_info* is passed on only where it was given."""
        try:
            self._note_start(status, headers)
        except Exception as error:  # noqa: BLE001 - as in _open
            self._runtime.failed("message", error)
        write = self._start_response(status, headers, *exc_info)
        return partial(self._write, write)

    def _note_start(self, status: str, headers: list[tuple[str, str]]) -> None:
        content_type = content_encoding = ""
        self._left = None
        for name, value in headers:
            lowered = name.lower()
            if lowered == "content-type":
                content_type = value
            elif lowered == "content-encoding":
                content_encoding = value
            elif lowered == "content-length":
                self._left = declared_length(value)
        self._exchange.request_end()
        meter = self._exchange.meter
        if meter is not None and meter.reads_headers:
            meter.response_headers([_encoded(name, value) for name, value in headers])
        self._exchange.response_start(
            int(status[:3]),
            content_type.encode("latin-1", "replace"),
            content_encoding.encode("latin-1", "replace"),
        )

    def _write(self, write: Callable[[bytes], object], chunk: bytes) -> object:
        self.chunk(chunk, last=False)
        return write(chunk)

    def chunk(self, chunk: bytes, *, last: bool) -> None:
        """Take a piece of the response body before the server gets it."""
        try:
            self._note_chunk(chunk, last=last)
        except Exception as error:  # noqa: BLE001 - as in _open
            self._runtime.failed("message", error)

    def _note_chunk(self, chunk: bytes, *, last: bool) -> None:
        terminal = bool(chunk) and self._exchange.response_chunk(chunk)
        if self._left is not None:
            self._left -= len(chunk)
            terminal = terminal or self._left <= 0
        if terminal or last:
            self.exhausted()

    def exhausted(self) -> None:
        """Note that the application has no more to send."""
        self._exchange.complete()
        self._exchange.journal.wait_durable()

    def closed(self) -> None:
        """Note that the server let go of the response."""
        self._exchange.leave()


class _Response:
    """The application's iterable, passed on chunk by chunk; its ``close`` is always reached."""

    __slots__ = ("_iterator", "_responder", "_response")

    def __init__(self, responder: WSGIResponder, response: Iterable[bytes]) -> None:
        self._responder = responder
        self._response = response
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        step: Any = self._responder.within(self._step)
        if step is _END:
            self._responder.exhausted()
            raise StopIteration
        chunk: bytes = step
        self._responder.chunk(chunk, last=self._is_last())
        return chunk

    def _step(self) -> object:
        """Return the next chunk, or the end: a StopIteration must not look like an error."""
        if self._iterator is None:
            self._iterator = iter(self._response)
        return next(self._iterator, _END)

    def _is_last(self) -> bool:
        return False

    def __del__(self) -> None:
        # A server that forgets `close` must not keep an exchange and its content for ever.
        with suppress(Exception):
            self._responder.closed()

    def close(self) -> None:
        """Close what the application returned, not what `iter` made of it."""
        close = getattr(self._response, "close", None)
        try:
            if close is not None:
                self._responder.within(close)
        finally:
            self._responder.closed()


class _SizedResponse(_Response):
    """A response of known length, which servers use to compute the Content-Length."""

    __slots__ = ("_passed",)

    def __init__(self, responder: WSGIResponder, response: Iterable[bytes]) -> None:
        super().__init__(responder, response)
        self._passed = 0

    def __len__(self) -> int:
        return len(self._response)  # type: ignore[arg-type] # chosen because the app's has one

    def _is_last(self) -> bool:
        self._passed += 1
        return self._passed >= len(self)


class _Input:
    """The request body as it is read: every piece is noted, none is read ahead."""

    __slots__ = ("_exchange", "_input")

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        self._input = stream
        self._exchange = exchange

    def __getattr__(self, name: str) -> Any:
        """Pass on what a server's stream has beyond PEP 3333, its other ways to read noted."""
        method = getattr(self._input, name)
        if name in ("readinto", "readinto1"):
            return partial(self._read_into, method)
        return partial(self._read_one, method) if name == "read1" else method

    def _read_into(self, readinto: Callable[[Any], int | None], buffer: Any) -> int | None:
        size = readinto(buffer)
        self._noted(bytes(memoryview(buffer).cast("B")[: size or 0]))
        return size

    def _read_one(self, read1: Callable[..., bytes], *size: int) -> bytes:
        return self._noted(read1(*size))

    def _noted(self, chunk: bytes) -> bytes:
        if chunk:
            self._exchange.request_chunk(bytes(chunk))
        return chunk

    def read(self, *size: int) -> bytes:
        return self._noted(self._input.read(*size))

    def readline(self, *size: int) -> bytes:
        return self._noted(self._input.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        return [self._noted(line) for line in self._input.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        for line in self._input:
            yield self._noted(line)


async def _settled(account: Any) -> Any:
    return await account


def _headers(environ: Environ) -> list[tuple[bytes, bytes]]:
    """Return the request's headers as ASGI names them: lower case, with hyphens."""
    headers = [
        (
            name[5:].replace("_", "-").lower().encode("latin-1", "replace"),
            value.encode("latin-1", "replace"),
        )
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]
    content_type = environ.get("CONTENT_TYPE")
    if content_type:
        headers.append((b"content-type", content_type.encode("latin-1", "replace")))
    return headers


def _encoded(name: str, value: str) -> tuple[bytes, bytes]:
    return name.encode("latin-1", "replace"), value.encode("latin-1", "replace")


def _is_file(response: object, environ: Environ) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(response, wrapper)
