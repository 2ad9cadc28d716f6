"""A server whose application prints, warns and fails: what it wrote holds no word of a prompt."""

from __future__ import annotations

import secrets
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

APPS: Final = str(Path(__file__).parents[1] / "servers")
UVICORN: Final = ("-m", "uvicorn", "--app-dir", APPS, "--port", "{port}", "printing_app:asgi")
GUNICORN: Final = (
    *("-m", "gunicorn", "--chdir", APPS, "-b", "127.0.0.1:{port}"),
    *("--access-logfile", "-", "printing_app:wsgi"),
)
WSGIREF: Final = f"""
import sys
sys.path.insert(0, {APPS!r})
from printing_app import wsgi
from wsgiref.simple_server import make_server
make_server("127.0.0.1", {{port}}, wsgi).serve_forever()
"""
SERVERS: Final = {
    "uvicorn": (*UVICORN, "--loop", "asyncio"),
    "uvicorn uvloop": (*UVICORN, "--loop", "uvloop"),
    "gunicorn": (*GUNICORN, "--preload"),
    "gunicorn threads": (*GUNICORN, "-k", "gthread", "--capture-output", "--error-logfile", "-"),
    "wsgiref": ("-c", WSGIREF),
}


def post(port: int, path: str, text: str) -> int:
    """Return the status of a request that carries *text*."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", text.encode())
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def talk(port: int, text: str) -> None:
    """Send *text* over a websocket, until the application fails."""
    with connect(f"ws://127.0.0.1:{port}/talk") as socket:
        socket.send(text)
        with pytest.raises(ConnectionClosed):
            socket.recv()


@pytest.mark.parametrize("buffered", ["1", ""])
@pytest.mark.parametrize("name", SERVERS)
def test_no_word_is_printed(name: str, buffered: str, start_server: Any, tmp_path: Path) -> None:
    """Now, behind the reply, and when the grace is over; the rest stays readable."""
    words = [secrets.token_hex(6) for _ in range(5)]
    text = " ".join(words)
    server = start_server(*SERVERS[name], folder=tmp_path, PYTHONUNBUFFERED=buffered)
    assert post(server.port, "/", text) == 200
    if name.startswith("uvicorn"):
        talk(server.port, text)
    else:
        assert post(server.port, f"/fail?{words[0]}", text) == 500
    time.sleep(1)
    server.stop(signal.SIGINT)
    output = server.output
    assert "the application is loaded 1" in output
    assert output.count("answered in 12.5 ms") == (1 if name.startswith("uvicorn") else 2)
    assert "asked [withheld" in output
    assert "LookupError: [withheld]" in output
    assert "UserWarning: [withheld" in output
    assert [word for word in words if word in output] == []
