"""The process: what is set at the start, taken back at the end, and read back for the posture."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zeroret import testing
from zeroret.content.boundary import OPEN
from zeroret.guards import process
from zeroret.guards.tiers import Tier

TELL = "import json; from zeroret.guards import process; process.install(); "
TIERS = TELL + "print(json.dumps(process.tiers(None)))"


@pytest.fixture
def installed() -> Any:
    """The guard, installed for one test."""
    process.install()
    yield
    process.uninstall()


def tiers_of(*flags: str, **environ: str) -> dict[str, list[str]]:
    """Return the tiers of a fresh interpreter, each as grade and reason."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", TIERS],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": "src", **environ},
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_it_is_counted_and_taken_back() -> None:
    """The process is undumpable from the first install to the last uninstall, no longer."""
    before = process.dumpable()
    process.install()
    process.install()
    assert process.dumpable() == 0
    process.uninstall()
    assert process.dumpable() == 0
    process.uninstall()
    process.uninstall()
    assert process.dumpable() == before == 1


def test_one_that_was_undumpable_stays_so() -> None:
    """What was set before us is not ours to take back."""
    process._prctl(process._SET_DUMPABLE, 0)
    try:
        process.install()
        process.uninstall()
        assert process.dumpable() == 0
    finally:
        process._prctl(process._SET_DUMPABLE, 1)


def test_a_runtime_sets_it() -> None:
    """`start` makes the process undumpable, and `close` gives it back; a child inherits it."""
    with testing.memory_runtime() as runtime:
        assert process.dumpable() == 0
        guards = runtime.posture()["guards"]
        assert guards["core dumps"]["tier"] == "closed"
        assert guards["memory"]["tier"] == guards["debugger"]["tier"] == "out of reach"
        assert guards["writes"]["tier"] == "off"
        child = os.fork()
        if child == 0:
            os._exit(7 if process.dumpable() == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert process.dumpable() == 1


@pytest.mark.parametrize("before", ["", TELL])
def test_a_crash_leaves_no_core(before: str, tmp_path: Path) -> None:
    """A segmentation fault writes a core file in a bare process, and none in a guarded one."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0 or process.CORE_PATTERN.read_text()[:1] in "|/":
        pytest.skip("core files do not come into the working directory here")
    crash = f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})"
    done = subprocess.run(
        [sys.executable, "-c", before + crash],
        cwd=tmp_path,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
    )
    assert done.returncode == -signal.SIGSEGV
    assert bool(list(tmp_path.iterdir())) is (before == "")


def test_memory_is_told_by_the_allocator_not_by_the_environment() -> None:
    """Python overwrites what it frees, or does not, whatever the variables say."""
    assert tiers_of()["memory"][0] == "out of reach"
    assert tiers_of(PYTHONMALLOC="debug")["memory"][0] == "watched"
    assert tiers_of(PYTHONMALLOC="malloc_debug")["memory"][0] == "watched"
    assert tiers_of("-E", PYTHONMALLOC="debug")["memory"][0] == "out of reach"
    told = json.dumps({"freed memory": "active", "writes": "active", "writable": ["/a"]})
    tiers = tiers_of(**{process.STATE: told})
    assert (tiers["memory"][0], tiers["writes"][0]) == ("out of reach", "off")


@pytest.mark.parametrize("told", ["", "{", "[]", "1", '{"writable": 3}', '{"writable": [3]}'])
def test_a_broken_word_of_the_parent_does_no_harm(
    told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in the variable, the posture can be asked."""
    monkeypatch.setenv(process.STATE, told)
    monkeypatch.setattr(process._process, "writes_are_refused", True)
    assert process.tiers(OPEN)["writes"].grade == "closed"


def test_without_the_flag_the_limit_decides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A limit of 0 closes core files, but not what is handed to a program."""
    monkeypatch.setattr(process, "dumpable", lambda: 1)
    monkeypatch.setattr(process, "_core_limit", lambda: 0)
    pattern = tmp_path / "core_pattern"
    monkeypatch.setattr(process, "CORE_PATTERN", pattern)
    assert process.tiers(OPEN)["core dumps"].grade == "closed"  # no such file: not Linux
    pattern.write_text("|/usr/lib/systemd/systemd-coredump %P")
    assert process.tiers(OPEN)["core dumps"].grade == "out of reach"
    pattern.write_text("core")
    assert process.tiers(OPEN)["core dumps"].grade == "closed"
    monkeypatch.setattr(process, "_core_limit", lambda: -1)
    assert process.tiers(OPEN)["core dumps"].grade == "out of reach"


def test_on_other_systems_nothing_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Linux, limits and CPython's library, each protection says that it is not there."""
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr("ctypes.pythonapi", object())
    process.install()
    try:
        assert process.dumpable() is None
        assert not process.overwrites_freed_memory()
        tiers = process.tiers(OPEN)
    finally:
        process.uninstall()
    assert all(isinstance(tier, Tier) for tier in tiers.values())
    assert {tiers[name].grade for name in ("core dumps", "memory", "debugger")} == {"out of reach"}
    assert tiers["writes"].grade == "off"
