"""The journal's place: said, systemd's, or beside the first file sink."""

from __future__ import annotations

from pathlib import Path

import pytest

from zeroret.errors import ConfigurationError
from zeroret.journal.place import place

STATE = {"STATE_DIRECTORY": "/var/lib/one:/var/lib/two"}


def test_given() -> None:
    """The option wins over everything, and is made absolute."""
    assert place("j", ["sqlite:///u.db"], STATE) == Path.cwd() / "j"
    assert place(Path("/x/j"), [], STATE) == Path("/x/j")
    assert place("memory", ["sqlite:///u.db"], STATE) == "memory"


def test_state_directory() -> None:
    """Without the option it is the first of systemd's state directories."""
    assert place(None, ["sqlite:///u.db"], STATE) == Path("/var/lib/one/zeroret")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:////var/lib/x/usage.db", Path("/var/lib/x/usage.db.journal")),
        ("jsonl:///usage.jsonl", Path.cwd() / "usage.jsonl.journal"),
    ],
)
def test_beside_a_file(uri: str, expected: Path) -> None:
    """Without systemd it is beside the first sink that is a file."""
    assert place(None, [print, "memory:", uri, "sqlite:////other.db"], {}) == expected


@pytest.mark.parametrize("sinks", [[], ["memory:"], [print]])
def test_nowhere(sinks: list[object]) -> None:
    """When nothing says a place, the error says what to write."""
    with pytest.raises(ConfigurationError, match=r"journal='memory'"):
        place(None, sinks, {"STATE_DIRECTORY": ""})


@pytest.mark.parametrize("journal", ["", " ", "memory:", "sqlite:///x", 3, "a\0b", b"bytes"])
def test_nonsense(journal: object) -> None:
    """What is no directory is refused when it is given."""
    with pytest.raises(ConfigurationError, match="journal"):
        place(journal, [], {})  # type: ignore[arg-type] # the error is the point
