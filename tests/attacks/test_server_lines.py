"""Servers write about requests that no exchange carries: refused heads, and their debug lines."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Final

import pytest

HERE: Final = Path(__file__).parent
SECRET: Final = b"cnry-7f3a"
KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="
SOCKET: Final = (
    b"GET /ws/%b?q=%b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nX-Note: %b\r\nSec-WebSocket-Key: " % (SECRET, SECRET, SECRET)
)
FRAME: Final = bytes([0x81, 0x80 | len(SECRET), 0, 0, 0, 0]) + SECRET

REQUESTS: Final = (
    b"GET /x?q=my %b secret HTTP/1.1\r\nHost: a\r\n\r\n" % SECRET,
    b"%b / HTTP/1.1\r\n\r\n" % SECRET,
    b"GET / HTTP/%b\r\n\r\n" % SECRET,
    b"GET / HTTP/1.1\r\nHost: a\r\nX %b: 1\r\n\r\n" % SECRET,
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\n\r\n" % SECRET,
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: %b\r\n\r\n" % SECRET,
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n\r\n" % SECRET,
    b"GET /%b HTTP/1.1\r\nHost: %b\r\nExpect: %b\r\nConnection: close\r\n\r\n" % ((SECRET,) * 3),
    b"GET http://%b:99999999/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % SECRET,
    SOCKET + KEY + b"\r\n\r\n" + FRAME,
    SOCKET + SECRET + b"\r\n\r\n",
)
UVICORN: Final = ("-m", "uvicorn", "--app-dir", str(HERE), "--port", "{port}")
GUNICORN: Final = ("-m", "gunicorn", "--chdir", str(HERE), "-b", "127.0.0.1:{port}")
_IN_FOLDER: Final = f"import sys; sys.path.insert(0, {str(HERE)!r}); "
_HYPERCORN: Final = _IN_FOLDER + "from hypercorn.__main__ import main; sys.exit(main())"
_GRANIAN: Final = _IN_FOLDER + "from granian.cli import entrypoint; entrypoint()"
HYPERCORN: Final = ("-c", _HYPERCORN, "--access-logfile", "-", "-b", "127.0.0.1:{port}")
GRANIAN: Final = ("-c", _GRANIAN, "--access-log", "--log-level", "debug", "--port", "{port}")
SERVERS: Final = {
    "uvicorn h11": (*UVICORN, "--http", "h11", "--log-level", "trace", "app_for_servers:asgi"),
    "uvicorn httptools": (*UVICORN, "--http", "httptools", "app_for_servers:asgi"),
    "gunicorn": (*GUNICORN, "app_for_servers:wsgi"),
    "hypercorn": (*HYPERCORN, "--log-level", "debug", "app_for_servers:asgi"),
    "granian": (*GRANIAN, "--interface", "asgi", "app_for_servers:asgi"),
    "granian wsgi": (*GRANIAN, "--interface", "wsgi", "app_for_servers:wsgi"),
    "gunicorn threads": (
        *GUNICORN,
        "-k",
        "gthread",
        "--log-level",
        "debug",
        "app_for_servers:wsgi",
    ),
}


def ask(port: int, request: bytes) -> bytes:
    """Send *request* and return what comes until nothing comes any more."""
    reply = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        connection.settimeout(0.3)
        try:
            while part := connection.recv(65536):
                reply += part
        except OSError:
            pass
    return reply


@pytest.mark.parametrize("name", SERVERS)
def test_a_head_that_is_refused_is_not_quoted(name: str, start_server: Any, tmp_path: Path) -> None:
    """Malformed heads, before the first good request and after it: no line holds any of them."""
    server = start_server(*SERVERS[name], folder=tmp_path)
    replies = [ask(server.port, request) for request in REQUESTS * 2]
    server.stop()
    assert any(b" 400 " in reply for reply in replies)
    assert any(b"fine" in reply for reply in replies)
    assert server.output
    assert SECRET.decode() not in server.output
