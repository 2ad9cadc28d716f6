"""``scripts/setup`` says what is missing, and how to get it, before it touches anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "cat", "dirname")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a project of its own with nothing but the script, and a PATH with nothing but tools."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def program(path: Path, text: str) -> None:
    """Write an executable shell script."""
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


def setup(project: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run the script from another folder, with an empty HOME."""
    return subprocess.run(
        [str(project / "bin" / "bash"), str(project / "scripts" / "setup"), *names],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": str(project / "bin"), "HOME": ""},
    )


def test_no_python(project: Path) -> None:
    """Without any Python that is new enough, it says which ones it tried."""
    program(project / "bin" / "python3", "exit 1")
    done = setup(project, "demo")
    assert done.returncode == 1
    assert "no Python 3.11 or newer found (tried: python3.13" in done.stderr


def test_debian_package(project: Path) -> None:
    """A Python that cannot make virtual environments: the Debian package is named."""
    python = 'case "$*" in *ensurepip*) exit 1;; *venv*) echo python3.12-venv;; esac'
    program(project / "bin" / "python3.12", python)
    program(project / "bin" / "id", "echo 1000")
    done = setup(project, "demo")
    assert done.returncode == 1
    assert "sudo apt-get install python3.12-venv" in done.stderr


def test_debian_package_as_root(project: Path) -> None:
    """As root it installs that package itself, and says so if it cannot."""
    python = 'case "$*" in *ensurepip*) exit 1;; *venv*) echo python3.12-venv;; esac'
    program(project / "bin" / "python3.12", python)
    program(project / "bin" / "id", "echo 0")
    program(project / "bin" / "apt-get", f'echo "$*" >> "{project}/asked"; exit 100')
    done = setup(project, "demo")
    assert done.returncode == 1
    assert "could not install python3.12-venv" in done.stderr
    assert "install -y -qq python3.12-venv" in (project / "asked").read_text()


@pytest.mark.parametrize("names", [(), ("dmeo",), ("demo", "everything")])
def test_unknown_names(project: Path, names: tuple[str, ...]) -> None:
    """It is told for what; anything else is refused with what is allowed."""
    done = setup(project, *names)
    assert done.returncode == 1
    assert "demo" in done.stderr
    assert not os.path.lexists(project / ".venv")
