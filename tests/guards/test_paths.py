"""Paths: whatever a path is made of, it comes down to one real place, or to none."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from zeroret.guards.paths import created, is_relative, resolved, text, within


class Fickle:
    """A path that answers otherwise each time."""

    def __init__(self) -> None:
        self.asked = 0

    def __fspath__(self) -> str:
        """Return another path each time."""
        self.asked += 1
        return f"/tmp/{self.asked}"  # noqa: S108 - never opened


class Told(PurePosixPath):
    """A path whose class answers for itself."""

    def __str__(self) -> str:
        """Return a lie."""
        return "/told"


class Loud(str):
    """A text whose methods lie."""

    __slots__ = ()

    def startswith(self, *args: object) -> bool:
        """Return a lie."""
        return True

    def __str__(self) -> str:
        """Return a lie."""
        return "/told"


def test_what_cannot_be_known_is_no_path() -> None:
    """Objects that could answer otherwise when they are asked again have no text."""
    assert text(Fickle()) is None
    assert text(Told("/a")) is None
    assert text(None) is None
    assert text(bytearray(b"/a")) is None
    assert text(Loud("/a")) == "/a"
    assert type(text(Loud("/a"))) is str
    assert text(b"/a\xff") == "/a\udcff"
    assert text(PurePosixPath("/a/b")) == "/a/b"
    assert not within(resolved(Fickle()), ["/"])


def test_entries_of_a_folder_are_paths(tmp_path: Path) -> None:
    """What `os.scandir` gives is known."""
    (tmp_path / "a").touch()
    with os.scandir(tmp_path) as entries:
        assert [resolved(entry) for entry in entries] == [str(tmp_path.resolve() / "a")]


def test_links_and_points_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths, ``..`` behind links, bytes and folder descriptors lead to one real path."""
    root = tmp_path.resolve()
    (root / "a/b").mkdir(parents=True)
    (root / "link").symlink_to("a/b")
    monkeypatch.chdir(root / "a")
    assert resolved("b/x") == resolved(b"b/x") == resolved(Path("b/x")) == f"{root}/a/b/x"
    assert resolved("../link/../x") == f"{root}/a/x"
    folder = os.open(root / "link", os.O_RDONLY)
    try:
        assert resolved("x", folder) == f"{root}/a/b/x"
        assert resolved(f"{root}/x", folder) == f"{root}/x"
        assert resolved(folder) == f"{root}/a/b"
        assert created("x", folder) == f"{root}/a/b/x"
    finally:
        os.close(folder)
    assert resolved(folder) is None
    assert resolved("x", folder) is None


def test_a_name_to_be_made_is_no_link_yet(tmp_path: Path) -> None:
    """Where the last part is a link, the link itself is what is replaced."""
    root = tmp_path.resolve()
    (root / "a").mkdir()
    (root / "link").symlink_to("a")
    assert created(root / "link") == f"{root}/link"
    assert created(f"{root}/link/") == f"{root}/link"
    assert created(f"{root}/link/x") == f"{root}/a/x"
    assert created(f"{root}/link/..") == str(root)
    assert created(Fickle()) is None


def test_within_goes_by_components() -> None:
    """A folder holds what lies below it, not what begins like it."""
    assert within("/a/b", ["/a"])
    assert within("/a", ["/a"])
    assert within("/anything", ["/"])
    assert not within("/ab", ["/a"])
    assert not within("/", ["/a"])
    assert not within(None, ["/"])
    assert not within("/a", [])


def test_relative_paths_are_told() -> None:
    """What is unknown counts as relative."""
    assert is_relative("a")
    assert is_relative(b"./a")
    assert is_relative(Fickle())
    assert not is_relative(Path("/a"))
