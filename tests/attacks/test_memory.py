"""What real servers keep of content once the grace is over: by reference nothing, in memory little.

The memory of a server is read from outside, as root can, and searched for pieces of content that
stand nowhere else. What is found is printed as it is; `docs/process.md` has the figures.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
import pytest

SERVERS: Final = Path(__file__).parents[1] / "servers"
ASK: Final = signal.SIGRTMIN + 1
KINDS: Final = ("prompt", "key", "room", "query", "header")
REQUESTS: Final = 20

MOST: Final = 3
"""Requests of twenty that may leave a copy where Python overwrites: 0 to 2 as a rule, the last,
in buffers of libraries that are not written in Python."""

UVICORN: Final = ("-m", "uvicorn", "--app-dir", str(SERVERS), "--port", "{port}", "--http")
GUNICORN: Final = ("-m", "gunicorn", "--chdir", str(SERVERS), "-b", "127.0.0.1:{port}")
STACKS: Final = {
    "FastAPI, uvicorn with httptools": (*UVICORN, "httptools", "remains_apps:fastapi_app"),
    "FastAPI, uvicorn with h11": (*UVICORN, "h11", "remains_apps:fastapi_app"),
    "Litestar, uvicorn with httptools": (*UVICORN, "httptools", "remains_apps:litestar_app"),
    "Flask, gunicorn": (*GUNICORN, "remains_apps:flask_app"),
    "Flask, gunicorn with threads": (*GUNICORN, "--threads", "2", "remains_apps:flask_app"),
    "Django, gunicorn": (*GUNICORN, "remains_apps:django_app"),
}
RUN: Final = ("-m", "zeroret", "run", "--harden", "--writable")


class Remains(NamedTuple):
    """What is left of twenty requests."""

    holders: list[list[str]]
    """Chains of types that refer to content."""
    requests: int
    """Requests of which memory holds any copy."""
    kinds: dict[str, int]
    """Pieces of content found, by kind."""


def call(port: int, pieces: dict[str, str], boundary: str) -> None:
    """Send one request with a piece of content in every place, over a connection of its own."""
    message = {"role": "user", "content": f"a question about {pieces['prompt']} and more" * 3}
    headers = {
        "Content-Type": f"application/json; charset=utf-8; boundary={boundary}",
        "X-Note": pieces["header"],
        "Accept-Language": pieces["header"],
    }
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(
            "POST",
            f"/v1/rooms/{pieces['room']}/chat/completions?q={pieces['query']}",
            json.dumps({"model": "gpt-4o", "messages": [message], pieces["key"]: pieces["prompt"]}),
            headers,
        )
        response = connection.getresponse()
        assert pieces["prompt"] in response.read().decode()
        assert response.status == 200


def memory_of(process: int, pattern: re.Pattern[bytes]) -> set[str]:
    """Return what of *pattern* stands in the writable memory of a process."""
    found: set[str] = set()
    maps = Path(f"/proc/{process}/maps").read_text()
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in maps.splitlines():
            span, rights = line.split()[:2]
            if not rights.startswith("rw") or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            memory.seek(start)
            found.update(each.decode() for each in pattern.findall(memory.read(end - start)))
    return found


def measured(start_server: Any, folder: Path, command: tuple[str, ...], **environ: str) -> Remains:
    """Start a server, send the requests, and look for them when their grace is over."""
    mark = "c" + secrets.token_hex(3) + "x"
    answer = folder / f"remains-{mark}"
    server = start_server(
        *command, folder=folder, MARK=mark, REMAINS=str(answer), PYTHONPATH=str(SERVERS), **environ
    )
    sent = [{kind: mark + secrets.token_hex(12) for kind in KINDS} for _ in range(REQUESTS)]
    for pieces in sent:
        call(server.port, pieces, mark + secrets.token_hex(12))
    time.sleep(3)  # half a second of grace, and a round over the caches
    parent = psutil.Process(server.process.pid)
    worker = (parent.children() or [parent])[-1].pid
    found = memory_of(worker, re.compile(mark.encode() + b"[0-9a-f]{24}"))
    os.kill(worker, ASK)
    end = time.monotonic() + 30
    while not answer.exists():
        assert time.monotonic() < end, server.output
        time.sleep(0.05)
    return Remains(
        json.loads(answer.read_text()),
        sum(not found.isdisjoint(pieces.values()) for pieces in sent),
        {kind: sum(pieces[kind] in found for pieces in sent) for kind in KINDS},
    )


@pytest.fixture(autouse=True)
def is_root() -> None:
    """Skip for other users: the memory of an undumpable process is root's to read."""
    if os.geteuid() != 0:
        pytest.skip("reading a server's memory needs root")


def hardened(start_server: Any, folder: Path, stack: str) -> Remains:
    """Measure a server under ``zeroret run --harden``."""
    return measured(start_server, folder, (*RUN, str(folder), "--", sys.executable, *STACKS[stack]))


def test_a_hardened_server_keeps_next_to_nothing(start_server: Any, tmp_path: Path) -> None:
    """Nothing refers to content, and of twenty requests three at most left a copy in memory."""
    remains = hardened(start_server, tmp_path, "FastAPI, uvicorn with httptools")
    print(f"hardened: {remains}")  # noqa: T201 - the figure, as it is
    assert remains.holders == []
    assert remains.requests <= MOST


@pytest.mark.long
@pytest.mark.parametrize("stack", STACKS)
def test_what_remains(stack: str, start_server: Any, tmp_path: Path) -> None:
    """By reference nothing, in any mode; copies of no more requests hardened than not."""
    found = {
        "bare": measured(start_server, tmp_path, STACKS[stack], BARE="1"),
        "default": measured(start_server, tmp_path, STACKS[stack]),
        "hardened": hardened(start_server, tmp_path, stack),
    }
    for mode, remains in found.items():
        print(stack, mode, remains.requests, remains.kinds)  # noqa: T201 - the figure, as it is
    assert found["default"].holders == found["hardened"].holders == []
    assert found["hardened"].requests <= min(MOST, found["default"].requests)
