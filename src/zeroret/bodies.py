"""Bodies that are too large: a 413 instead of the application's reply, once ``max_body`` passes.

What is declared too large is refused before the application runs. A body of unknown length is
counted as it is read: when it passes the limit the client gets its 413, and the application sees
what it sees when a client hangs up.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from zeroret.errors import ZeroRetentionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from zeroret.types import (
        ASGIApp,
        Environ,
        Message,
        Receive,
        Scope,
        Send,
        StartResponse,
        WSGIApp,
    )

TOO_LARGE: Final = 413
"""Content Too Large (RFC 9110, 15.5.14)."""

BODY: Final = b'{"error":{"type":"request_too_large","message":"the request body is too large"}}'
"""The reply, in the form that the providers' clients read."""

_PASSED: Final = "the request body is larger than max_body allows"
_LONGEST: Final = 15  # digits of a length that is compared as a number


class BodyTooLargeError(ZeroRetentionError, OSError):
    """The request body passed ``max_body`` while it was read; the client gets a 413 for it."""


def exceeds(declared: str | bytes, limit: int) -> bool:
    """Tell whether a Content-Length says more than *limit* bytes; what is no length says nothing.

    RFC 9110, 8.6: ASCII digits, nothing else.
    """
    if not (declared.isascii() and declared.isdigit()):
        return False
    return len(declared) > _LONGEST or int(declared) > limit


class ASGIBodyLimit:
    """ASGI middleware: refuses request bodies of more than *limit* bytes.

    It stands inside the shell, which meters the 413 like any other reply.
    """

    __slots__ = ("_app", "_limit")

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it; websockets have no body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for name, value in scope.get("headers") or ():
            if name == b"content-length" and exceeds(value, self._limit):
                await _refuse(scope, send)
                return
        await _ASGILimited(scope, receive, send, self._limit).run(self._app)


class _ASGILimited:
    """One request whose body is counted as it comes."""

    __slots__ = ("_left", "_receive", "_refused", "_scope", "_send", "_started")

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._left = limit
        self._started = False
        self._refused = False

    async def run(self, app: ASGIApp) -> None:
        try:
            await app(self._scope, self.receive, self.send)
        except Exception:
            # It was told that the client hung up, and its reply would have gone nowhere.
            if not self._refused:
                raise

    async def receive(self) -> Message:
        if self._left < 0:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message.get("type") != "http.request":
            return message
        self._left -= len(message.get("body") or b"")
        if self._left >= 0:
            return message
        if not self._started:
            self._refused = True
            await _refuse(self._scope, self._send)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._refused:
            return
        self._started = True
        await self._send(message)


async def _refuse(scope: Scope, send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    if str(scope.get("http_version", "1.1")).startswith("1"):
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": TOO_LARGE, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


class WSGIBodyLimit:
    """WSGI middleware: refuses request bodies of more than *limit* bytes.

    It stands inside the shell, as `ASGIBodyLimit` does.
    """

    __slots__ = ("_app", "_limit")

    def __init__(self, app: WSGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, or refuse it."""
        declared = str(environ.get("CONTENT_LENGTH") or "")
        if exceeds(declared, self._limit):
            return _refused(start_response)
        if declared.isdigit() and "HTTP_TRANSFER_ENCODING" not in environ:
            return self._app(environ, start_response)  # the server hands out no more than this
        return _WSGILimited(environ, start_response, self._limit).run(self._app)


class _WSGILimited:
    """One request whose body is counted as it is read, and the response to it if need be."""

    __slots__ = ("_environ", "_input", "_iterator", "_response", "_start_response", "_started")

    def __init__(self, environ: Environ, start_response: StartResponse, limit: int) -> None:
        self._environ = environ
        self._start_response = start_response
        self._input = environ["wsgi.input"] = LimitedInput(environ["wsgi.input"], limit)
        self._started = False
        self._response: Iterable[bytes] = ()
        self._iterator: Iterator[bytes] | None = None

    def run(self, app: WSGIApp) -> Iterable[bytes]:
        try:
            response = app(self._environ, self._start)
        except Exception:
            if self._must_refuse():
                return _refused(self._start_response)
            raise
        if self._must_refuse():
            _close(response)
            return _refused(self._start_response)
        if self._started:
            return response
        self._response = response  # a generator: it has not run yet
        return self

    def _start(self, *args: Any) -> Callable[[bytes], object]:
        if self._must_refuse():
            return _ignore
        self._started = True
        return self._start_response(*args)

    def _must_refuse(self) -> bool:
        return self._input.passed and not self._started

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._iterator is None:
            self._iterator = iter(self._response)
        try:
            chunk = next(self._iterator)
        except Exception:  # the end is one, too
            if not self._must_refuse():
                raise
        else:
            if not self._must_refuse():
                return chunk
        self._started = True
        self.close()
        self._iterator = iter(_refused(self._start_response))
        return next(self._iterator)

    def close(self) -> None:
        """Close what the application returned, once."""
        response, self._response = self._response, ()
        _close(response)


class LimitedInput:
    """A ``wsgi.input`` that gives *limit* bytes and raises when there are more.

    It never asks for more than one byte past the limit, so that nothing larger is ever in memory.

    Raises:
        BodyTooLargeError: by each method that reads, when there is more.
    """

    __slots__ = ("_input", "_left", "passed")

    def __init__(self, stream: Any, limit: int) -> None:
        self._input = stream
        self._left = limit
        self.passed = False
        """Whether there was more than the limit."""

    def __getattr__(self, name: str) -> Any:
        """Pass on what a server's stream has beyond PEP 3333."""
        return getattr(self._input, name)

    def _most(self, size: int | None) -> int:
        if self.passed:
            raise BodyTooLargeError(_PASSED)
        return self._left + 1 if size is None or size < 0 else min(size, self._left + 1)

    def _counted(self, chunk: bytes) -> bytes:
        self._left -= len(chunk)
        if self._left < 0:
            self.passed = True
            raise BodyTooLargeError(_PASSED)
        return chunk

    def read(self, size: int | None = -1) -> bytes:
        """Return *size* bytes, or all there are."""
        if size is not None and size >= 0:
            return self._counted(self._input.read(self._most(size)))
        pieces: list[bytes] = []
        while piece := self._counted(self._input.read(self._most(-1))):
            pieces.append(piece)
        return b"".join(pieces)

    def read1(self, size: int = -1) -> bytes:
        """Return what one read gives."""
        return self._counted(self._input.read1(self._most(size)))

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer* as far as there is something."""
        view = memoryview(buffer).cast("B")
        chunk = self.read(len(view))
        view[: len(chunk)] = chunk
        return len(chunk)

    readinto1 = readinto

    def readline(self, size: int | None = -1) -> bytes:
        """Return a line, or *size* bytes of it."""
        return self._counted(self._input.readline(self._most(size)))

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Return the lines, of about *hint* bytes in all."""
        lines: list[bytes] = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


def _refused(start_response: StartResponse) -> Iterable[bytes]:
    start_response(
        "413 Content Too Large",
        [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))],
    )
    return [BODY]


def _ignore(_chunk: bytes) -> None:
    """Stand in for the ``write`` of a response that nobody gets."""


def _close(response: object) -> None:
    close = getattr(response, "close", None)
    if close is not None:
        with suppress(Exception):  # nobody gets what it would say
            close()
