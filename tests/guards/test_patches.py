"""Patches: attributes that are replaced while anyone needs it, then put back."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from zeroret.guards.patches import Patches


class Door:
    """Something a library writes through."""

    def write(self, text: str) -> str:
        """Return what was written."""
        return text

    @staticmethod
    def flush() -> str:
        """Return a word."""
        return "flushed"


class Gate(Door):
    """Inherits its writing."""


def shouting(original: Any) -> Any:
    """Return *original* with its result in capitals."""
    function = original.__func__ if isinstance(original, staticmethod) else original

    def shout(*args: Any) -> str:
        result: str = function(*args)
        return result.upper()

    return staticmethod(shout) if isinstance(original, staticmethod) else shout


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Give a loaded module that holds the doors."""
    made = ModuleType("doors_of_a_test")
    made.Door, made.Gate = Door, Gate  # type: ignore[attr-defined] # a module made here
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


@pytest.mark.usefixtures("module")
def test_the_last_uninstall_leaves_what_was_there() -> None:
    """Installs are counted; methods, static methods and inherited ones come back as they were."""
    before = dict(vars(Door)), dict(vars(Gate))
    patches = Patches("doors")

    @patches.when_imported("doors_of_a_test")
    def watch(module: ModuleType) -> None:
        patches.replace(module.Door, "write", shouting)
        patches.replace(module.Door, "flush", shouting)
        patches.replace(module.Gate, "write", shouting)

    patches.install()
    patches.install()
    assert patches.watched == {"doors_of_a_test"}
    assert (Door().write("a"), Door.flush(), Gate().write("b")) == ("A", "FLUSHED", "B")
    patches.uninstall()
    assert Door().write("a") == "A"
    patches.uninstall()
    patches.uninstall()
    assert (Door().write("a"), Door.flush(), Gate().write("b")) == ("a", "flushed", "b")
    assert (dict(vars(Door)), dict(vars(Gate))) == before
    assert not patches.active


@pytest.mark.usefixtures("module")
def test_another_shape_is_a_trouble_and_no_error() -> None:
    """A module that lacks what is to be patched is named; the rest is guarded all the same."""
    patches = Patches("doors")

    @patches.when_imported("doors_of_a_test")
    def one(module: ModuleType) -> None:
        patches.replace(module.Door, "no_such_method", shouting)

    @patches.when_imported("doors_of_a_test")
    def other(module: ModuleType) -> None:
        patches.replace(module.Door, "write", shouting)

    patches.install()
    try:
        assert patches.troubles == {"doors_of_a_test": "AttributeError"}
        assert Door().write("a") == "A"
    finally:
        patches.uninstall()


@pytest.mark.usefixtures("module")
def test_what_was_patched_over_ours_stays() -> None:
    """Who patched after us keeps its patch; ours is told to pass everything on."""
    patches = Patches("doors")

    @patches.when_imported("doors_of_a_test")
    def watch(module: ModuleType) -> None:
        patches.replace(module.Door, "write", shouting)

    original = Door.write
    patches.install()
    theirs = shouting(Door.write)
    Door.write = theirs  # type: ignore[method-assign] # what a test does
    try:
        patches.uninstall()
        assert Door.write is theirs
    finally:
        Door.write = original  # type: ignore[method-assign] # as it was


def test_a_module_that_comes_later_is_patched_when_it_comes(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Import order does not matter, and a module imported after the uninstall is left alone."""
    for name in ("late_doors", "later_doors"):
        (tmp_path / f"{name}.py").write_text("def write(text):\n    return text\n")
    monkeypatch.syspath_prepend(tmp_path)
    patches = Patches("doors")
    for name in ("late_doors", "later_doors"):
        patches.when_imported(name)(lambda module: patches.replace(module, "write", shouting))
    patches.install()
    late: Any = __import__("late_doors")
    assert late.write("a") == "A"
    patches.uninstall()
    assert late.write("a") == "a"
    later: Any = __import__("later_doors")
    assert later.write("a") == "a"
    patches.install()
    assert (late.write("a"), later.write("a")) == ("A", "A")
    patches.uninstall()
