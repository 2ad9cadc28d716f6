"""Children: inside an exchange no program is started that the operator did not name."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, suppress
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest
import trio
import uvloop

from zeroret.content.boundary import Boundary
from zeroret.content.flight import Flight
from zeroret.errors import RetentionViolation
from zeroret.guards import children, violations

Within: TypeAlias = Callable[..., AbstractContextManager[Flight]]
Without: TypeAlias = Callable[[], AbstractContextManager[None]]

TRUE = Path("/bin/true")
SHELL = Path("/bin/sh")
PYTHON = Path(sys.executable)
NAMED = ["true"]


@pytest.fixture(autouse=True)
def guarded() -> Iterator[None]:
    """Install the guard for one test."""
    children.install()
    yield
    children.uninstall()


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> violations.Violations:
    """Give this test a count of its own."""
    own = violations.Violations()
    monkeypatch.setattr(violations, "VIOLATIONS", own)
    return own


async def started_by_asyncio() -> None:
    """Start a program by the running loop."""
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()


async def started_by_shell() -> None:
    """Start a command by the running loop."""
    process = await asyncio.create_subprocess_shell("true")
    await process.wait()


async def started_by_anyio() -> None:
    """Start a program by anyio."""
    await anyio.run_process(NAMED)


async def started_by_trio() -> None:
    """Start a program by trio."""
    await trio.run_process(NAMED)


def spawned() -> None:
    """Start a program by the system's own call."""
    os.waitpid(os.posix_spawn("/bin/true", NAMED, os.environ), 0)


def spawned_from_path() -> None:
    """Start a program by the system's own call, wherever it is."""
    os.waitpid(os.posix_spawnp("true", NAMED, os.environ), 0)


def forked() -> None:
    """Fork, and end the child at once."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def forked_with_terminal() -> None:
    """Fork with a terminal, and end the child at once."""
    child, terminal = pty.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    os.close(terminal)


def multiplied(context: BaseContext) -> None:
    """Run a function in a child of `multiprocessing`."""
    process = context.Process(target=int)  # type: ignore[attr-defined] # every context has one
    process.start()
    process.join()
    assert process.exitcode == 0


PROGRAMS: dict[str, tuple[Path, Callable[[], object]]] = {
    "subprocess": (TRUE, lambda: subprocess.run(NAMED, check=True)),
    "subprocess path": (TRUE, lambda: subprocess.run([TRUE], check=True)),
    "subprocess bytes": (TRUE, lambda: subprocess.run([b"/bin/true"], check=True)),
    "subprocess executable": (
        TRUE,
        lambda: subprocess.run(["python"], executable="/bin/true", check=True),  # noqa: S607 - a name, as colleagues write it
    ),
    "subprocess posix_spawn": (
        TRUE,
        lambda: subprocess.run(["/bin/true"], close_fds=False, check=True),
    ),
    "subprocess shell": (SHELL, lambda: subprocess.run("true", shell=True, check=True)),  # noqa: S602, S607 - as it says
    "os.system": (SHELL, lambda: os.system("true")),  # noqa: S605, S607 - as it says
    "os.popen": (SHELL, lambda: os.popen("true").close()),  # noqa: S605, S607 - as it says
    "os.posix_spawn": (TRUE, spawned),
    "os.posix_spawnp": (TRUE, spawned_from_path),
    "asyncio": (TRUE, lambda: asyncio.run(started_by_asyncio())),
    "asyncio shell": (SHELL, lambda: asyncio.run(started_by_shell())),
    "uvloop": (TRUE, lambda: uvloop.run(started_by_asyncio())),
    "uvloop shell": (SHELL, lambda: uvloop.run(started_by_shell())),
    "anyio": (TRUE, lambda: anyio.run(started_by_anyio)),
    "trio": (TRUE, lambda: trio.run(started_by_trio)),
    "os.fork": (PYTHON, forked),
    "pty.fork": (PYTHON, forked_with_terminal),
    "multiprocessing fork": (PYTHON, lambda: multiplied(multiprocessing.get_context("fork"))),
    "multiprocessing spawn": (PYTHON, lambda: multiplied(multiprocessing.get_context("spawn"))),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_refused_unless_it_is_named(
    name: str, within: Within, counts: violations.Violations
) -> None:
    """Each way to start a child raises, and the same child starts where it is named."""
    program, start = PROGRAMS[name]
    other = TRUE if program != TRUE else SHELL
    with (
        within(children=[other]),
        pytest.raises(Exception, match=r"children=\[…\]|nursery") as refused,
    ):
        start()
    error: BaseException = refused.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, RetentionViolation)
    assert counts.counts().keys() == {"child.refused"}
    with within(children=[program]):
        start()
    assert counts.counts().keys() == {"child.refused"}


@pytest.mark.parametrize("name", ["subprocess", "uvloop", "os.fork", "multiprocessing spawn"])
def test_report_mode_counts_and_starts(
    name: str, within: Within, counts: violations.Violations
) -> None:
    """Nothing is refused; the posture says what would have been."""
    with within(enforce=False):
        PROGRAMS[name][1]()
    assert set(counts.counts()) == {"child.reported"}


def test_a_fork_servers_child_is_refused(within: Within) -> None:
    """A child that a running fork server makes for us is one that we start."""
    context = multiprocessing.get_context("forkserver")
    multiplied(context)
    try:
        with within(), pytest.raises(RetentionViolation):
            multiplied(context)
        with within(children=[PYTHON]):
            multiplied(context)
    finally:
        from multiprocessing import forkserver

        forkserver._forkserver._stop()  # type: ignore[attr-defined] # as its own tests do


def test_a_pools_worker_is_started_by_the_exchange_that_needs_it(within: Within) -> None:
    """A process pool starts its workers on demand: the first job would start one."""
    context = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(1, mp_context=context) as pool,
        within(),
        pytest.raises(RetentionViolation),
    ):
        pool.submit(int).result()
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(int).result() == 0
        with within():
            assert pool.submit(int).result() == 0


def test_replacing_the_process_is_refused(within: Within) -> None:
    """`os.execv` of a program that is not named does not happen."""
    with within(children=[SHELL]), pytest.raises(RetentionViolation):
        os.execv("/bin/true", NAMED)  # noqa: S606 - as it says


def test_a_name_is_looked_up_as_the_child_will_be(
    tmp_path: Path, within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a name leads to depends on the path and the folder that the child gets."""
    impostor = tmp_path / "true"
    impostor.write_text("#!/bin/sh\nexit 3\n")
    impostor.chmod(0o700)
    with within(children=[TRUE]):
        with pytest.raises(RetentionViolation):
            subprocess.run(NAMED, env={"PATH": str(tmp_path)}, check=False)
        with pytest.raises(RetentionViolation):
            subprocess.run(["./true"], cwd=tmp_path, check=False)
        with pytest.raises(RetentionViolation):
            subprocess.run([impostor], check=False)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(RetentionViolation):
            os.posix_spawn("true", NAMED, {})
        with pytest.raises(RetentionViolation):
            subprocess.run(["no-such-program"], check=False)  # noqa: S607 - a name, as colleagues write it
    with within(children=[impostor]):
        assert subprocess.run(["./true"], cwd=tmp_path, check=False).returncode == 3


def test_a_link_is_the_program_that_it_leads_to(tmp_path: Path, within: Within) -> None:
    """A link in a folder of the path is neither more nor less than its target."""
    (tmp_path / "named").symlink_to(TRUE)
    (tmp_path / "sh").symlink_to(SHELL)
    with within(children=[TRUE]):
        subprocess.run([tmp_path / "named"], check=True)
        with pytest.raises(RetentionViolation):
            subprocess.run([tmp_path / "sh", "-c", "exit 0"], check=False)


def test_a_thread_of_no_exchange_is_counted(
    within: Within, without: Without, counts: violations.Violations
) -> None:
    """While content is in flight a child of other code is counted, and starts."""
    with within(), without():
        subprocess.run(NAMED, check=True)
    assert counts.counts() == {"child.reported": 1}
    with without():
        subprocess.run(NAMED, check=True)
    assert counts.counts() == {"child.reported": 1}


def test_a_guard_that_fails_refuses(within: Within, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error inside the guard starts nothing."""

    def broken(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(children, "_named", broken)
    for name in ("subprocess", "uvloop", "os.fork", "multiprocessing spawn"):
        with within(children=[TRUE, PYTHON]), pytest.raises(RetentionViolation):
            PROGRAMS[name][1]()


def test_after_the_uninstall_everything_is_as_it_was(within: Within) -> None:
    """The functions that were replaced are the originals again."""
    import _posixsubprocess

    children.uninstall()
    before = _posixsubprocess.fork_exec, dict(vars(uvloop.Loop))
    children.install()
    children.install()
    assert _posixsubprocess.fork_exec is not before[0]
    children.uninstall()
    children.uninstall()
    assert (_posixsubprocess.fork_exec, dict(vars(uvloop.Loop))) == before
    with within():
        subprocess.run(NAMED, check=True)
    with suppress(RuntimeError):
        children.uninstall()  # one too many is no matter
    children.install()


def test_the_tier_says_whether_children_are_refused() -> None:
    """Report mode only counts."""
    assert children.tiers(Boundary())["children"].grade == "closed"
    assert children.tiers(Boundary(enforce=False))["children"].grade == "watched"


def test_a_library_of_another_shape_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be patched is not claimed to be closed."""
    monkeypatch.setitem(children.PATCHES.troubles, "a_library", "AttributeError")
    tier = children.tiers(Boundary())["children"]
    assert tier.grade == "watched"
    assert "a_library" in tier.how
