"""The quick starts of the README, taken from its text and run under real servers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

README: Final = (Path(__file__).parents[1] / "README.md").read_text()
PROMPT: Final = "my diagnosis is a secret of mine"


def quick_start(framework: str) -> str:
    """Return the Python block under the heading of *framework*."""
    pattern = rf"^### {framework}$.*?^```python\n(.*?)^```$"
    found = re.search(pattern, README, re.MULTILINE | re.DOTALL)
    assert found is not None, f"the README has no quick start for {framework}"
    return found[1]


@contextlib.contextmanager
def serving(folder: Path, *command: str) -> Iterator[int]:
    """Run a server in *folder* with its output in ``output.txt``; give its port once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "output.txt").open("wb") as output:
        arguments = [sys.executable, "-m", *(part.format(port=port) for part in command)]
        environ = {**os.environ, "PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            arguments, cwd=folder, env=environ, stdout=output, stderr=output
        ) as server:
            try:
                wait_for(port, server)
                yield port
            finally:
                server.terminate()


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until something listens on *port*."""
    for _ in range(300):
        assert server.poll() is None, "the server ended by itself"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError("the server does not listen")


def ask(port: int, path: str, body: dict[str, Any]) -> int:
    """Post *body* and return the status."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def delivered(database: Path, count: int) -> list[tuple[Any, ...]]:
    """Wait until *count* rows were delivered; return them, oldest first."""
    for _ in range(100):
        with contextlib.suppress(sqlite3.OperationalError):
            with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as usage:
                rows = usage.execute(
                    "SELECT route, request_model, usage_source, status, outcome, error_type "
                    "FROM usage ORDER BY started_at"
                ).fetchall()
            if len(rows) >= count:
                return rows
        time.sleep(0.1)
    raise TimeoutError("the records were not delivered")


@pytest.mark.parametrize(
    ("framework", "command"),
    [
        ("FastAPI", ("uvicorn", "server:app", "--port", "{port}")),
        ("Flask", ("flask", "--app", "server", "run", "--port", "{port}")),
    ],
)
def test_the_quick_start_keeps_its_word(
    framework: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    """Three lines on an existing server: no prompt in its output, one usage row in its database."""
    (tmp_path / "server.py").write_text(quick_start(framework))
    message = {"role": "user", "content": PROMPT}
    with serving(tmp_path, *command) as port:
        body = {"model": "gpt-4o-mini", "messages": [message]}
        assert ask(port, f"/v1/chat/completions?q={PROMPT.split()[1]}", body) == 200
        assert ask(port, "/crash", body) == 500
        rows = delivered(tmp_path / "usage.db", 2)
    output = (tmp_path / "output.txt").read_text()
    assert "asked " in output, "the constant text of a log call stays"
    for word in ("diagnosis", PROMPT):
        assert word not in output
    chat, crash = rows
    assert chat[:2] == ("/v1/chat/completions", "gpt-4o-mini")
    assert chat[3:5] == (200, "completed")
    assert crash[0] == "/crash"
    assert crash[3:] == (500, "error", "ValueError")
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.suffix != ".py":
            assert b"diagnosis" not in file.read_bytes(), file.name
