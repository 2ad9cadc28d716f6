"""Landlock: what the kernel refuses and allows; each test restricts a program of its own."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from zeroret.guards import landlock

TRY = """
import ctypes, json, os, shutil, subprocess, sys
from pathlib import Path
from zeroret.guards import landlock
inside, outside, file = sys.argv[1:]
held = open(outside + "/held", "w")
if "bare" not in sys.argv:
    landlock.restrict([inside, file])
libc = ctypes.CDLL(None, use_errno=True)
def library(folder):
    if libc.open(f"{folder}/library".encode(), os.O_WRONLY | os.O_CREAT, 0o600) < 0:
        raise OSError(ctypes.get_errno(), "libc")
def child(folder):
    subprocess.run(["/bin/sh", "-c", f"echo x > {folder}/child"], check=True, stderr=-1)
ways = {
    "open": lambda folder: open(folder + "/opened", "w").close(),
    "append": lambda folder: open(folder + "/there", "a").close(),
    "truncate": lambda folder: os.truncate(folder + "/there", 0),
    "unlink": lambda folder: os.unlink(folder + "/gone"),
    "rename": lambda folder: os.rename(folder + "/old", folder + "/new"),
    "mkdir": lambda folder: os.mkdir(folder + "/made"),
    "rmdir": lambda folder: os.rmdir(folder + "/empty"),
    "link": lambda folder: os.symlink("a", folder + "/linked"),
    "fifo": lambda folder: os.mkfifo(folder + "/fifo"),
    "library": library,
    "child": child,
}
found = {"active": landlock.is_active()}
for place in (inside, outside):
    for name, way in ways.items():
        try:
            way(place)
            found[f"{name} {Path(place).name}"] = "done"
        except (OSError, subprocess.CalledProcessError) as error:
            found[f"{name} {Path(place).name}"] = type(error).__name__
def again(name, way):
    try:
        way()
        found[name] = "done"
    except OSError as error:
        found[name] = type(error).__name__
again("the file", lambda: open(file, "w").close())
again("beside the file", lambda: open(file + "2", "w").close())
again("reading", lambda: open(outside + "/there").close())
again("held", lambda: (held.write("x"), held.flush()))
os.mkdir(inside + "/deep")
again("between folders", lambda: os.rename(inside + "/there", inside + "/deep/there"))
print(json.dumps(found))
"""


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Two folders with the same in them, and a file beside."""
    for name in ("inside", "outside"):
        folder = tmp_path / name
        (folder / "empty").mkdir(parents=True)
        for file in ("there", "gone", "old"):
            (folder / file).write_text("x")
    (tmp_path / "file").touch()
    return [str(tmp_path / name) for name in ("inside", "outside", "file")]


def run(program: str, *arguments: str) -> Any:
    """Return what a program prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(program), *arguments], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.fixture
def offered() -> int:
    """Give the version of Landlock here."""
    try:
        return landlock.abi()
    except landlock.UnavailableError as error:
        pytest.skip(str(error))


def test_the_kernel_refuses_writes_outside(offered: int, folders: list[str]) -> None:
    """No way of writing works outside, through C and children neither; all work beneath."""
    found = run(TRY, *folders)
    assert found.pop("active")
    inside = {name: came for name, came in found.items() if name.endswith(" inside")}
    outside = {name: came for name, came in found.items() if name.endswith(" outside")}
    assert {name for name, came in inside.items() if came != "done"} == set()
    assert set(outside.values()) == {"PermissionError", "CalledProcessError"}
    assert found["the file"] == found["reading"] == found["between folders"] == "done"
    assert found["beside the file"] == "PermissionError"
    assert offered >= 3  # truncate is known from there on


def test_what_it_does_not_cover(offered: int, folders: list[str]) -> None:
    """A descriptor that was open before stays writable, as the documentation says."""
    assert run(TRY, *folders)["held"] == "done"


def test_a_missing_path_restricts_nothing(offered: int, tmp_path: Path) -> None:
    """A path that is not there is an error, and the program stays as it was."""
    program = """
    import json, sys
    from zeroret.guards import landlock
    try:
        landlock.restrict([sys.argv[1]])
    except FileNotFoundError as error:
        print(json.dumps([error.filename, landlock.is_active()]))
    """
    missing = str(tmp_path / "missing")
    assert run(program, missing) == [missing, False]


def test_it_is_not_active_here() -> None:
    """The probe finds nothing where nothing restricts, and leaves the file as it is."""
    before = Path(landlock.PROBE).read_bytes()
    assert not landlock.is_active()
    assert Path(landlock.PROBE).read_bytes() == before


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSYS, "this kernel has no Landlock"),
        (errno.EOPNOTSUPP, "switched off"),
        (errno.EPERM, "seccomp"),
        (errno.EINVAL, "Invalid argument"),
    ],
)
def test_where_the_kernel_refuses_the_reason_is_said(
    code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way in which a kernel has no Landlock is told apart."""

    class Kernel:
        def syscall(self, *arguments: Any) -> int:
            return -1

    monkeypatch.setattr(landlock, "_libc", Kernel)
    monkeypatch.setattr("ctypes.get_errno", lambda: code)
    for ask in (landlock.abi, lambda: landlock.restrict([])):
        with pytest.raises(landlock.UnavailableError, match=said):
            ask()


def test_on_other_systems_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system is not Linux nothing is called, and the text names the system."""
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(landlock, "_libc", None)
    with pytest.raises(landlock.UnavailableError, match="this is darwin"):
        landlock.restrict(["/"])
    monkeypatch.setattr(landlock, "PROBE", "/nowhere/comm")
    assert not landlock.is_active()
