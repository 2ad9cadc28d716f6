"""The end: an interpreter with exchanges in flight ends, and forks, as one without."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from zeroret.content.flight import Flight

Printed = Callable[[], str]
Exchange = Callable[[str], AbstractContextManager[Flight]]


Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Give ``program(source, *options)``, which runs a program of its own, its streams piped."""

    def run(source: str, *options: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "program.py"
        file.write_text(textwrap.dedent(source))
        done = subprocess.run(
            [sys.executable, *options, str(file)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
        )
        assert "Error" not in done.stderr, done.stderr
        assert "and more of it" not in done.stdout + done.stderr
        return done

    return run


LIVE_PROGRAM = """
    import atexit, os, sys, threading
    from zeroret.content.flight import CURRENT, Flight
    from zeroret.content.live import LIVE
    from zeroret.guards import files, hooks, logs, loops, stdio, warned

    secret = os.urandom(12).hex() + " and more of it"
    class Late:
        def __del__(self):
            print("finaliser", 3)
            print(secret)
            sys.stdout.write(secret + "\\n")
            sys.stdout.buffer.write(secret.encode())
    late = Late()
    module = type(sys)("kept")
    module.late, module.itself = Late(), module
    sys.modules["kept"] = module
    for guard in (files, logs, stdio, warned, hooks, loops):
        guard.install()
    flight = Flight("strict")
    flight.hold(secret)
    LIVE.enter(flight)
    CURRENT.set(flight)
    atexit.register(print, secret, "at exit")
    atexit.register(lambda: sys.stderr.write(secret))
"""


@pytest.mark.parametrize("options", [(), ("-u",), ("-X", "dev", "-W", "error")])
@pytest.mark.parametrize("code", [0, 3])
def test_the_interpreter_ends_as_ever(
    options: tuple[str, ...], code: int, program: Program
) -> None:
    """With exchanges live, and prints at exit and later: no traceback, no content, its code."""
    done = program(LIVE_PROGRAM + f"    print('constant'); sys.exit({code})\n", *options)
    assert done.returncode == code
    first, last, *finalisers = done.stdout.splitlines()
    assert first == "constant"
    assert last.startswith("[withheld")
    assert any(line.startswith("finaliser") for line in finalisers)


def test_a_fork_keeps_its_guard(program: Program) -> None:
    """The child of a server that loads the application first prints no content either."""
    done = program(
        LIVE_PROGRAM
        + """
    sys.stdout.flush()
    child = os.fork()
    print("child" if child == 0 else "parent")
    print(secret)
    sys.stdout.flush()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    os._exit(0)
"""
    )
    assert done.stdout.count("child") == 1
    assert done.stdout.count("parent") == 1
    assert done.stdout.count("[withheld") == 2
