"""Programs that run in a process of their own so that it can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

import zeroret

Run: TypeAlias = Callable[..., "subprocess.Popen[str]"]


PRELUDE = """
import os, signal, sys, threading, time
from datetime import UTC, datetime
from uuid import UUID
from zeroret.journal import Journal
from zeroret.journal.durability import Durability
from zeroret.journal.delivery import Delivery
from zeroret.sinks import open_sink
from zeroret.usage.record import COLUMNS, UsageRecord

def make(number, **columns):
    values = dict(id=str(UUID(int=number)), policy="p@0", outcome="completed", duration=1.0)
    return UsageRecord(**(values | columns))

def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Give ``run(source, *arguments)``, which starts a Python program in the test's directory."""

    def start(source: str, *arguments: object) -> subprocess.Popen[str]:
        paths = [str(Path(zeroret.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        return subprocess.Popen(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(source), *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def finish() -> Callable[..., str]:
    """Give ``finish(process, code)``, which waits for its end and returns what it printed."""

    def wait(process: subprocess.Popen[str], code: int = 0) -> str:
        out, err = process.communicate(timeout=60)
        assert code == process.returncode, err
        assert not err or code, err
        return out.strip()

    return wait
