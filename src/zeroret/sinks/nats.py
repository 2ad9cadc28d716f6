"""Records in a NATS JetStream stream: one message each, deduplicated by its id.

Extra ``zeroret[nats]``, by nats-py. The client lives in an event loop and a thread of its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from zeroret.errors import ConfigurationError, MissingExtraError, SinkError
from zeroret.sinks.columns import Restriction
from zeroret.sinks.location import is_loopback
from zeroret.usage.record import encode

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from zeroret.usage.record import UsageRecord

STREAM: Final = "ZERORET"
SUBJECT: Final = "zeroret.usage"

KNOWN_FOR: Final = 3600
"""Seconds for which a stream made here remembers ids; an existing stream keeps its own window."""

_EXAMPLE: Final = "tls://nats.internal:4222?stream=ZERORET&subject=zeroret.usage"
_TIMEOUT: Final = 10.0
_MESSAGE_ID: Final = "Nats-Msg-Id"


class NatsSink:
    """Publishes each record with its id, many in flight, and returns when all are acknowledged.

    A stream that is not there is made, with the one subject and a file storage. `write` raises
    `SinkError` where the server cannot be used, else ``nats.errors.Error``.
    """

    def __init__(self, uri: str, *, columns: Iterable[str] | None = None) -> None:
        self._url, self._stream, self._subject, self._place = _parsed(uri)
        self._restriction = Restriction(columns)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Any = None
        self._jetstream: Any = None
        self._pid = 0

    @staticmethod
    def check(uri: str) -> None:
        """Raise `ConfigurationError` if *uri* is no address, or one without TLS.

        Raises `MissingExtraError` where nats-py is not installed.
        """
        _nats()
        _parsed(uri)

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Publish the batch; a message that the stream knows already changes nothing."""
        messages = [(record.id, encode(record)) for record in self._restriction.apply(records)]
        if messages:
            self._run(self._publish(messages))

    def close(self) -> None:
        """Close the connection and end the thread."""
        loop, self._loop = self._loop, None
        client, self._client = self._client, None
        if loop is None or self._pid != os.getpid():
            return  # a fork's parent goes on using them
        if client is not None:
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(client.close(), loop).result(_TIMEOUT)
        loop.call_soon_threadsafe(loop.stop)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        if self._loop is None or self._pid != os.getpid():
            self._loop = asyncio.new_event_loop()
            self._client = None
            self._pid = os.getpid()
            thread = threading.Thread(
                target=_serve, args=(self._loop,), name="zeroret-nats", daemon=True
            )
            try:
                Context().run(thread.start)
            except RuntimeError:  # at interpreter exit: the calling thread does it
                self._loop.run_until_complete(asyncio.wait_for(work, _TIMEOUT))
                return
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, 2 * _TIMEOUT), self._loop)
        try:
            future.result(3 * _TIMEOUT)
        except TimeoutError:
            future.cancel()
            raise SinkError(
                f"NATS at {self._place} did not acknowledge in time: "
                "check that JetStream is on (nats-server -js) and the stream has room"
            ) from None

    async def _publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        stream = await self._connected()
        pending = [
            await stream.publish_async(self._subject, data, headers={_MESSAGE_ID: identity})
            for identity, data in messages
        ]
        for acknowledged in await asyncio.gather(*pending, return_exceptions=True):
            if isinstance(acknowledged, BaseException):
                raise acknowledged

    async def _connected(self) -> Any:
        nats = _nats()
        if self._client is None or self._client.is_closed:
            try:
                self._client = await nats.connect(
                    self._url,
                    connect_timeout=_TIMEOUT,
                    max_reconnect_attempts=1,
                    error_cb=_silent,
                    name="zeroret",
                )
            except Exception as error:  # noqa: BLE001 - nats-py raises OSError and its own alike
                raise SinkError(self._explain(error)) from None
            # One for each connection: it subscribes to the acknowledgements.
            self._jetstream = self._client.jetstream(timeout=_TIMEOUT)
            await self._make_stream(self._jetstream)
        return self._jetstream

    async def _make_stream(self, stream: Any) -> None:
        from nats.js.api import StorageType, StreamConfig
        from nats.js.errors import NotFoundError

        try:
            await stream.stream_info(self._stream)
        except NotFoundError:
            config = StreamConfig(
                name=self._stream,
                subjects=[self._subject],
                storage=StorageType.FILE,
                duplicate_window=KNOWN_FOR,
            )
            await stream.add_stream(config)

    def _explain(self, error: Exception) -> str:
        if "Authorization" in type(error).__name__:
            return f"NATS at {self._place} refused the user or the password: check the URI"
        return f"NATS at {self._place} cannot be reached: check that it runs, and the address"


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _silent(_error: Exception) -> None:
    """Say nothing: what fails is raised where a batch waits for it."""


def _parsed(uri: str) -> tuple[str, str, str, str]:
    """Return the client's URL, stream, subject, and host and port for messages."""
    try:
        parts = urlsplit(uri)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        port = parts.port or 4222
    except ValueError:
        raise ConfigurationError(
            f"the nats: sink's URI cannot be read: write one like nats+{_EXAMPLE}"
        ) from None
    stream, subject = given.pop("stream", STREAM), given.pop("subject", SUBJECT)
    plain = all(text and not set(text) & set(" *>") for text in (stream, subject))
    if given or not parts.hostname or parts.path.strip("/") or not plain or "." in stream:
        raise ConfigurationError(
            "the nats: sink takes a host, stream= and subject= (a name without dots, and a "
            f"subject without * and >), nothing else: write one like nats+{_EXAMPLE}"
        )
    if parts.scheme == "nats" and not is_loopback(parts.hostname):
        raise ConfigurationError(
            "the nats: sink would send records to another machine without TLS: "
            f"write nats+tls://, as in nats+{_EXAMPLE}"
        )
    scheme = "tls" if parts.scheme == "nats+tls" else "nats"
    url = urlunsplit((scheme, parts.netloc, "", "", ""))
    return url, stream, subject, f"{parts.hostname}:{port}"


def _nats() -> Any:
    try:
        import nats
    except ImportError:
        raise MissingExtraError("the nats: sink", "nats") from None
    return nats
