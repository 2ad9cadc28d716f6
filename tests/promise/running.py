"""One run of a stack: start it, call it, end it, and search all it left."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from collectors import collecting
from promise.calls import Answer, Call, Client
from promise.searching import DEEPEST, Searching
from promise.stacks import APPS, Stack
from services import free_port

SETTLING: Final = 0.5
"""Seconds after the last call in which what apps do later is done."""

STARTING: Final = 60.0
STOPPING: Final = 10.0

Leaks = dict[str, set[str]]
"""By surface, the places of the canaries found on it, as ``call: place``."""


@dataclass
class Run:
    """What came of one run."""

    answers: dict[str, Answer]
    leaks: Leaks
    seconds: float
    folder: Path
    exports: list[bytes] = field(default_factory=list, repr=False)

    @property
    def leaked(self) -> set[str]:
        """The places of all canaries found on any surface."""
        return set().union(*self.leaks.values()) if self.leaks else set()


def run(
    stack: Stack, calls: dict[str, Call], folder: Path, *, bare: bool, thorough: bool = False
) -> Run:
    """Serve *stack* in *folder*, make every call of *calls*, and search all that it left.

    Args:
        stack: What is served.
        calls: The calls by name; empty at first, and the same for a run that is to compare.
        folder: Where it works; nothing else may stand in it.
        bare: Whether zeroret is left out.
        thorough: Whether Sentry looks for every library that it knows.
    """
    began = time.monotonic()
    (folder / "tmp").mkdir(parents=True)
    (folder / "mail").mkdir()
    with (
        collecting() as collector,
        serving(
            stack,
            folder,
            BARE=str(int(bare)),
            COLLECTOR=f"127.0.0.1:{collector.port}",
            SENTRY_FINDS=str(int(thorough)),
        ) as server,
    ):
        client = Client(server.port, calls)
        with _spools(server.process.pid, folder / "tmp") as spooled:
            answers = client.everything(websockets=stack.talks)
        time.sleep(SETTLING)
        client.flush()
        if stack.attached == "loggers":
            client.die()
            time.sleep(SETTLING)
        else:
            server.stop()
        exports = [f"{path}\n".encode() + body for path, _, body in collector.received]
    places = {
        canary: f"{call.name}: {place}"
        for call in calls.values()
        for place, canary in call.planted.items()
    }
    searching = Searching(places, 0 if bare else DEEPEST)
    leaks = searching.folder(folder)
    for body in exports:
        kind = "analytics" if body.startswith(b"/analytics") else stack.attached
        leaks.setdefault(kind, set()).update(searching.places(body))
    leaks["unlinked files"] = searching.places(b"\n".join(spooled))
    found = {surface: named for surface, named in leaks.items() if named}
    return Run(answers, found, time.monotonic() - began, folder, exports)


class Server(NamedTuple):
    """A server that runs."""

    process: subprocess.Popen[bytes]
    port: int

    def stop(self) -> None:
        """Have it end in order."""
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOPPING)


@contextlib.contextmanager
def serving(stack: Stack, folder: Path, **environ: str) -> Iterator[Server]:
    """Serve *stack* in *folder*; in the end, whatever of it is left is killed."""
    port = free_port()
    variables = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",  # sets have an order, also in headers
        "PYTHONPATH": str(APPS),
        "ATTACHED": stack.attached,
        "TMPDIR": str(folder / "tmp"),
        "LOGURU_DIAGNOSE": "NO",
        **environ,
    }
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *(part.format(port=port) for part in stack.command)],
            cwd=folder,
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(process, port, folder)
        yield Server(process, port)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    """Wait until a request is answered."""
    end = time.monotonic() + STARTING
    while time.monotonic() < end:
        assert process.poll() is None, (folder / "output.txt").read_text(errors="replace")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STARTING)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/flush")
            assert connection.getresponse().status == 200
            return
        time.sleep(0.05)
    raise TimeoutError((folder / "output.txt").read_text(errors="replace"))


@contextlib.contextmanager
def _spools(server: int, folder: Path) -> Iterator[set[bytes]]:
    """Collect what stands in open files of *folder* that have no name, of a server's processes."""
    found: set[bytes] = set()
    ended = threading.Event()

    def watch() -> None:
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(server)
            processes = [parent, *parent.children(recursive=True)]
            while not ended.wait(0.05):
                for process in processes:
                    found.update(_deleted(process.pid, folder))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def _deleted(process: int, folder: Path) -> Iterator[bytes]:
    descriptors = Path(f"/proc/{process}/fd")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for each in descriptors.iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if str(each.readlink()).startswith(str(folder)):
                    yield each.read_bytes()[:4096]
