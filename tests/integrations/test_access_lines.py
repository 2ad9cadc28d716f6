"""The access lines of every server: method, route template, status and time; nothing else.

Each server is started as its users start it, with its default format and with one that asks for all
it can show.
"""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from typing import Any, Final

import pytest

HERE: Final = Path(__file__).parents[1] / "servers"
FOLDER: Final = str(HERE)
GUNICORN: Final = ("-m", "gunicorn", "--chdir", FOLDER, "-b", "127.0.0.1:{port}",
                   "--access-logfile", "-", "--graceful-timeout", "1")  # fmt: skip
_IN_FOLDER: Final = f"import sys; sys.path.insert(0, {FOLDER!r}); "
_HYPERCORN: Final = _IN_FOLDER + "from hypercorn.__main__ import main; sys.exit(main())"
HYPERCORN: Final = ("-c", _HYPERCORN, "--access-logfile", "-", "-b", "127.0.0.1:{port}")
_GRANIAN: Final = _IN_FOLDER + "from granian.cli import entrypoint; entrypoint()"
GRANIAN: Final = ("-c", _GRANIAN, "--access-log", "--port", "{port}")
UVICORN: Final = ("-m", "uvicorn", "--app-dir", FOLDER, "--port", "{port}")
ALL_GUNICORN: Final = (
    '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(m)s %(U)s %(q)s %(H)s %(B)s "%(f)s" "%(a)s" '
    "%(T)s %(D)s %(p)s %({{x-note}}i)s %({{x-note}}o)s %({{raw_uri}}e)s"
)
ALL_HYPERCORN: Final = (
    '%(h)s %(t)s "%(r)s" %(R)s %(s)s %(st)s %(S)s %(m)s %(U)s %(Uq)s %(q)s %(H)s %(b)s "%(f)s" '
    '"%(a)s" %(T)s %(D)s %(L)s %(p)s %({{x-note}}i)s %({{x-note}}o)s'
)
ALL_GRANIAN: Final = (
    '[%(time)s] %(addr)s "%(method)s %(path)s?%(query_string)s %(protocol)s" %(scheme)s '
    "%(status)d %(dt_ms).3f %(header{{x-note}})s"
)
DJANGO: Final = (f"{FOLDER}/access_app.py", "runserver", "127.0.0.1:{port}", "--noreload")
WERKZEUG: Final = ("-c", _IN_FOLDER + "from access_app import wsgi; wsgi.run(port={port})")

ASGI, WSGI = "/room/{name}", "/room/<name>"
SERVERS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "uvicorn h11": ((*UVICORN, "--http", "h11", "access_app:asgi"), ASGI),
    "uvicorn httptools": ((*UVICORN, "--http", "httptools", "access_app:asgi"), ASGI),
    "gunicorn sync": ((*GUNICORN, "access_app:wsgi"), WSGI),
    "gunicorn sync, all": (
        (*GUNICORN, "--access-logformat", ALL_GUNICORN, "access_app:wsgi"),
        WSGI,
    ),
    "gunicorn asgi": ((*GUNICORN, "-k", "asgi", "access_app:asgi"), ASGI),
    "gunicorn asgi, all": (
        (*GUNICORN, "-k", "asgi", "--access-logformat", ALL_GUNICORN, "access_app:asgi"),
        ASGI,
    ),
    "hypercorn": ((*HYPERCORN, "access_app:asgi"), ASGI),
    "hypercorn, all": (
        (*HYPERCORN, "--access-logformat", ALL_HYPERCORN, "access_app:asgi"),
        ASGI,
    ),
    "granian asgi": ((*GRANIAN, "--interface", "asgi", "access_app:asgi"), ASGI),
    "granian asgi, all": (
        (*GRANIAN, "--access-log-fmt", ALL_GRANIAN, "--interface", "asgi", "access_app:asgi"),
        ASGI,
    ),
    "granian wsgi": ((*GRANIAN, "--interface", "wsgi", "access_app:wsgi"), WSGI),
    "werkzeug": (WERKZEUG, WSGI),
    "django": (DJANGO, "/room/<str:name>"),
}


def ask(port: int, path: str) -> bytes:
    """Return the reply to one request with canaries in every place."""
    lines = [
        f"GET {path}?q=cnry-query HTTP/1.1", "Host: t", "Connection: close",
        "User-Agent: cnry-agent", "Referer: http://cnry-referer", "X-Note: cnry-note",
        "X-Forwarded-For: 203.0.113.9", "Authorization: Basic Y25yeTpjbnJ5", "", "",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode())
        reply = b""
        while part := connection.recv(65536):
            reply += part
    return reply


def talk(port: int) -> None:
    """Open a websocket, and leave it."""
    head = (
        "GET /talk/cnry-path?q=cnry-query HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nUser-Agent: cnry-agent\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head.encode())
        assert b" 101 " in connection.recv(65536)


@pytest.mark.parametrize("name", SERVERS)
def test_lines_show_templates_and_nothing_of_a_client(
    name: str, start_server: Any, tmp_path: Path
) -> None:
    """A reply, a failure, a path that is nobody's: each line names method, route and status."""
    command, route = SERVERS[name]
    server = start_server(*command, folder=tmp_path)
    for path, status in (
        ("/room/cnry-path", b" 200 "),
        ("/room/cnry-bad", b" 500 "),
        ("/cnry-none", b" 404 "),
    ):
        assert status in ask(server.port, path)
    if "asgi" in " ".join(command) and "granian" not in name:
        talk(server.port)
    time.sleep(0.3)
    server.stop()
    output = server.output
    assert "cnry" not in output, [line for line in output.splitlines() if "cnry" in line]
    assert "203.0.113.9" not in output
    seen = re.escape(route)
    for told, shown in ((seen, 200), (seen, 500), ("-", 404)):
        assert re.search(rf"GET {told}[ ?].*\b{shown}\b", output), output
    assert re.search(r"\d\.\d+", output)  # how long it took


@pytest.mark.parametrize(
    "name", ["hypercorn", "granian asgi", "granian wsgi", "werkzeug", "django"]
)
def test_the_same_server_leaks_without_us(name: str, start_server: Any, tmp_path: Path) -> None:
    """Bare, the same requests are quoted: the search above can fail."""
    server = start_server(*SERVERS[name][0], folder=tmp_path, BARE="1")
    ask(server.port, "/room/cnry-path")
    time.sleep(0.3)
    server.stop()
    assert "cnry-path" in server.output
