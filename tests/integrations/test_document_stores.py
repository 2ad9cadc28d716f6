"""Redis, RQ, MongoDB, Celery and NATS: commands, documents and messages are judged as they go."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import bson
import pymongo
import pytest
import redis
import redis.asyncio
import rq

from scenes import Scene
from services import nats_url, redis_url
from zeroret.errors import RetentionViolation
from zeroret.guards import stores

# Libraries without types of their own.
celery: Any = import_module("celery")
kombu: Any = import_module("kombu")
nats: Any = import_module("nats")

pytestmark = pytest.mark.usefixtures("stored")


@pytest.fixture
def cache() -> Iterator[redis.Redis]:
    """A client of a real server, with nothing in its database."""
    with redis.Redis.from_url(redis_url()) as client:
        client.flushdb()
        yield client
        client.flushdb()


def piped(client: Any, text: str, *, transaction: bool) -> None:
    """Write in a pipeline."""
    with client.pipeline(transaction=transaction) as pipe:
        pipe.get("a")
        pipe.set("a", text)
        pipe.execute()


COMMANDS: dict[str, Callable[[Any, str], Any]] = {
    "set": lambda c, text: c.set("a", text),
    "key": lambda c, text: c.set(text, 1),
    "with an end": lambda c, text: c.set("a", text, ex=5),
    "hset": lambda c, text: c.hset("h", mapping={"q": text}),
    "field": lambda c, text: c.hset("h", text, "1"),
    "lpush": lambda c, text: c.lpush("l", json.dumps({"q": text})),
    "xadd": lambda c, text: c.xadd("x", {"q": text}),
    "publish": lambda c, text: c.publish("channel", text),
    "sadd": lambda c, text: c.sadd("s", text.encode()),
    "eval": lambda c, text: c.eval("return redis.call('set', KEYS[1], ARGV[1])", 1, "a", text),
    "script": lambda c, text: c.register_script("return ARGV[1]")(args=[text]),
    "compressed": lambda c, text: c.set("a", zlib.compress(text.encode())),
    "pipeline": lambda c, text: piped(c, text, transaction=False),
    "transaction": lambda c, text: piped(c, text, transaction=True),
    "any": lambda c, text: c.execute_command("SET", "a", text),
}


@pytest.mark.parametrize("way", COMMANDS)
def test_redis_writes_no_content(way: str, cache: redis.Redis, scene: Scene) -> None:
    """Pooled connections from before are judged command by command, and stay usable."""
    with scene.exchange():
        with pytest.raises(RetentionViolation, match="does not name") as caught:
            COMMANDS[way](cache, scene.content)
        assert caught.value.__cause__ is caught.value.__context__ is None
        assert cache.keys("*") == []
        COMMANDS[way](cache, "ok")
    with scene.exchange(stores=[redis_url()]):
        COMMANDS[way](cache, scene.content)
    assert scene.counted.counts() == {"store.refused": 1}


def test_redis_reads_and_sessions_pass(cache: redis.Redis, scene: Scene) -> None:
    """Looking up, taking away, counting, and keeping what belongs to the caller's own cookie."""
    cookie = "8s3kq0vv1l2m4n5p6q7r8s9t0u1v2w3x"
    with scene.exchange(scene.content, ((b"cookie", b"sid=" + cookie.encode()),)):
        cache.set("session:" + cookie, "signed in", ex=60)
        cache.get(scene.content)
        cache.delete(scene.content)
        cache.expire(scene.content, 5)
        cache.sismember("s", scene.content)
        cache.incr("hits")
    assert scene.counted.counts() == {}


def test_redis_async_writes_no_content(cache: redis.Redis, scene: Scene) -> None:
    """The asyncio client packs its commands in a place of its own."""

    async def work() -> None:
        async with redis.asyncio.Redis.from_url(redis_url()) as client:
            for _ in range(2):
                with pytest.raises(RetentionViolation):
                    await client.set("a", scene.content)
                async with client.pipeline(transaction=True) as pipe:
                    pipe.set("a", scene.content)
                    with pytest.raises(RetentionViolation):
                        await pipe.execute()
            await client.set("b", "ok")

    with scene.exchange():
        asyncio.run(work())
    assert cache.keys("*") == [b"b"]


def work(text: str) -> str:
    """Do what a job does."""
    return text


def test_rq_queues_no_content(cache: redis.Redis, scene: Scene) -> None:
    """Its jobs are pickled and compressed, and read all the same."""
    queue = rq.Queue(connection=cache)
    with scene.exchange():
        with pytest.raises(RetentionViolation):
            queue.enqueue(work, scene.content, description="a job")
        job = queue.enqueue(work, "ok", description="a job")
    assert queue.job_ids == [job.id]


class Documents:
    """A server that speaks enough of MongoDB's wire protocol for a client to write to it."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while len(header := stream.read(16)) == 16:
                size, asked, _, opcode = struct.unpack("<iiii", header)
                body = stream.read(size - 16)
                if opcode == 2012:
                    opcode = struct.unpack_from("<i", body)[0]
                    body = zlib.decompress(body[9:])
                if opcode == 2004:  # the oldest form of a greeting
                    command, flags = "hello", b""
                else:
                    command = next(
                        iter(bson.decode(body[5 : 5 + struct.unpack_from("<i", body, 5)[0]]))
                    )
                    flags = body[:4]
                self._note(command)
                answer = bson.encode(self._answer(command))
                if opcode == 2004:
                    reply = struct.pack("<iqii", 8, 0, 0, 1) + answer
                    connection.sendall(struct.pack("<iiii", 16 + len(reply), 1, asked, 1) + reply)
                elif not flags[0] & 2:
                    reply = bytes(5) + answer
                    connection.sendall(
                        struct.pack("<iiii", 16 + len(reply), 1, asked, 2013) + reply
                    )

    def _note(self, command: str) -> None:
        if command not in ("hello", "ismaster", "isMaster", "endSessions"):
            self.commands.append(command)

    @staticmethod
    def _answer(command: str) -> dict[str, Any]:
        if command in ("find", "aggregate"):
            return {"ok": 1, "cursor": {"id": 0, "ns": "app.notes", "firstBatch": []}}
        return {
            "ok": 1,
            "n": 1,
            "isWritablePrimary": True,
            "maxWireVersion": 21,
            "minWireVersion": 0,
            "maxBsonObjectSize": 2**24,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "compression": ["zlib"],
            "readOnly": False,
        }


@pytest.fixture
def documents() -> Iterator[Documents]:
    """Such a server."""
    server = Documents()
    yield server
    server.stop()


INSERTS: dict[str, Callable[[Any, str], Any]] = {
    "insert one": lambda c, text: c.insert_one({"q": text}),
    "insert many": lambda c, text: c.insert_many([{"q": "a"}, {"q": [text]}]),
    "update": lambda c, text: c.update_one({"_id": 1}, {"$set": {"q": text}}),
    "replace": lambda c, text: c.replace_one({"_id": 1}, {"q": text}),
    "filter of an upsert": lambda c, text: c.update_one(
        {"q": text}, {"$inc": {"n": 1}}, upsert=True
    ),
    "bulk": lambda c, text: c.bulk_write([pymongo.InsertOne({"q": text})]),
    "key": lambda c, text: c.insert_one({text: 1}),
    "found and changed": lambda c, text: c.find_one_and_update({}, {"$set": {"q": text}}),
    "aggregation with a target": lambda c, text: list(
        c.aggregate([{"$addFields": {"q": text}}, {"$out": "copies"}])
    ),
}


@pytest.mark.parametrize("compressors", ["", "zlib"])
@pytest.mark.parametrize("way", INSERTS)
def test_mongodb_writes_no_content(
    way: str, compressors: str, documents: Documents, scene: Scene
) -> None:
    """Documents are judged as they are sent, compressed ones as well; no retry, no renaming."""
    options: Any = {"compressors": compressors} if compressors else {}
    with pymongo.MongoClient[Any](f"mongodb://127.0.0.1:{documents.port}", **options) as client:
        notes = client.app.notes
        with scene.exchange():
            with pytest.raises(RetentionViolation, match="does not name") as caught:
                INSERTS[way](notes, scene.content)
            assert caught.value.__cause__ is caught.value.__context__ is None
            assert documents.commands == []
            notes.find_one({"q": scene.content})
            INSERTS[way](notes, "words of its own")
        with scene.exchange(stores=[f"mongodb://127.0.0.1:{documents.port}/app"]):
            INSERTS[way](notes, scene.content)
    assert len(documents.commands) == 3
    assert scene.counted.counts() == {"store.refused": 1}


def test_mongodb_async_writes_no_content(documents: Documents, scene: Scene) -> None:
    """The asyncio client sends through a class of its own."""

    async def work() -> None:
        address = f"mongodb://127.0.0.1:{documents.port}"
        async with pymongo.AsyncMongoClient[Any](address) as client:
            with pytest.raises(RetentionViolation):
                await client.app.notes.insert_one({"q": scene.content})
            with pytest.raises(RetentionViolation):
                await client.app.notes.insert_many([{"q": scene.content}])
            await client.app.notes.insert_one({"q": "words of its own"})

    with scene.exchange():
        asyncio.run(work())
    assert documents.commands == ["insert"]


def brokers() -> dict[str, str]:
    """Return the brokers that are there, by kind."""
    found = {"memory": "memory://", "redis": redis_url()}
    given = os.environ.get("ZERORET_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")
    address = urlsplit(given)
    try:
        socket.create_connection((address.hostname or "", address.port or 5672), 1).close()
        with kombu.Connection(given) as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except OSError:
        return found
    return found | {"amqp": given}


@pytest.mark.parametrize("kind", ["memory", "redis", "amqp"])
def test_celery_queues_no_content(kind: str, scene: Scene) -> None:
    """A task's arguments, its headers and its retries, whatever the broker and the coding."""
    found = brokers()
    if kind not in found:
        if os.environ.get("ZERORET_REQUIRE_SERVICES") == "1":
            pytest.fail("no RabbitMQ: set ZERORET_AMQP_URL")
        pytest.skip("no RabbitMQ: ZERORET_AMQP_URL is not set, and nothing answers on 5672")
    app = celery.Celery("tests", broker=found[kind], set_as_current=False)
    app.conf.task_default_queue = "zeroret-tests"

    @app.task(name="note")  # type: ignore[untyped-decorator] # as above
    def note(text: str) -> None:
        """Do nothing."""

    ways: list[Callable[[str], Any]] = [
        note.delay,
        lambda text: note.apply_async((text,), compression="gzip"),
        lambda text: note.apply_async((text,), serializer="pickle"),
        lambda text: note.apply_async(("a",), headers={"q": text}),
        lambda text: app.send_task("note", kwargs={"text": [text]}),
        lambda text: celery.chain(note.si(text), note.si("a"), app=app).delay(),
    ]
    with scene.exchange():
        for way in ways:
            with pytest.raises(RetentionViolation, match="does not name") as caught:
                way(scene.content)
            assert caught.value.__cause__ is caught.value.__context__ is None
        note.delay("words of its own")
    with scene.exchange(stores=[found[kind]]):
        note.delay(scene.content)
    assert scene.counted.counts() == {"store.refused": len(ways)}
    with app.connection_for_write() as connection:
        queue = kombu.Queue("zeroret-tests", channel=connection)
        queue.declare()
        messages = [queue.get(no_ack=True) for _ in range(3)]
        assert [message is None for message in messages] == [False, False, True]
        queue.delete()
    app.close()


def test_nats_publishes_no_content(scene: Scene) -> None:
    """Messages, requests and JetStream's own are judged alike."""

    async def work() -> None:
        client = await nats.connect(nats_url())
        stream = client.jetstream()
        text = scene.content.encode()
        with scene.exchange():
            ways: list[Callable[[], Any]] = [
                lambda: client.publish("zeroret.notes", text),
                lambda: client.publish("zeroret." + scene.content.replace(" ", "-")),
                lambda: client.publish("zeroret.notes", b"", headers={"q": scene.content}),
                lambda: client.request("zeroret.notes", text, timeout=1),
                lambda: stream.publish("zeroret.notes", text, timeout=1),
            ]
            for bad in ways:
                with pytest.raises(RetentionViolation):
                    await bad()
            await client.publish("zeroret.notes", b"words of its own")
        with scene.exchange(stores=[nats_url()]):
            await client.publish("zeroret.notes", text)
        await client.close()

    asyncio.run(work())
    assert scene.counted.counts() == {"store.refused": 5}


def test_report_mode_passes_everything(cache: redis.Redis, scene: Scene) -> None:
    """Where only reports are asked for, everything is written and counted."""
    with scene.exchange(enforce=False):
        cache.set("a", scene.content)
    assert cache.get("a") == scene.content.encode()
    assert scene.counted.counts() == {"store.reported": 1}


def test_it_leaves_no_trace() -> None:
    """After the last uninstall the libraries are as they were."""
    stores.uninstall()
    for owner, name in (
        (redis.connection.AbstractConnection, "send_command"),
        (kombu.Producer, "publish"),
        (celery.Celery, "send_task"),
        (nats.aio.client.Client, "publish"),
        (pymongo.synchronous.pool.Connection, "send_message"),
    ):
        assert not hasattr(getattr(owner, name), "__wrapped__")
    stores.install()
