"""Descriptors: what goes to standard output and error past the streams."""

from __future__ import annotations

import errno
import io
import os
import posix
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from zeroret.content.boundary import Boundary
from zeroret.content.flight import Flight
from zeroret.guards import stdio, tally

Printed = Callable[[], str]
Exchange = Callable[[str], AbstractContextManager[Flight]]


@pytest.mark.parametrize("fd", [1, 2])
def test_writes_to_the_standard_descriptors_are_judged(
    fd: int, running: Flight, content: str, printed: Printed
) -> None:
    """Content is withheld, whole or in parts; a bytes literal of the source is shown."""
    before = tally.snapshot().get("stdio.withheld", 0)
    assert os.write(fd, content.encode()) == len(content)
    assert os.write(fd, memoryview(content.encode())) == len(content)
    assert os.writev(fd, [content.encode()[:9], bytearray(content.encode())]) == len(content) + 9
    assert os.write(fd, b"a constant\n") == 11
    text = printed()
    assert text.endswith("a constant\n")
    assert text.count("bytes test_descriptors.py:") == 3
    assert not any(word in text for word in content.split())
    assert tally.snapshot()["stdio.withheld"] == before + 3


def test_where_the_functions_come_from_is_guarded_too(
    running: Flight, content: str, printed: Printed
) -> None:
    """The `posix` module, and a stream that `os.fdopen` makes of a standard descriptor."""
    posix.write(1, content.encode())
    posix.writev(1, [content.encode()])
    with os.fdopen(1, "w", closefd=False) as stream:
        stream.write(f"{content}\n")
    with os.fdopen(2, "wb", 0, closefd=False) as stream:
        stream.write(content.encode())
    text = printed()
    assert text.count("[withheld") == 4
    assert not any(word in text for word in content.split())


def test_other_descriptors_are_not(running: Flight, content: str) -> None:
    """A pipe of the program's own takes what it is given."""
    there, here = os.pipe()
    try:
        assert os.write(here, content.encode()) == len(content)
        assert os.writev(here, [b"!", content.encode()]) == len(content) + 1
        assert os.read(there, 999).decode() == f"{content}!{content}"
    finally:
        os.close(there)
        os.close(here)


def test_errors_are_those_of_the_system(running: Flight) -> None:
    """A wrong argument or a closed descriptor raises what it raises."""
    with pytest.raises(TypeError):
        os.write(1, "text")  # type: ignore[arg-type] # that is the error
    with pytest.raises(TypeError):
        os.write("1", b"")  # type: ignore[arg-type] # likewise
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.write(9999, b"")


def test_no_exchange_no_change(streams_guarded: None, content: str, printed: Printed) -> None:
    """With nothing in flight everything passes."""
    os.write(1, content.encode())
    assert printed() == content


def test_a_name_bound_before_the_guard_is_out_of_reach(
    content: str, printed: Printed, exchange: Exchange
) -> None:
    """The posture says so: nothing stands between it, or a duplicate, and the descriptor."""
    write, duplicate = os.write, os.dup(1)
    with exchange(content):
        write(1, content.encode())
        os.write(duplicate, content.encode())
        io.FileIO(1, "w", closefd=False).write(content.encode())
    os.close(duplicate)
    assert printed().count(content) == 3
    tier = stdio.tiers(Boundary())["descriptors"]
    assert tier.grade == "watched"
    assert "duplicates" in tier.how
    assert "names bound before" in tier.how
