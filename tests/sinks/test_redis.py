"""The Redis stream, on a real server: once, by the clock, and errors that say what to do."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from services import free_port, redis_url
from zeroret.errors import ConfigurationError, SinkError
from zeroret.sinks.redis import RedisSink
from zeroret.usage.record import UsageRecord, decode

MakeRecord = Callable[..., UsageRecord]


@pytest.fixture
def uri() -> Iterator[str]:
    """Give the URI of a stream of this test's own."""
    import redis

    stream = f"t{uuid.uuid4().hex}"
    yield f"{redis_url()}?stream={stream}"
    client = redis.Redis.from_url(redis_url())
    client.delete(*(client.keys(f"{stream}*") or [stream]))
    client.close()


def entries(uri: str) -> list[UsageRecord]:
    """Return the records in the stream."""
    import redis

    url, _, stream = uri.partition("?stream=")
    client = redis.Redis.from_url(url)
    found: Any = client.xrange(stream)
    client.close()
    return [decode(fields[b"record"]) for _, fields in found]


def test_each_record_once(uri: str, make: MakeRecord) -> None:
    """Batches that overlap, from two sinks, leave every record once, in order of arrival."""
    first, second = RedisSink(uri), RedisSink(uri)
    records = [make(number) for number in range(30)]
    first.write(records[:20])
    second.write(records[10:])
    second.write([])
    first.close()
    first.write(records)
    assert entries(uri) == records
    first.close()
    second.close()


def test_removed_columns_are_absent(uri: str, make: MakeRecord) -> None:
    """The stream has the policy's columns only."""
    sink = RedisSink(uri, columns=["id", "policy", "usage_source"])
    sink.write([make(1)])
    assert list(entries(uri)[0].as_dict()) == ["id", "policy", "usage_source"]
    sink.close()


def test_entries_go_by_the_clock(uri: str, make: MakeRecord) -> None:
    """What came before the moment is trimmed, and counted beforehand by a dry run."""
    sink = RedisSink(uri)
    sink.write([make(number) for number in range(3)])
    time.sleep(0.02)
    moment = datetime.now(UTC)
    time.sleep(0.02)
    sink.write([make(number) for number in range(3, 5)])
    assert sink.expire("usage_hourly", moment) == 0
    assert sink.expire("usage", moment, dry_run=True) == 3
    assert sink.expire("usage", moment) == 3
    assert entries(uri) == [make(3), make(4)]
    sink.close()


def test_a_server_that_is_away_is_a_sentence(make: MakeRecord) -> None:
    """It names the place, and never the password."""
    sink = RedisSink(f"redis://me:sesame@127.0.0.1:{free_port()}/0")
    with pytest.raises(SinkError, match=r"Redis at 127\.0\.0\.1:\d+ cannot be reached") as caught:
        sink.write([make(1)])
    assert "sesame" not in str(caught.value)
    sink.close()


def test_a_wrong_password_is_a_sentence(make: MakeRecord) -> None:
    """A server that refuses the credentials is told from one that is away."""
    sink = RedisSink(redis_url().replace("redis://", "redis://nobody:sesame@"))
    with pytest.raises(SinkError, match="refused the user or the password") as caught:
        sink.write([make(1)])
    assert "sesame" not in str(caught.value)
    sink.close()


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("redis://cache.internal/0", "without TLS: write rediss://"),
        ("redis://localhost/0?maxlen=5", "stream=, nothing else"),
        ("redis://localhost/0?stream=", "stream=, nothing else"),
        ("redis:", "takes a host"),
        ("redis://localhost:port/0", "cannot be read"),
    ],
)
def test_mistakes_are_told(uri: str, sentence: str) -> None:
    """A wrong URI is refused when the runtime is made."""
    with pytest.raises(ConfigurationError, match=sentence):
        RedisSink.check(uri)
    RedisSink.check("rediss://cache.internal/0?stream=x")
