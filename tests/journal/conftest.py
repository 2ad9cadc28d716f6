"""Records, and programs that run in a process of their own so that it can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import pytest

import zeroret
from zeroret.usage.record import UsageRecord

MakeRecord: TypeAlias = Callable[..., UsageRecord]
Run: TypeAlias = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def make() -> MakeRecord:
    """Give ``make(number, **columns)``: a complete record with that number as its id."""

    def record(number: int, **columns: Any) -> UsageRecord:
        values: dict[str, Any] = {
            "id": str(UUID(int=number)),
            "policy": "usage-only@000000000000",
            "usage_source": "reported",
            "started_at": datetime(2025, 1, 31, 9, 30, tzinfo=UTC),
            "duration": 1.5,
            "account": "a",
            "input_tokens": number,
            "outcome": "completed",
        }
        return UsageRecord(**(values | columns))

    return record


PRELUDE = """
import os, signal, sys, threading, time
from datetime import UTC, datetime
from uuid import UUID
from zeroret.journal import Journal
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
