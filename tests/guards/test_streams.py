# ruff: noqa: T201 - printing is what is tested
"""Streams: what they return and raise, what stands in for them, and how they are left."""

from __future__ import annotations

import codecs
import contextlib
import gc
import io
import os
import pprint
import sys
import traceback
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import pytest

from zeroret.content.flight import Flight
from zeroret.guards import stdio

Printed = Callable[[], str]
Exchange = Callable[[str], AbstractContextManager[Flight]]


def test_what_calls_return_and_raise_stays(running: Flight, content: str) -> None:
    """Counts of characters and bytes, errors of wrong arguments, attributes of the streams."""
    assert sys.stdout.write(content) == len(content)
    assert sys.stdout.write("a constant") == 10
    assert sys.stdout.buffer.write(content.encode()) == len(content)
    assert sys.stdout.buffer.write(memoryview(content.encode())) == len(content)
    for wrong in (3, None, b"bytes"):
        with pytest.raises(TypeError):
            sys.stdout.write(wrong)  # type: ignore[arg-type] # that is the error
    with pytest.raises(TypeError):
        sys.stdout.buffer.write("text")  # type: ignore[call-overload] # likewise
    with pytest.raises(TypeError):
        print("a", "b", sep=3)  # type: ignore[call-overload] # likewise
    with pytest.raises(TypeError):
        print("a", colour=3)  # type: ignore[call-overload] # likewise
    assert sys.stdout.isatty() is False
    assert sys.stdout.encoding
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # a text wrapper


def test_a_closed_stream_raises_what_it_raises(
    running: Flight, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ValueError`, from the stream itself."""
    closed = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", closed)
    closed.close()
    for write in (print, closed.write):
        with pytest.raises(ValueError, match="closed file"):
            write(content)


def test_no_stream_at_all_is_no_error(
    running: Flight, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without standard streams prints into nothing."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    print(content)
    try:
        raise ValueError(content)
    except ValueError:
        traceback.print_exc(file=None)


def test_a_marker_fits_the_streams_encoding(
    running: Flight, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A template's hole has a character that ASCII lacks."""
    below = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(below, "ascii"))
    print(f"asked {content}")
    sys.stdout.write(f"asked {content}\n")
    assert below.getvalue() == b"asked {?}\nasked {?}\n"


class Tee:
    """A stream of the program's own, which writes to two others."""

    def __init__(self, one: Any, other: Any) -> None:
        self.both = (one, other)

    def write(self, text: str) -> int:
        """Write to both."""
        for stream in self.both:
            stream.write(text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each to both."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush both."""
        for stream in self.both:
            stream.flush()


def encoding(one: Any, other: Any) -> Tee:
    """Return one that encodes for the first."""
    return Tee(codecs.getwriter("utf-8")(one.buffer), other)


class Slotted:
    """One that takes no attribute."""

    __slots__ = ("both",)
    both: tuple[Any, ...]
    write: Any = Tee.write
    flush: Any = Tee.flush
    __init__: Any = Tee.__init__

    def writelines(self, lines: list[str]) -> None:
        """Write each of them."""
        for line in lines:
            self.write(line)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", [Tee, encoding, Slotted])
def test_streams_of_the_programs_own_are_guarded(
    kind: Any, when: str, content: str, printed: Printed, exchange: Exchange
) -> None:
    """Set before the guard or after it: what they write elsewhere is guarded, and whole."""
    original, elsewhere = sys.stdout, io.StringIO()
    stream = kind(original, elsewhere)
    with pytest.MonkeyPatch.context() as patched:
        if when == "before":
            patched.setattr(sys, "stdout", stream)
        with exchange(content):
            if when == "after":
                patched.setattr(sys, "stdout", stream)
            print("number", 3, content, f"took {1.5} s")
            sys.stdout.write(f"a line {content}\n")
            sys.stdout.writelines(["constant\n", content])
    text = elsewhere.getvalue()
    assert text.startswith("number 3 [withheld")
    assert "] took {…} s\na line {…}\nconstant\n[withheld" in text
    assert printed() == text
    assert "write" not in vars(original)


def test_a_stream_is_guarded_for_as_long_as_anybody_has_it(running: Flight, content: str) -> None:
    """A file that stood in for the output is one still, and is let go with its last reference."""
    below = io.BytesIO()
    file = io.TextIOWrapper(below, "utf-8")
    with contextlib.redirect_stdout(file):
        assert file.write_through
    file.write(content)
    assert b"withheld" in below.getvalue()
    gone = weakref.ref(file)
    file.detach()
    del file
    gc.collect()
    assert gone() is None


def test_the_last_uninstall_leaves_everything_as_it_was() -> None:
    """Streams, `print`, `sys` and `os`, after any number of installs."""
    stream: Any = sys.stdout

    def state() -> list[Any]:
        functions = (print, os.write, os.writev, traceback.print_exception)
        layers = [dict(vars(each)) for each in (stream, stream.buffer)]
        return [functions, pprint.PrettyPrinter.pprint, type(sys), stream.write_through, layers]

    before = state()
    for _ in range(2):
        stdio.install()
        stdio.install()
        assert state()[0] != before[0]
        stdio.uninstall()
        assert type(sys) is not ModuleType
        stdio.uninstall()
        stdio.uninstall()
        assert state() == before
