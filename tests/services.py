"""The servers that tests need: by their variable, on the standard port, or started here.

A test whose server is nowhere to be had is skipped with the reason, or fails if
``ZERORET_REQUIRE_SERVICES=1``.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final, NoReturn

import pytest

_PATIENCE: Final = 30.0
_POSTGRES_BINARIES: Final = "/usr/lib/postgresql/*/bin"


@cache
def postgres_url() -> str:
    """Return the URL of a PostgreSQL database in which tests may do as they like."""
    given = os.environ.get("ZERORET_POSTGRES_URL")
    if given:
        return given
    if _answers(5432):
        return "postgresql://postgres@127.0.0.1:5432/postgres"
    found = sorted(Path("/").glob(_POSTGRES_BINARIES.lstrip("/")))
    if not found:
        _missing("PostgreSQL", "ZERORET_POSTGRES_URL", 5432)
    server = OwnPostgres(found[-1])
    server.start()
    atexit.register(server.crash)
    return server.url


@cache
def redis_url() -> str:
    """Return the URL of a Redis server."""
    given = os.environ.get("ZERORET_REDIS_URL")
    if given:
        return given
    if _answers(6379):
        return "redis://127.0.0.1:6379/9"
    program = shutil.which("redis-server")
    if program is None:
        _missing("Redis", "ZERORET_REDIS_URL", 6379)
    port, folder = free_port(), _folder()
    _run([program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""], port)
    return f"redis://127.0.0.1:{port}/9"


@cache
def nats_url() -> str:
    """Return the URL of a NATS server with JetStream."""
    given = os.environ.get("ZERORET_NATS_URL")
    if given:
        return given
    if _answers(4222):
        return "nats://127.0.0.1:4222"
    program = shutil.which("nats-server") or shutil.which("/usr/sbin/nats-server")
    if program is None:
        _missing("NATS", "ZERORET_NATS_URL", 4222)
    port = free_port()
    _run([program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", _folder()], port)
    return f"nats://127.0.0.1:{port}"


class OwnPostgres:
    """A PostgreSQL server of a test's own, which it may stop and crash."""

    def __init__(self, binaries: Path) -> None:
        # Not in one of pytest's folders: they are private, and the server is another user's.
        folder = Path(_folder())
        folder.chmod(0o711)
        folder /= "server"
        self._binaries = binaries
        self._folder = folder
        self._port = free_port()
        self._as_user: list[str] = []
        folder.mkdir(mode=0o755)
        if os.geteuid() == 0:  # the server refuses root
            shutil.chown(folder, "nobody")
            self._as_user = ["setpriv", "--reuid=nobody", "--clear-groups"]
        self._run("initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-N")
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start the server, and wait for it."""
        options = f"-p {self._port} -h 127.0.0.1 -k {self._folder}"
        self._control("start", "-w", "-o", options, "-l", f"{self._folder}/log")

    def stop(self) -> None:
        """Stop the server in order."""
        self._control("stop", "-m", "fast", "-w")

    def crash(self) -> None:
        """Kill the server: its transactions in progress are undone at the next start."""
        self._control("stop", "-m", "immediate", "-w")

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", f"{self._folder}/data", *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        said = self._folder / "said"
        with said.open("wb") as file:  # a pipe would be held open by the server itself
            done = subprocess.run(
                [*self._as_user, str(self._binaries / program), *arguments],
                check=False,
                stdout=file,
                stderr=file,
                cwd=self._folder,
            )
        assert done.returncode == 0, f"{program} failed: {said.read_text()}"


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """Give a running PostgreSQL server of the test's own."""
    found = sorted(Path("/").glob(_POSTGRES_BINARIES.lstrip("/")))
    if not found:
        _unavailable("PostgreSQL's programs are not installed: this test starts its own server")
    server = OwnPostgres(found[-1])
    server.start()
    try:
        yield server
    finally:
        with suppress(AssertionError):  # it may be down already
            server.crash()


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _missing(name: str, variable: str, port: int) -> NoReturn:
    reason = (
        f"no {name}: {variable} is not set, nothing answers on 127.0.0.1:{port}, "
        "and its program is not installed"
    )
    _unavailable(reason)


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("ZERORET_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _folder() -> str:
    folder = tempfile.mkdtemp(prefix="zeroret-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _run(command: list[str], port: int) -> None:
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(server.kill)
    deadline = time.monotonic() + _PATIENCE
    while not _answers(port):
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{command[0]} did not start")
        time.sleep(0.05)
