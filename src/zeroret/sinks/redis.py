"""Records in a Redis stream: one entry each, with its JSON in the field ``record``.

Extra ``zeroret[redis]``, by redis-py.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from zeroret.errors import ConfigurationError, MissingExtraError, SinkError
from zeroret.sinks.columns import Restriction
from zeroret.sinks.location import is_loopback
from zeroret.usage.identity import issued_at, parse_id
from zeroret.usage.record import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from zeroret.usage.record import UsageRecord

STREAM: Final = "zeroret:usage"
"""The stream's key, unless ``?stream=`` names another."""

KNOWN_FOR: Final = 2 * 86_400
"""Seconds for which Redis remembers the ids that it has."""

_EXAMPLE: Final = "rediss://user@cache.internal/0?stream=zeroret:usage"
_TIMEOUT: Final = 10
_READ_AT_ONCE: Final = 5_000

# One call for a batch: an id goes into the set of its hour and, if it was not there, its record
# into the stream, with nothing in between.
_SCRIPT: Final = """
local added = 0
for i = 1, #ARGV, 3 do
  local seen = KEYS[1] .. ':ids:' .. ARGV[i]
  if redis.call('SADD', seen, ARGV[i + 1]) == 1 then
    redis.call('EXPIRE', seen, KNOWN_FOR)
    redis.call('XADD', KEYS[1], '*', 'record', ARGV[i + 2])
    added = added + 1
  end
end
return added
""".replace("KNOWN_FOR", str(KNOWN_FOR))


class RedisSink:
    """Adds each record once to a stream; ids are remembered for two days.

    `write` raises `SinkError` where the server cannot be used, else ``redis.RedisError``.
    """

    batch: Final = 1_000

    def __init__(self, uri: str, *, columns: Iterable[str] | None = None) -> None:
        self._url, self._stream, self._place = _parsed(uri)
        self._restriction = Restriction(columns)
        self._client: Any = None
        self._add: Any = None
        self._pid = 0

    @staticmethod
    def check(uri: str) -> None:
        """Raise `ConfigurationError` if *uri* is no address, or one without TLS.

        Raises `MissingExtraError` where redis-py is not installed.
        """
        _redis()
        _parsed(uri)

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Add the records whose ids are new."""
        arguments: list[bytes | int] = []
        for record in self._restriction.apply(records):
            raw = parse_id(record.id)
            arguments += (int(issued_at(raw)) // 3600, raw, encode(record))
        if arguments:
            with self._connected():
                self._add(keys=[self._stream], args=arguments)

    def expire(self, table: str, before: datetime, *, dry_run: bool = False) -> int:
        """Delete the entries that came before *before*; return how many there are.

        An entry is never older than it says: its record ended before it came.
        """
        if table != "usage":
            return 0
        limit = int(before.timestamp() * 1000)
        with self._connected() as client:
            if not dry_run:
                return int(client.xtrim(self._stream, minid=limit, approximate=False))
            count, start = 0, "-"
            while found := client.xrange(self._stream, start, f"({limit}-0", _READ_AT_ONCE):
                count += len(found)
                start = "(" + found[-1][0].decode()
            return count

    def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.close()

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        redis = _redis()
        if self._client is None or self._pid != os.getpid():
            self._client = redis.Redis.from_url(
                self._url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
            )
            self._add = self._client.register_script(_SCRIPT)
            self._pid = os.getpid()
        try:
            yield self._client
        except redis.AuthenticationError:
            raise SinkError(
                f"Redis at {self._place} refused the user or the password: check the URI"
            ) from None
        except (redis.ConnectionError, redis.TimeoutError):
            raise SinkError(
                f"Redis at {self._place} cannot be reached: check that it runs, and the address"
            ) from None


def _parsed(uri: str) -> tuple[str, str, str]:
    """Return the URL for the client, the stream's key, and host and port for messages."""
    try:
        parts = urlsplit(uri)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        port = parts.port or 6379
    except ValueError:
        raise ConfigurationError(
            f"the redis: sink's URI cannot be read: write one like {_EXAMPLE}"
        ) from None
    stream = given.pop("stream", STREAM)
    if given or not stream or not parts.hostname:
        raise ConfigurationError(
            "the redis: sink takes a host, a database's number and stream=, nothing else: "
            f"write one like {_EXAMPLE}"
        )
    if parts.scheme == "redis" and not is_loopback(parts.hostname):
        raise ConfigurationError(
            "the redis: sink would send records to another machine without TLS: "
            f"write rediss://, as in {_EXAMPLE}"
        )
    url = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    return url, stream, f"{parts.hostname}:{port}"


def _redis() -> Any:
    try:
        import redis
    except ImportError:
        raise MissingExtraError("the redis: sink", "redis") from None
    return redis
