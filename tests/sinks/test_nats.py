"""The JetStream stream, on a real server: once, acknowledged, and errors that say what to do."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator

import pytest

from services import free_port, nats_url
from zeroret.errors import ConfigurationError, SinkError
from zeroret.sinks.nats import NatsSink
from zeroret.usage.record import UsageRecord, decode

MakeRecord = Callable[..., UsageRecord]


@pytest.fixture
def stream() -> Iterator[str]:
    """Give the name of a stream of this test's own, which is removed afterwards."""
    name = f"T{uuid.uuid4().hex}"
    yield name

    async def remove() -> None:
        import nats

        client = await nats.connect(nats_url())
        await client.jetstream().delete_stream(name)
        await client.close()

    asyncio.run(remove())


def uri_of(stream: str) -> str:
    """Return the URI of a stream whose subject has its name."""
    return f"{nats_url()}?stream={stream}&subject={stream}.usage"


def messages(stream: str, count: int) -> list[UsageRecord]:
    """Return the records in the stream, which must be *count*."""

    async def read() -> list[UsageRecord]:
        import nats

        client = await nats.connect(nats_url())
        context = client.jetstream()
        info = await context.stream_info(stream)
        assert info.state.messages == count
        found = [
            decode((await context.get_msg(stream, number + 1)).data or b"")
            for number in range(count)
        ]
        await client.close()
        return found

    return asyncio.run(read())


def test_each_record_once(stream: str, make: MakeRecord) -> None:
    """Batches that overlap, from two sinks, leave every record once."""
    first, second = NatsSink(uri_of(stream)), NatsSink(uri_of(stream))
    records = [make(number) for number in range(40)]
    first.write(records[:25])
    second.write(records[10:])
    second.write([])
    first.close()
    first.write(records)
    assert messages(stream, 40) == records
    first.close()
    second.close()


def test_the_thread_is_the_librarys_own_and_ends(stream: str, make: MakeRecord) -> None:
    """The client's thread has zeroret's name, so that it belongs to no exchange."""
    sink = NatsSink(uri_of(stream))
    sink.write([make(1)])
    (thread,) = [each for each in threading.enumerate() if each.name == "zeroret-nats"]
    sink.close()
    thread.join(30)
    assert not thread.is_alive()


def test_removed_columns_are_absent(stream: str, make: MakeRecord) -> None:
    """The stream has the policy's columns only."""
    sink = NatsSink(uri_of(stream), columns=["id", "policy", "usage_source"])
    sink.write([make(1)])
    assert list(messages(stream, 1)[0].as_dict()) == ["id", "policy", "usage_source"]
    sink.close()


def test_a_server_that_is_away_is_a_sentence(make: MakeRecord) -> None:
    """It names the place, and never the password."""
    sink = NatsSink(f"nats://me:sesame@127.0.0.1:{free_port()}")
    with pytest.raises(SinkError, match=r"NATS at 127\.0\.0\.1:\d+ cannot be reached") as caught:
        sink.write([make(1)])
    assert "sesame" not in str(caught.value)
    sink.close()


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("nats://nats.internal", r"without TLS: write nats\+tls://"),
        ("nats://localhost?stream=a.b", "a name without dots"),
        ("nats://localhost?subject=a.*", "a subject without"),
        ("nats://localhost?batch=5", "nothing else"),
        ("nats:", "takes a host"),
        ("nats://localhost:port", "cannot be read"),
    ],
)
def test_mistakes_are_told(uri: str, sentence: str) -> None:
    """A wrong URI is refused when the runtime is made."""
    with pytest.raises(ConfigurationError, match=sentence):
        NatsSink.check(uri)
    NatsSink.check("nats+tls://nats.internal:4222?stream=A&subject=a.b")
