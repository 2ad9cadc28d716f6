"""Descriptors: what goes to standard output and error past the streams."""

from __future__ import annotations

import errno
import fcntl
import importlib
import io
import mmap
import os
import posix
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from zeroret.content.boundary import Boundary
from zeroret.content.flight import Flight
from zeroret.errors import RetentionViolation
from zeroret.guards import files, standard, stdio, tally
from zeroret.guards.violations import VIOLATIONS

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


def _write_and_close(fd: int, data: bytes) -> None:
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def _opened_by_path(path: str, content: str) -> None:
    with open(path, "w") as stream:  # noqa: PTH123 - as it says
        stream.write(content)


def _opened_low(path: str, content: str) -> None:
    _write_and_close(os.open(path, os.O_WRONLY), content.encode())


def _opened_from_a_folder(content: str) -> None:
    folder = os.open("/proc/self", os.O_RDONLY)
    try:
        fd = os.open("fd/1", os.O_WRONLY, dir_fd=folder)
    finally:
        os.close(folder)
    _write_and_close(fd, content.encode())


def _opened_by_number(fd: int, content: str) -> None:
    with open(fd, "w", closefd=False) as stream:
        stream.write(content)


def _raw(fd: int, content: str) -> None:
    io.FileIO(fd, "w", closefd=False).write(content.encode())


def _of_duplicate(content: str) -> None:
    with os.fdopen(os.dup(1), "w") as stream:
        stream.write(content)


def _duplicated_to(content: str) -> None:
    there, here = os.pipe()
    os.close(there)
    os.dup2(1, here)
    _write_and_close(here, content.encode())


def _sent(content: str) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(content.encode())
        file.flush()
        os.sendfile(1, file.fileno(), 0, 999)


def _copied(content: str) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(content.encode())
        file.flush()
        os.copy_file_range(file.fileno(), 1, 999, 0)


def _spliced(content: str) -> None:
    there, here = os.pipe()
    try:
        os.write(here, content.encode())
        os.splice(there, 1, 999)
    finally:
        os.close(there)
        os.close(here)


def _mapped(content: str) -> None:
    os.ftruncate(1, 4096)
    with mmap.mmap(1, 4096) as memory:
        memory[: len(content)] = content.encode()


def _while_importing(content: str) -> None:
    """Write from the body of a module that an exchange imports."""
    with tempfile.TemporaryDirectory() as folder:
        source = "import io\ndef say(data, stream=io.FileIO(1, 'w', closefd=False)):\n"
        Path(folder, "lazy_console.py").write_text(source + "    stream.write(data)\n")
        sys.path.insert(0, folder)
        try:
            importlib.import_module("lazy_console").say(content.encode())
        finally:
            sys.path.remove(folder)
            sys.modules.pop("lazy_console", None)


WAYS: dict[str, Callable[[str], object]] = {
    "open(1)": lambda content: _opened_by_number(1, content),
    "open(2)": lambda content: _opened_by_number(2, content),
    "open of a duplicate": lambda content: _opened_by_number(os.dup(1), content),
    "FileIO(1)": lambda content: _raw(1, content),
    "FileIO of a duplicate": lambda content: _raw(os.dup(2), content),
    "fdopen of a duplicate": _of_duplicate,
    "write to a duplicate": lambda content: _write_and_close(os.dup(1), content.encode()),
    "writev to a duplicate": lambda content: os.writev(os.dup(2), [content.encode()]),
    "pwrite": lambda content: os.pwrite(1, content.encode(), 0),
    "pwritev": lambda content: os.pwritev(1, [content.encode()], 0),
    "dup2": _duplicated_to,
    "F_DUPFD": lambda content: _write_and_close(
        fcntl.fcntl(1, fcntl.F_DUPFD, 50), content.encode()
    ),
    "sendfile": _sent,
    "copy_file_range": _copied,
    "splice": _spliced,
    "mmap": _mapped,
    "/dev/stdout": lambda content: _opened_by_path("/dev/stdout", content),
    "/dev/fd/1": lambda content: _opened_by_path("/dev/fd/1", content),
    "/proc/self/fd/1": lambda content: _opened_by_path("/proc/self/fd/1", content),
    "os.open of /dev/stderr": lambda content: _opened_low("/dev/stderr", content),
    "a link in a folder": _opened_from_a_folder,
    "/dev/tty": lambda content: _opened_by_path("/dev/tty", content),
    "a module that is imported": _while_importing,
}


@pytest.mark.usefixtures("streams_guarded")
@pytest.mark.parametrize("mode", ["strict", "match"])
@pytest.mark.parametrize("way", WAYS)
def test_no_way_around_the_streams_shows_content(
    way: str,
    mode: str,
    within: Callable[..., AbstractContextManager[Flight]],
    content: str,
    printed: Printed,
) -> None:
    """By number, by duplicate, by path or by the kernel: judged, or refused and counted."""
    files.install()
    before = VIOLATIONS.counts()
    try:
        with within(content.encode(), writable=[tempfile.gettempdir()]) as flight:
            flight.log_guard = mode  # type: ignore[assignment] # one of its two words
            with suppress(RetentionViolation, OSError):
                WAYS[way](content)
    finally:
        files.uninstall()
    text = printed()
    assert not any(word in text for word in content.split())
    assert VIOLATIONS.counts() != before or way == "/dev/tty"


@pytest.mark.usefixtures("streams_guarded")
@pytest.mark.parametrize("way", ["open(1)", "FileIO(1)", "sendfile", "write to a duplicate"])
@pytest.mark.parametrize("option", ["report", "none"])
def test_what_only_reports_or_guards_nothing_lets_pass(
    way: str,
    option: str,
    within: Callable[..., AbstractContextManager[Flight]],
    content: str,
    printed: Printed,
) -> None:
    """Report mode counts and shows; without a log guard the streams are left alone."""
    before = sum(VIOLATIONS.counts().values())
    with within(content.encode(), enforce=option == "none") as flight:
        flight.enforce = option == "none"
        flight.log_guard = "none" if option == "none" else "strict"
        WAYS[way](content)
    assert content in printed()
    assert (sum(VIOLATIONS.counts().values()) > before) is (option == "report")


def test_streams_from_before_the_guard_are_found(
    content: str, printed: Printed, exchange: Exchange
) -> None:
    """What a program opened on the descriptors, or a duplicate, at its import is guarded, too."""
    text = open(1, "w", closefd=False)  # noqa: SIM115 - as a program keeps it
    raw = io.FileIO(os.dup(2), "w")
    with exchange(content):
        text.write(f"{content}\n")
        raw.write(content.encode())
        text.flush()
    shown = printed()
    assert shown.count("[withheld") == 2
    assert not any(word in shown for word in content.split())
    text.write("a constant\n")
    text.close()
    raw.close()
    assert "write" not in vars(text)


def test_streams_of_no_exchange_are_found_soon(
    running: Flight,
    content: str,
    printed: Printed,
    without: Callable[[], AbstractContextManager[None]],
) -> None:
    """What is opened after the start, where no exchange runs, is guarded with the next opening."""
    with without():
        raw = io.FileIO(1, "w", closefd=False)
    Path(__file__).read_text()
    raw.write(content.encode())
    assert not any(word in printed() for word in content.split())


def test_a_name_bound_before_the_guard_is_out_of_reach(
    content: str, printed: Printed, exchange: Exchange
) -> None:
    """The posture says so: nothing stands between it and the descriptor."""
    write = os.write
    with exchange(content):
        write(1, content.encode())
    assert printed().count(content) == 1
    tier = stdio.tiers(Boundary())["descriptors"]
    assert tier.grade == "watched"
    assert "names bound before" in tier.how


def test_a_descriptor_that_cannot_be_looked_at_is_taken_for_a_standard_one(
    running: Flight, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the system does not say what it is, its text is judged."""

    def broken(_fd: int) -> os.stat_result:
        raise MemoryError

    there, here = os.pipe()
    monkeypatch.setattr(standard, "_fstat", broken)
    assert os.write(here, content.encode()) == len(content)
    assert content.encode() not in os.read(there, 999)
    os.close(there)
    os.close(here)
