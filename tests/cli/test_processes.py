"""The demo's servers: started, killed, started again; and gone when the demo is."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import httpx
import psutil
import pytest

from zeroret.cli.demo.processes import ChildError, Served

UPSTREAM = "zeroret.cli.demo.upstream"


def test_start_kill_start_stop(tmp_path: Path) -> None:
    """A server answers, is killed, answers again at a new place, and stops when asked to."""
    served = Served(UPSTREAM, tmp_path / "up", {"DEMO_SENT": str(tmp_path / "sent")})
    with served:
        served.launch().wait_until_ready()
        assert httpx.get(f"{served.url}/nowhere", trust_env=False).status_code == 404
        served.kill()
        with pytest.raises(httpx.ConnectError):
            httpx.get(served.url, trust_env=False)
        served.launch().wait_until_ready()
        assert httpx.get(f"{served.url}/nowhere", trust_env=False).status_code == 404
        served.stop()
    shown = (tmp_path / "up" / "stderr.txt").read_text()
    assert shown.count("Started server process") == 2
    assert shown.count("Finished server process") == 1


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A child that ends at once is an error with its last words."""
    served = Served("zeroret.no_such_module", tmp_path / "up", {})
    with served, pytest.raises(ChildError, match=r"zeroret\.no_such_module ended: "):
        served.launch().wait_until_ready()


def test_servers_end_with_the_demo(tmp_path: Path) -> None:
    """A demo that is killed leaves no server behind."""
    program = dedent(
        f"""
        import sys, time
        from pathlib import Path
        from zeroret.cli.demo.processes import Served
        served = Served({UPSTREAM!r}, Path({str(tmp_path / "up")!r}), {{"DEMO_SENT": "sent"}})
        served.launch().wait_until_ready()
        print("ready", flush=True)
        time.sleep(60)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline() == "ready\n"
        (server,) = psutil.Process(demo.pid).children()
        demo.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while is_alive(server):
        assert time.monotonic() < end, "the server is still there"
        time.sleep(0.05)


def is_alive(process: psutil.Process) -> bool:
    """Whether *process* still runs; nobody may be there to collect it."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
