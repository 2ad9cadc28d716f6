"""The demo's child processes: each under uvicorn on an ephemeral loopback port of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

from zeroret.errors import ZeroRetentionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

START: Final = 60.0
"""Seconds a child may take to start."""

STOP: Final = 20.0
"""Seconds a child may take to stop once it is asked to."""


class ChildError(ZeroRetentionError):
    """A server of the demo did not start; the text says where its output is."""


class Served:
    """One application, served by a child process in *folder*, restartable, each time on a new port.

    The folder is its working directory; ``stdout.txt``, ``stderr.txt`` and ``tmp`` stand in it.
    """

    def __init__(self, module: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._module = module
        self._environment = dict(environment)
        self._child: subprocess.Popen[bytes] | None = None
        self._port = 0
        (folder / "tmp").mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """Where it is to be found; known once it is launched, and new each time."""
        return f"http://127.0.0.1:{self._port}"

    def launch(self) -> Self:
        """Start the child without waiting for it; `wait_until_ready` does. An old one is killed."""
        self.kill()
        with ExitStack() as files, socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(128)
            self._port = listening.getsockname()[1]
            self._ready.unlink(missing_ok=True)
            out, err = (
                files.enter_context((self.folder / name).open("ab"))
                for name in ("stdout.txt", "stderr.txt")
            )
            serving = [sys.executable, "-m", "zeroret.cli.demo.serving"]
            self._child = subprocess.Popen(  # noqa: S603 - this interpreter, a module of ours
                [*serving, self._module, str(listening.fileno()), str(self._ready)],
                cwd=self.folder,
                env=self._variables(),
                stdin=subprocess.PIPE,  # its end tells the child that the demo is gone
                stdout=out,
                stderr=err,
                pass_fds=(listening.fileno(),),
                start_new_session=True,  # Ctrl-C is for the demo alone, which then ends it
            )
        return self

    def wait_until_ready(self) -> None:
        """Wait until requests are answered.

        Raises:
            ChildError: it ended, or took too long.
        """
        end = time.monotonic() + START
        while not self._ready.exists():
            ended = self._child is None or self._child.poll() is not None
            if ended or time.monotonic() > end:
                self.kill()
                why = "ended" if ended else f"did not start in {START:.0f} s"
                raise ChildError(f"{self._module} {why}: {_last_line(self.folder / 'stderr.txt')}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask the child to stop, as a service manager does, and wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the child: no shutdown, no flush, nothing."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def _ready(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.ready")

    def _end(self, how: signal.Signals) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        with child:  # closes the pipe, then waits
            child.send_signal(how)
            try:
                child.wait(STOP)
            except subprocess.TimeoutExpired:
                child.kill()

    def _variables(self) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ZERORET_", "OPENAI_", "ANTHROPIC_", "STATE_DIRECTORY"))
            and not name.lower().endswith("_proxy")  # everything here is on the loopback
        }
        if "PYTHONPATH" in inherited:  # the child works elsewhere
            paths = inherited["PYTHONPATH"].split(os.pathsep)
            inherited["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, paths))
        return {**inherited, **self._environment, "TMPDIR": str(self.folder / "tmp")}


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
