"""The directory: private or refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zeroret.errors import ConfigurationError
from zeroret.journal.folder import Folder


def test_modes(tmp_path: Path) -> None:
    """The directory is made with 0700 and its files with 0600."""
    folder = Folder(tmp_path / "a" / "journal")
    os.close(folder.open("file", os.O_CREAT | os.O_WRONLY))
    assert (tmp_path / "a" / "journal").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "journal" / "file").stat().st_mode & 0o777 == 0o600
    folder.close()


def test_world_writable(tmp_path: Path) -> None:
    """A directory that everybody may write is refused, with the command that helps."""
    path = tmp_path / "journal"
    path.mkdir()
    path.chmod(0o777)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        Folder(path)


def test_symlink(tmp_path: Path) -> None:
    """A symbolic link is refused, and the text says where it points."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigurationError, match=r"symbolic link.*real"):
        Folder(tmp_path / "link")


def test_dangling_symlink(tmp_path: Path) -> None:
    """A link to nowhere is refused likewise, and nothing is made."""
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="symbolic link"):
        Folder(tmp_path / "link")
    assert not (tmp_path / "nowhere").exists()


def test_not_a_directory(tmp_path: Path) -> None:
    """A plain file in its place is refused with the reason."""
    (tmp_path / "journal").write_text("x")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Folder(tmp_path / "journal")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_other_owner(tmp_path: Path) -> None:
    """A directory of another user is refused."""
    path = tmp_path / "journal"
    path.mkdir()
    os.chown(path, 4711, 4711)
    with pytest.raises(ConfigurationError, match="belongs to user 4711"):
        Folder(path)


def test_file_symlink(tmp_path: Path) -> None:
    """A file of the journal is never opened through a link."""
    folder = Folder(tmp_path / "journal")
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "journal" / "x.segment").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        folder.open("x.segment", os.O_WRONLY)
    folder.close()


def test_lock(tmp_path: Path) -> None:
    """A lock is held by one, and a file that was removed cannot be locked."""
    folder = Folder(tmp_path / "journal")
    first = folder.lock("a.lock", create=True)
    assert first is not None
    assert folder.lock("a.lock") is None
    os.close(first)
    second = folder.lock("a.lock")
    assert second is not None
    folder.unlink("a.lock")
    os.close(second)
    assert folder.lock("a.lock") is None
    assert folder.names() == []
    folder.close()
