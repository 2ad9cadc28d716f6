"""What every test may use: a runtime in memory, async libraries, recorded exchanges."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import pytest
from hypothesis import settings

from zeroret import ZeroRetention, testing
from zeroret.content.flight import LAST
from zeroret.content.live import LIVE
from zeroret.usage import aside
from zeroret.usage.record import UsageRecord

ROOT: Final = Path(__file__).parents[1]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long suites out unless they are asked for."""
    if os.environ.get("ZERORET_LONG") == "1":
        return
    skip = pytest.mark.skip(reason="takes minutes; set ZERORET_LONG=1 to run it")
    for item in items:
        if item.get_closest_marker("long") is not None:
            item.add_marker(skip)


@pytest.fixture
def runtime() -> Iterator[ZeroRetention]:
    """Give a runtime in memory under ``usage-only``, and leave the interpreter as it was."""
    with testing.memory_runtime() as started:
        yield started


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run an async test under asyncio and under trio."""
    return str(request.param)


@pytest.fixture(scope="session")
def exchanges_file() -> Path:
    """Give the file of recorded provider exchanges, where it is there."""
    path = Path(os.environ.get("ZERORET_EXCHANGES", ROOT.parent / "shared/data/exchanges.jsonl.gz"))
    if not path.exists():
        pytest.skip(f"no recorded exchanges: set ZERORET_EXCHANGES ({path.name} is not there)")
    return path


def pytest_collection_finish() -> None:
    """Leave what was imported out of what the collector lists: guards look through all of that."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def every_object() -> Iterator[None]:
    """The collector lists all objects, not only those that tests have made."""
    gc.unfreeze()
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """What earlier tests had in flight is over, and not remembered in this context."""
    aside.settle(60)  # `flush` waits for every count of the process
    for each in LIVE.flights():
        LIVE.leave(each, 0)
    token = LAST.set(None)
    yield
    with contextlib.suppress(ValueError):  # an asynchronous test has a context of its own
        LAST.reset(token)


class Server:
    """A server that was started as a program: its port, its output, its usage so far."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, output: Path) -> None:
        self.process = process
        self.port = port
        self._output = output

    @property
    def output(self) -> str:
        """Everything that the server and its children have printed so far."""
        return self._output.read_text(errors="replace")

    def wait_until_listening(self) -> None:
        """Wait until something accepts connections on the port."""
        for _ in range(600):
            assert self.process.poll() is None, f"the server ended by itself:\n{self.output}"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        raise TimeoutError(f"nothing listens:\n{self.output}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the server and wait for its end."""
        self.process.send_signal(number)
        self.process.wait(20)

    def kill(self) -> None:
        """Kill the server and every child it has left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class StartServer(Protocol):
    """Starts a server."""

    def __call__(self, *command: str, folder: Path, **environ: str) -> Server:
        """Run ``python *command`` in *folder*, ``{port}`` filled in and ``$PORT`` set."""


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Give a function that starts servers; whatever is left of them is killed in the end."""
    started: list[Server] = []

    def start(*command: str, folder: Path, **environ: str) -> Server:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        path = folder / f"output-{len(started)}.txt"
        variables = {**os.environ, "PYTHONUNBUFFERED": "1", "PORT": str(port), **environ}
        with path.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *(part.format(port=port) for part in command)],
                cwd=folder,
                env=variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = Server(process, port, path)
        started.append(server)
        server.wait_until_listening()
        return server

    yield start
    for server in started:
        server.kill()


class UsageRows(Protocol):
    """Reads usage rows."""

    def __call__(self, database: Path, count: int) -> list[dict[str, Any]]:
        """Return the rows of *database* once there are *count*, the oldest first."""


@pytest.fixture(scope="session")
def usage_rows() -> UsageRows:
    """Give a function that waits until a server has delivered its records."""

    def wait(database: Path, count: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for _ in range(200):
            with contextlib.suppress(sqlite3.OperationalError):
                address = f"file:{database}?mode=ro"
                with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
                    connection.row_factory = sqlite3.Row
                    rows = [dict(row) for row in connection.execute("SELECT * FROM usage")]
                if len(rows) >= count:
                    # An id knows the millisecond; two requests may be closer than that.
                    return sorted(rows, key=lambda row: (row.get("started_at", ""), row["id"]))
            time.sleep(0.1)
        raise TimeoutError(f"{len(rows)} of {count} records were delivered: {rows}")

    return wait


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell: programs of the tests must not inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Two busy cores make single examples slow: what is slow is found by benchmarks, not by a deadline.
settings.register_profile("zeroret", deadline=None)
settings.load_profile("zeroret")


@pytest.fixture
def make() -> Callable[..., UsageRecord]:
    """Give ``make(number, **columns)``: a complete record with that number as its id."""

    def record(number: int, **columns: Any) -> UsageRecord:
        values: dict[str, Any] = {
            "id": str(UUID(int=number)),
            "policy": "usage-only@000000000000",
            "usage_source": "reported",
            "started_at": datetime(2025, 1, 31, 9, 30, tzinfo=UTC),
            "duration": 1.5,
            "account": "a",
            "input_tokens": number,
            "outcome": "completed",
        }
        return UsageRecord(**(values | columns))

    return record
