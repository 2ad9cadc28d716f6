"""The pepper: made once, the same for every process, private."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from zeroret.errors import ConfigurationError
from zeroret.journal.pepper import pepper


def test_kept(tmp_path: Path) -> None:
    """The same directory gives the same 32 bytes, another one others, in a file of mode 0600."""
    first = pepper(tmp_path / "a")
    assert len(first) == 32
    assert pepper(tmp_path / "a") == first
    assert pepper(tmp_path / "b") != first
    assert (tmp_path / "a" / "pepper").stat().st_mode & 0o777 == 0o600


def test_memory() -> None:
    """In memory it lasts as long as the process."""
    assert len(pepper("memory")) == 32
    assert pepper("memory") == pepper("memory")


def test_race(
    run: Callable[..., subprocess.Popen[str]], finish: Callable[..., str], tmp_path: Path
) -> None:
    """Processes that start at once agree on one pepper."""
    source = """
        from pathlib import Path
        from zeroret.journal.pepper import pepper
        while not os.path.exists("go"): pass
        print(pepper(Path("journal")).hex())
    """
    processes = [run(source) for _ in range(4)]
    (tmp_path / "go").touch()
    assert len({finish(process) for process in processes}) == 1


def test_torn(tmp_path: Path) -> None:
    """A file that its maker was killed in is completed: nobody has used it."""
    (tmp_path / "pepper").write_bytes(b"short")
    tmp_path.chmod(0o700)
    assert len(pepper(tmp_path)) == 32


def test_refused(tmp_path: Path) -> None:
    """A file that is no pepper, or a link, is refused."""
    tmp_path.chmod(0o700)
    (tmp_path / "pepper").write_bytes(b"x" * 33)
    with pytest.raises(ConfigurationError, match="not a pepper of 32 bytes"):
        pepper(tmp_path)
    (tmp_path / "pepper").unlink()
    (tmp_path / "pepper").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        pepper(tmp_path)
    assert not (tmp_path / "elsewhere").exists()
