"""The `sys` module: what is set on it is seen, what is read from it is what was set."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from zeroret.guards import sysmodule


def own(*args: Any) -> None:
    """Take the place of a hook."""


def ours(*args: Any) -> str:
    """Stand before a hook."""
    return "ours"


@pytest.fixture
def hooked() -> Iterator[None]:
    """A hook of ours before `sys.excepthook`."""
    sysmodule.hooked("excepthook", ours)
    yield
    sysmodule.unhooked("excepthook")


@pytest.mark.usefixtures("hooked")
def test_a_program_reads_what_it_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hook is its own, though the interpreter finds ours; deleting gives the standard one."""
    before = sys.excepthook
    assert before is not ours
    assert vars(sys)["excepthook"] is ours
    with monkeypatch.context() as patched:
        patched.setattr(sys, "excepthook", own)
        assert sys.excepthook is own
        assert sysmodule.delegate("excepthook") is own
        sys.excepthook = ours  # taken from the namespace, as some do
        assert sys.excepthook is own
        assert vars(sys)["excepthook"] is ours
        del sys.excepthook
        assert sys.excepthook is sys.__excepthook__
    assert sys.excepthook is before


@pytest.mark.usefixtures("hooked")
def test_the_module_stays_a_module() -> None:
    """Attributes, copies and pickles work as ever."""
    module: Any = sys
    assert isinstance(sys, ModuleType)
    assert module.modules["sys"] is sys
    assert repr(sys) == "<module 'sys' (built-in)>"
    assert pickle.loads(pickle.dumps(sys)) is sys  # noqa: S301 - its own pickle
    assert copy.deepcopy({"a": sys})["a"] is sys
    module.of_this_test = 1
    assert vars(sys)["of_this_test"] == 1
    del module.of_this_test
    with pytest.raises(AttributeError):
        module.of_this_test  # noqa: B018 - that is the error
    with pytest.raises(AttributeError):
        del module.of_this_test


def test_what_is_set_passes_a_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter says what is stored, until it is taken away."""
    seen: list[tuple[str, Any]] = []

    def take(name: str, value: Any) -> Any:
        seen.append((name, value))
        return [value]

    monkeypatch.setattr(sys, "ps1", "before", raising=False)
    sysmodule.filtered("ps1", take)
    try:
        sys.ps1 = "now"
        assert sys.ps1 == ["now"]  # type: ignore[comparison-overlap] # as the filter says
    finally:
        sysmodule.unfiltered("ps1")
    sys.ps1 = "later"
    assert (sys.ps1, seen) == ("later", [("ps1", "now")])


def test_the_last_leaves_the_module_as_it_was() -> None:
    """Its class, and the program's own hook in its place, whatever was set meanwhile."""
    before, kind = sys.excepthook, type(sys)
    sysmodule.hooked("excepthook", ours)
    sysmodule.hooked("excepthook", own)
    sysmodule.filtered("ps1", lambda _, value: value)
    assert type(sys) is sysmodule.GuardedModule
    sysmodule.unfiltered("ps1")
    sys.excepthook = own
    sysmodule.unhooked("excepthook")
    assert sys.excepthook is own
    assert type(sys) is kind
    sys.excepthook = before
    sysmodule.unhooked("excepthook")
    assert vars(sys)["excepthook"] is before
