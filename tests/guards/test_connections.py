"""Connections: what opens one past every guarded library is counted, with its place, and passes."""

from __future__ import annotations

import asyncio
import ftplib
import http.client
import logging
import logging.handlers
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, suppress
from typing import TypeAlias

import anyio
import httpx
import pytest
import trio

from zeroret.content.boundary import Boundary
from zeroret.content.flight import Flight
from zeroret.guards import audit, connections, violations

Within: TypeAlias = Callable[..., AbstractContextManager[Flight]]
Without: TypeAlias = Callable[[], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def guarded() -> Iterator[None]:
    """Install the guard for one test."""
    connections.install()
    yield
    connections.uninstall()


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> violations.Violations:
    """Give this test a count of its own."""
    own = violations.Violations()
    monkeypatch.setattr(violations, "VIOLATIONS", own)
    return own


@pytest.fixture
def port() -> Iterator[int]:
    """Give a port where somebody takes connections and closes them at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    server.accept()[0].close()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


async def by_asyncio(port: int) -> None:
    """Open a stream by the running loop."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def by_ftp(port: int) -> None:
    """Try to transfer a file."""
    with ftplib.FTP() as client, suppress(EOFError, OSError):  # noqa: S321 - what nobody guards
        client.connect("127.0.0.1", port)


OPENED: dict[str, Callable[[int], object]] = {
    "socket": lambda port: socket.create_connection(("127.0.0.1", port)).close(),
    "ftplib": by_ftp,
    "asyncio": lambda port: asyncio.run(by_asyncio(port)),
}


@pytest.mark.parametrize("name", OPENED)
def test_a_connection_of_nobodys_library_is_counted(
    name: str, port: int, within: Within, without: Without, counts: violations.Violations
) -> None:
    """Inside an exchange alone, with the place that asked for it."""
    with within():
        OPENED[name](port)
        with without():
            OPENED[name](port)
    assert counts.counts() == {"connect.reported": 1}
    assert counts.places()[0]["place"].startswith("test_connections.py:")


def ask(port: int) -> None:
    """Ask by the standard library's client."""
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", "/")


async def ask_by_httpx(port: int) -> None:
    """Ask by httpx, over whichever loop runs."""
    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{port}/")


GUARDED: dict[str, Callable[[int], object]] = {
    "http.client": ask,
    "httpx": lambda port: httpx.get(f"http://127.0.0.1:{port}/"),
    "httpx asyncio": lambda port: asyncio.run(ask_by_httpx(port)),
    "httpx trio": lambda port: trio.run(ask_by_httpx, port),
    "httpx anyio": lambda port: anyio.run(ask_by_httpx, port),
}


@pytest.mark.parametrize("name", GUARDED)
def test_the_guarded_libraries_count_for_themselves(
    name: str, port: int, within: Within, counts: violations.Violations
) -> None:
    """Their guard judges what they write, which says more."""
    with within(), suppress(httpx.HTTPError):
        GUARDED[name](port)
    assert counts.counts() == {}


def test_log_handlers_may_connect(port: int, within: Within, counts: violations.Violations) -> None:
    """Records are guarded before a handler sends them."""
    handler = logging.handlers.SocketHandler("127.0.0.1", port)
    with within():
        handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "a line", (), None))
    handler.close()
    assert counts.counts() == {}


def test_a_guard_that_fails_hurts_nobody(
    port: int, within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is only watched passes, whatever becomes of the watch."""

    def broken(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(connections, "_asking", broken)
    with within():
        OPENED["socket"](port)


def test_the_tier_is_watched() -> None:
    """Nothing is refused, in whatever mode; with our hook kept out nothing is seen."""
    assert connections.tiers(Boundary())["other connections"].grade == "watched"
    connections.uninstall()
    assert "socket.connect" not in audit._table[0]
    connections.install()
    program = """
import sys
def other(event, args):
    if event == "sys.addaudithook":
        raise RuntimeError
sys.addaudithook(other)
from zeroret.content.boundary import Boundary
from zeroret.guards import connections
print(connections.tiers(Boundary())["other connections"].grade)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout == "out of reach\n", done.stderr


def test_datagrams_and_lookups_that_quote_are_counted(
    within: Within, counts: violations.Violations
) -> None:
    """What needs no connection is told as well; a name that quotes nothing is no matter."""
    text = "words-of-a-prompt-of-a-client"
    with within(text.encode()):
        with suppress(OSError):
            socket.getaddrinfo("localhost", 80)
        assert counts.counts() == {}
        with suppress(OSError):
            socket.getaddrinfo(f"{text}.invalid", 80)
        assert counts.counts() == {"connect.reported": 1}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.sendto(b"x", ("127.0.0.1", 9))
        assert counts.counts() == {"connect.reported": 2}
