"""Trouble under load: a store that is down, a full disk, a restarted one, two hosts, a fork."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from kill.cluster import Truth, Worker, end, load, recovered, start
from services import free_port, own_postgres, postgres_url

STREAMS = 100


@pytest.fixture
def schema() -> Iterator[str]:
    """Give the URI of an empty schema in the tests' PostgreSQL."""
    import psycopg

    name = f"t_{uuid.uuid4().hex[:12]}"
    yield f"{postgres_url()}?zeroret_schema={name}"
    with psycopg.connect(postgres_url(), autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


def later(seconds: float, act: object) -> threading.Thread:
    """Call *act* after a while, in a thread."""

    def wait() -> None:
        time.sleep(seconds)
        act()  # type: ignore[operator] # a callable

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.long
def test_a_store_that_is_down_for_ten_seconds(tmp_path: Path) -> None:
    """Replies go on, and every record arrives once when the database is back; then kill -9."""
    with own_postgres() as database:
        sink = f"{database.url}?zeroret_schema=zeroret"
        truth = Truth()
        workers = [start(tmp_path, sink) for _ in range(4)]
        try:
            truth.seen += asyncio.run(load(workers, "up", streams=20, seconds=1))
            database.stop()
            back = later(10, database.start)
            truth.seen += asyncio.run(load(workers, "down", streams=STREAMS, seconds=12))
            back.join()
            assert all(one.whole for one in truth.seen), "a reply was hurt"
        finally:
            end(workers)
        truth.check(recovered(tmp_path, sink))
    print(f"\nstore down: {dict(truth.outcomes)}")  # noqa: T201 - the histogram is part of the evidence


@pytest.mark.long
def test_a_database_that_is_restarted_in_the_midst_of_batches(tmp_path: Path) -> None:
    """The server process of the database is killed again and again; nothing is lost or doubled."""
    with own_postgres() as database:
        sink = f"{database.url}?zeroret_schema=zeroret"
        truth = Truth()
        workers = [start(tmp_path, sink) for _ in range(4)]
        stop = threading.Event()

        def restart() -> None:
            while not stop.wait(0.7):
                database.crash()
                database.start()

        breaking = threading.Thread(target=restart)
        breaking.start()
        try:
            truth.seen += asyncio.run(load(workers, "r", streams=STREAMS, seconds=10))
        finally:
            stop.set()
            breaking.join()
            end(workers)
        assert all(one.whole for one in truth.seen), "a reply was hurt"
        truth.check(recovered(tmp_path, sink))
    print(f"\ndatabase restarted: {dict(truth.outcomes)}")  # noqa: T201 - as above


@contextlib.contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[None]:
    """Mount a file system of that size; skip where that is not allowed."""
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid():
        pytest.skip("mounting a small file system needs root")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(place)],
        check=False,
        capture_output=True,
    )
    if done.returncode:
        pytest.skip("this machine mounts no tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)  # noqa: S607 - the system's own


@pytest.mark.long
def test_a_full_disk(tmp_path: Path) -> None:
    """While the journal's disk is full, replies go on and records wait in memory; none is lost."""
    disk = tmp_path / "disk"
    with small_disk(disk, 8):
        sink = f"sqlite:///{tmp_path}/usage.db"
        truth = Truth()
        workers = [start(disk, sink) for _ in range(2)]
        try:
            truth.seen += asyncio.run(load(workers, "before", streams=20, seconds=1))
            ballast = disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb") as file:
                while True:
                    file.write(b"\0" * 4096)
            truth.seen += asyncio.run(load(workers, "full", streams=STREAMS, seconds=4))
            ballast.unlink()
            truth.seen += asyncio.run(load(workers, "after", streams=20, seconds=2))
            assert all(one.whole for one in truth.seen), "a reply was hurt"
            time.sleep(1)  # what waits in memory is delivered five times a second
        finally:
            end(workers)
        truth.check(recovered(disk, sink))
    print(f"\ndisk full: {dict(truth.outcomes)}")  # noqa: T201 - as above


FORKING = """
import os, sys, time
from pathlib import Path
import zeroret
from zeroret.sinks.sqlite import SqliteSink
from zeroret.usage.record import UsageRecord
from zeroret.usage.identity import format_id, new_id

def record(account):
    return UsageRecord(id=format_id(new_id(time.time())), policy="p@1", account=account,
                       outcome="completed")

children, parent = [], os.getpid()
write = SqliteSink.write

def forking(self, records):
    write(self, records)
    if os.getpid() == parent and len(children) < 4:
        child = os.fork()
        if not child:
            for number in range(50):
                zr.journal.append(record(f"c{os.getpid()}-{number}"))
            zr.flush(20)
            os._exit(0)
        children.append(child)

SqliteSink.write = forking
zr = zeroret.ZeroRetention(sinks=[f"sqlite:///{sys.argv[1]}/usage.db"]).start()
for number in range(2000):
    zr.journal.append(record(f"p-{number}"))
    if number % 100 == 0:
        time.sleep(0.05)
assert zr.flush(30)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
print(len(children))
"""


def test_a_fork_in_the_midst_of_delivery(tmp_path: Path) -> None:
    """Children that are forked by the delivery thread itself deliver their own, and only that."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    children = int(done.stdout)
    assert children
    import sqlite3

    connection = sqlite3.connect(tmp_path / "usage.db")
    rows = connection.execute("SELECT account FROM usage").fetchall()
    totals = connection.execute("SELECT sum(exchanges) FROM usage_hourly").fetchone()[0]
    connection.close()
    assert len(rows) == len(set(rows)) == 2000 + 50 * children
    assert totals in {None, len(rows)}


@contextlib.contextmanager
def host(name: str, number: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """Make a network namespace with a link to this machine; give its prefix and address."""
    ip = shutil.which("ip")
    if ip is None or os.geteuid():
        pytest.skip("network namespaces need root and iproute2")
    link, peer = f"zr{number}a", f"zr{number}b"
    here, there = f"10.213.{number}.1", f"10.213.{number}.2"
    commands = [
        ["netns", "add", name],
        ["link", "add", link, "type", "veth", "peer", "name", peer, "netns", name],
        ["addr", "add", f"{here}/24", "dev", link],
        ["link", "set", link, "up"],
        ["-n", name, "addr", "add", f"{there}/24", "dev", peer],
        ["-n", name, "link", "set", peer, "up"],
        ["-n", name, "link", "set", "lo", "up"],
    ]
    try:
        for command in commands:
            done = subprocess.run([ip, *command], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"this machine makes no network namespaces: {done.stderr.strip()}")
        yield (ip, "netns", "exec", name), here
    finally:
        subprocess.run([ip, "netns", "del", name], check=False, capture_output=True)
        subprocess.run([ip, "link", "del", link], check=False, capture_output=True)


def relay(address: str, target: int) -> tuple[int, threading.Thread]:
    """Pass connections to *address* on to PostgreSQL's port of loopback."""
    port = free_port()
    ready = threading.Event()

    async def serve() -> None:
        async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
            writer.close()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            onward, back = await asyncio.open_connection("127.0.0.1", target)
            await asyncio.gather(pump(reader, back), pump(onward, writer))

        server = await asyncio.start_server(connected, address, port)
        ready.set()
        await server.serve_forever()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    return port, thread


@pytest.mark.long
def test_two_hosts_write_to_one_database(tmp_path: Path, schema: str) -> None:
    """Workers of two machines, each with a journal of its own, share the tables; one host dies."""
    target = int(schema.partition("@")[2].partition("/")[0].partition(":")[2] or 5432)
    truth = Truth()
    with host("zr-one", 1) as (first, one), host("zr-two", 2) as (second, two):
        workers: list[Worker] = []
        try:
            for prefix, address, number in ((first, one, 1), (second, two, 2)):
                port, _ = relay(address, target)
                folder = tmp_path / str(number)
                folder.mkdir()
                # Another machine's database needs TLS: to these hosts a tunnel makes it local.
                tunnel = subprocess.Popen(
                    [*prefix, sys.executable, "-c", TUNNEL, str(target), address, str(port)]
                )
                workers.append(Worker(tunnel, 0))  # type: ignore[arg-type] # killed with the others
                there = f"10.213.{number}.2"
                worker = start(folder, schema, host=there, prefix=prefix)
                workers.append(worker)
            servers = [worker for worker in workers if worker.port]
            later(4, servers[0].process.kill)
            truth.seen += asyncio.run(load(servers, "h", streams=STREAMS, seconds=6))
        finally:
            end(workers)
        for number in (1, 2):
            rows = recovered(tmp_path / str(number), schema)
        truth.check(rows)
    print(f"\ntwo hosts: {dict(truth.outcomes)}")  # noqa: T201 - as above


TUNNEL = """
import asyncio, sys

async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()

async def connected(reader, writer):
    onward, back = await asyncio.open_connection(sys.argv[2], int(sys.argv[3]))
    await asyncio.gather(pump(reader, back), pump(onward, writer))

async def main():
    server = await asyncio.start_server(connected, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
"""
