"""Careless apps under real servers: no canary in any output, no exchange without its one record."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from zeroret import ZeroRetention

HERE: Final = Path(__file__).with_name("servers")
CANARY: Final = "cnry"
PROMPT: Final = "cnry-prompt was told about the cnry-illness of a cnry-friend"
RAISING: Final = next(
    number
    for number, line in enumerate((HERE / "careless.py").read_text().splitlines(), 1)
    if "traceback must lead to" in line
)

UVICORN: Final = ("-m", "uvicorn", "--app-dir", str(HERE), "--port", "{port}", "fastapi_app:app")
GUNICORN: Final = ("-m", "gunicorn", "--chdir", str(HERE), "-b", "127.0.0.1:{port}",
                   "--access-logfile", "-", "--graceful-timeout", "2")  # fmt: skip
GRANIAN: Final = ("-m", "granian", "--host", "127.0.0.1", "--port", "{port}", "--working-dir",
                  str(HERE), "--access-log", "--respawn-failed-workers",
                  "--workers-kill-timeout", "3")  # fmt: skip
UWSGI: Final = ("-c", "import pyuwsgi, sys; pyuwsgi.run(sys.argv[1:])", "--master", "--need-app",
                "--http-socket", "127.0.0.1:{port}", "--chdir", str(HERE), "--module",
                "flask_app:app", "--enable-threads", "--die-on-term", "--disable-logging",
                "--ignore-sigpipe", "--ignore-write-errors",
                "--worker-reload-mercy", "3")  # fmt: skip
SERVERS: Final = {
    "uvicorn httptools": (*UVICORN, "--http", "httptools", "--workers", "1"),
    "uvicorn h11": (*UVICORN, "--http", "h11"),
    "uvicorn 2 workers": (*UVICORN, "--workers", "2"),
    "gunicorn sync": (*GUNICORN, "flask_app:app"),
    "gunicorn threads": (*GUNICORN, "--threads", "4", "flask_app:app"),
    "gunicorn preload": (*GUNICORN, "--preload", "-w", "2", "flask_app:app"),
    "gunicorn asgi": (*GUNICORN, "-k", "asgi", "fastapi_app:app"),
    "gunicorn asgi preload": (*GUNICORN, "-k", "asgi", "--preload", "-w", "2", "fastapi_app:app"),
    "granian asgi": (*GRANIAN, "--interface", "asgi", "fastapi_app:app"),
    "granian wsgi": (*GRANIAN, "--interface", "wsgi", "--workers", "2", "flask_app:app"),
    "uwsgi": (*UWSGI, "--processes", "2"),
    "uwsgi threads": (*UWSGI, "--processes", "1", "--threads", "4"),
    "uwsgi lazy": (*UWSGI, "--processes", "2", "--lazy-apps"),
}


class Client:
    """Calls a server with canaries in every place; each call has an account of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.accounts: list[str] = []

    def head(self, path: str, body: bytes) -> bytes:
        """Return a request's bytes."""
        self.accounts.append(f"account-{len(self.accounts)}")
        lines = [
            f"POST {path} HTTP/1.1", "Host: t", "Connection: close", f"Content-Length: {len(body)}",
            "Content-Type: application/json", "User-Agent: cnry-agent/1.0", "Referer: cnry-referer",
            "X-Note: cnry-header", f"Authorization: Bearer cnry-{self.accounts[-1]}",
            "X-Request-ID: cnry-id", "X-Forwarded-For: cnry-address", "", "",
        ]  # fmt: skip
        return "\r\n".join(lines).encode() + body

    def open(self, path: str, body: str = PROMPT) -> socket.socket:
        """Send a call and return its connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(self.head(path, body.encode()))
        return connection

    def call(self, path: str, body: str = PROMPT) -> tuple[int, bytes]:
        """Make a whole call; return status and body."""
        with self.open(path, body) as connection:
            reply = b""
            while part := connection.recv(65536):
                reply += part
        return int(reply.split()[1]), reply.partition(b"\r\n\r\n")[2]

    def hang_up(self, path: str) -> None:
        """Leave a stream after its first event."""
        with self.open(path) as connection:
            while b"data: cnry" not in connection.recv(65536):
                pass


def one_of_each(client: Client, *, validates: bool) -> Counter[tuple[str, int | None, str]]:
    """Make a call of every kind; return route, status and outcome that the records must show."""
    expected: Counter[tuple[str, int | None, str]] = Counter()
    parameter = "<user>" if not validates else "{user}"
    for _ in range(4):
        status, body = client.call("/chat/cnry-path?q=cnry-query")
        assert (status, json.loads(body)["echo"]) == (200, PROMPT)
        expected[(f"/chat/{parameter}", 200, "completed")] += 1
    assert client.call("/crash/cnry-path?q=cnry-query")[0] == 500
    expected[(f"/crash/{parameter}", 500, "error")] += 1
    assert client.call("/cnry-nothing/cnry-path")[0] == 404
    expected[("other", 404, "rejected")] += 1
    if validates:
        status, body = client.call("/order/cnry-path", json.dumps({"count": PROMPT}))
        assert (status, PROMPT.encode() in body) == (422, True)
        expected[("/order/{user}", 422, "rejected")] += 1
    client.hang_up("/stream/cnry-path")
    expected[(f"/stream/{parameter}", 200, "aborted")] += 1
    assert client.call("/break/cnry-path?q=cnry-query")[0] == 200
    expected[(f"/break/{parameter}", 200, "error")] += 1
    return expected


def lines_with(output: str, needle: str) -> str:
    """Return the lines around *needle*, for a failure's message."""
    found = [line for line in output.splitlines() if needle in line]
    return "\n".join(found[:20])


def what_remains_is_of_use(name: str, output: str) -> None:
    """Access lines have routes, tracebacks have places, log calls their constant text."""
    assert "chat of " in output
    if not name.startswith("uwsgi"):  # which is told to print no access lines
        parameter = r"\{user\}" if "fastapi_app:app" in SERVERS[name] else "<user>"
        took = "" if name.startswith("granian") else r" [\d.]+ms"
        version = rf"HTTP/1\.1{took}"
        assert len(re.findall(rf'"POST /chat/{parameter} {version}" 200', output)) == 4, output
        assert re.search(rf'"POST /crash/{parameter} {version}" 500', output)
        assert re.search(rf'"POST - {version}" 404', output)
    if not name.startswith("granian"):  # whose own code makes one text of each
        assert re.search(rf'careless\.py", line {RAISING}, in fail', output)
        assert "ValueError" in output


@pytest.mark.parametrize("name", SERVERS)
def test_no_canary_comes_out(name: str, start_server: Any, usage_rows: Any, tmp_path: Path) -> None:
    """Output names routes, statuses, times and places; records are one each; content is nowhere."""
    database = tmp_path / "usage.db"
    server = start_server(*SERVERS[name], folder=tmp_path, USAGE_SINK=f"sqlite:///{database}")
    client = Client(server.port)
    expected = one_of_each(client, validates="fastapi_app:app" in SERVERS[name])
    time.sleep(0.6)  # the late records of the apps come after 0.3
    rows = usage_rows(database, len(client.accounts))
    server.stop()
    output = server.output
    assert CANARY not in output, lines_with(output, CANARY)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert CANARY.encode() not in file.read_bytes(), file.name
    what_remains_is_of_use(name, output)
    # One record for every exchange, none twice.
    assert Counter((row["route"], row["status"], row["outcome"]) for row in rows) == expected
    assert sorted(row["account"] for row in rows) == sorted(client.accounts)
    crashed = [row["error_type"] for row in rows if row["outcome"] == "error"]
    assert crashed == ["ValueError"] * 2


@pytest.mark.parametrize("name", ["uvicorn httptools", "gunicorn sync", "gunicorn asgi"])
def test_the_same_server_leaks_without_us(name: str, start_server: Any, tmp_path: Path) -> None:
    """Bare, the same calls print content of every kind: the search above can fail."""
    server = start_server(*SERVERS[name], folder=tmp_path, BARE="1", USAGE_SINK="")
    one_of_each(Client(server.port), validates="fastapi_app:app" in SERVERS[name])
    time.sleep(0.6)
    server.stop()
    for canary in ("prompt", "illness", "query", "path", "agent"):
        assert f"{CANARY}-{canary}" in server.output
    assert f"cannot read {PROMPT}" in server.output
    assert f"later: {PROMPT}" in server.output


def call_until_served(client: Client) -> None:
    """Make one call of a server that may be replacing its worker."""
    served = list(client.accounts)
    for _ in range(50):
        try:
            assert client.call("/chat/cnry-path")[0] == 200
        except (OSError, IndexError):  # nobody is there yet, or nobody answered
            client.accounts = list(served)
            time.sleep(0.2)
        else:
            return
    raise TimeoutError("no worker came back")


@pytest.mark.parametrize(
    "name",
    [
        "uvicorn httptools",
        "uvicorn 2 workers",
        "gunicorn preload",
        "gunicorn asgi",
        "granian asgi",
        "granian wsgi",
        "uwsgi",
        "uwsgi lazy",
    ],
)
def test_a_killed_worker_leaves_its_records(
    name: str, start_server: Any, usage_rows: Any, tmp_path: Path
) -> None:
    """What a killed worker was serving is recorded as killed, once, by whoever starts next."""
    database = tmp_path / "usage.db"
    sink = f"sqlite:///{database}"
    server = start_server(*SERVERS[name], folder=tmp_path, USAGE_SINK=sink)
    client = Client(server.port)
    assert client.call("/chat/cnry-path")[0] == 200
    with closing(client.open("/stream/cnry-path")) as stream:
        received = b""
        while (found := re.search(rb"data: (\d+)\n\n", received)) is None:
            received += stream.recv(65536)
        os.kill(int(found[1]), signal.SIGKILL)
        while stream.recv(65536):
            pass
    if name == "uvicorn httptools":
        server.process.wait(20)
        server = start_server(*SERVERS[name], folder=tmp_path, USAGE_SINK=sink)
    else:
        server.wait_until_listening()
    client.port = server.port
    call_until_served(client)
    server.stop()
    with ZeroRetention(sinks=[sink]) as heir:  # a surviving sibling would look each half minute
        assert heir.flush(20), heir.posture()["journal"]
    rows = usage_rows(database, len(client.accounts))
    assert [row["account"] for row in rows] == client.accounts
    assert [row["outcome"] for row in rows] == ["completed", "killed", "completed"]
    assert CANARY not in server.output


def test_a_runtime_that_cannot_start_stops_the_server(start_server: Any, tmp_path: Path) -> None:
    """Uvicorn ends with the sentence that says what to do, instead of answering 500 for ever."""
    journal = tmp_path / "usage.db.journal"
    journal.mkdir()
    journal.chmod(0o777)
    with pytest.raises(AssertionError, match="the server ended by itself") as caught:
        start_server(
            *SERVERS["uvicorn httptools"],
            folder=tmp_path,
            USAGE_SINK=f"sqlite:///{tmp_path / 'usage.db'}",
        )
    assert "chmod 700" in str(caught.value)


REFUSED: Final = (
    b"cnry-line garbage\r\n\r\n",
    b"GET /cnry-path HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\ncnry-header without a colon\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: t\r\ncnry@name: 1\r\n\r\n",
    b"POST /chat/x HTTP/1.1\r\nHost: t\r\nContent-Length: cnry\r\n\r\n",
    b"POST /chat/x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: cnry\r\n\r\n",
    b"POST /chat/x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\ncnryzz\r\nabc",
    b"GET /" + b"cnry" * 5000 + b" HTTP/1.1\r\nHost: t\r\n\r\n",
    b"GET /cnry-path HTTP/1.1\r\nHost: t\r\nExpect: cnry\r\n\r\n",
)
"""Requests that servers refuse, or hand on, before any application has been called."""


@pytest.mark.parametrize("bare", ["0", "1"])
@pytest.mark.parametrize("name", ["uvicorn h11", "gunicorn sync", "gunicorn preload"])
def test_a_refused_request_is_not_quoted(
    name: str, bare: str, start_server: Any, tmp_path: Path
) -> None:
    """What a server logs of a request that it does not hand on shows nothing; bare, it does."""
    sink = f"sqlite:///{tmp_path / 'usage.db'}"
    server = start_server(*SERVERS[name], folder=tmp_path, BARE=bare, USAGE_SINK=sink)
    for request in REFUSED:
        with socket.create_connection(("127.0.0.1", server.port), timeout=1) as connection:
            connection.sendall(request)
            with contextlib.suppress(OSError):  # some are not answered at all
                connection.recv(65536)
    server.stop()
    assert (CANARY in server.output) == (bare == "1"), lines_with(server.output, CANARY)
