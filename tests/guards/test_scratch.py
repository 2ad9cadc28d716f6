"""The temporary folder: private, in memory, and gone with the next start after its program."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from zeroret.guards import scratch

HOLD = """
import sys
from pathlib import Path
from zeroret.guards import scratch
scratch.MEMORY = Path(sys.argv[1])
print(scratch.make(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the one in memory."""
    monkeypatch.setattr(scratch, "MEMORY", tmp_path)
    return tmp_path


def test_the_folder_is_private_and_stays_while_its_program_lives(memory: Path) -> None:
    """Nobody else may look in; the next start removes it once its program has gone, not before."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        folder = Path(program.stdout.readline().strip())
        assert folder.parent == memory
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "content").write_text("x")
        scratch._remove_unlocked(memory)
        assert folder.exists()
        program.communicate("")
    assert folder.exists()
    scratch._remove_unlocked(memory)
    assert not folder.exists()


def test_a_child_keeps_it_alive(memory: Path) -> None:
    """The lock is inherited: a worker that outlives its master keeps the folder."""
    folder = scratch.make()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        if descriptor.resolve() == folder:
            os.close(int(descriptor.name))  # let go of ours, as a master that ends does
    scratch._remove_unlocked(memory)
    assert folder.exists()
    os.close(writing)
    os.waitpid(child, 0)
    scratch._remove_unlocked(memory)
    assert not folder.exists()


def test_what_others_planted_is_left_alone(
    memory: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Links and files that bear our name lead nowhere."""
    target = tmp_path_factory.mktemp("target")
    (target / "kept").touch()
    (memory / "zeroret-link").symlink_to(target)
    (memory / "zeroret-file").touch()
    scratch._remove_unlocked(memory)
    assert (target / "kept").exists()
    assert (memory / "zeroret-file").exists()


def test_where_no_files_are_memory_it_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a folder in memory the usual one for temporary files is taken."""
    monkeypatch.setattr(scratch, "MEMORY", tmp_path / "missing")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert scratch.place() == tmp_path
