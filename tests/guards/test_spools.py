# ruff: noqa: SIM115 - what closes a spool, and when, is what is tested
"""Spools: uploads stay in memory whatever is asked of them, and end with their exchange."""

from __future__ import annotations

import gc
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import SpooledTemporaryFile as EarlySpool
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroret.content.boundary import Boundary
from zeroret.content.flight import CURRENT, Flight
from zeroret.guards import files, spools, violations

Within: TypeAlias = Callable[..., AbstractContextManager[Flight]]
Without: TypeAlias = Callable[[], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def guarded() -> Iterator[None]:
    """Install the guard for one test, and that of files, so that none can be made unseen."""
    tempfile.gettempdir()
    files.install()
    spools.install()
    yield
    for flight in list(spools._open):
        spools.release(flight)
    spools.uninstall()
    files.uninstall()


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> violations.Violations:
    """Give this test a count of its own."""
    own = violations.Violations()
    monkeypatch.setattr(violations, "VIOLATIONS", own)
    return own


def place_of(file: Any) -> str:
    """Return where the descriptor of *file* leads."""
    return str(Path(f"/proc/self/fd/{file.fileno()}").readlink())


def test_a_spool_never_becomes_a_file(within: Within, counts: violations.Violations) -> None:
    """Neither its size, nor `truncate`, nor a name from before the start makes it roll over."""
    with within():
        for kind in (tempfile.SpooledTemporaryFile, EarlySpool):
            spool = kind(max_size=10)
            spool.write(b"x" * 100)
            spool.writelines([b"y" * 100])
            spool.truncate(150)
            spool.seek(95)
            assert spool.read(10) == b"xxxxxyyyyy"
            assert not spool._rolled  # type: ignore[attr-defined] # what frameworks ask
            spool.close()
    assert counts.counts() == {}


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs memory files")
@pytest.mark.parametrize("ask", ["fileno", "rollover"])
def test_who_needs_a_descriptor_gets_memory(ask: str, within: Within) -> None:
    """`shutil`, `mmap` and ``sendfile`` work on a file that is on no disk."""
    with within():
        spool: Any = tempfile.SpooledTemporaryFile(max_size=10)
        spool.write(b"content of an upload")
        spool.seek(8)
        getattr(spool, ask)()
        assert place_of(spool).startswith("/memfd:")
        assert spool.read() == b"of an upload"
        spool.write(b"!")
        assert os.pread(spool.fileno(), 7, 0) == b"content"
        assert not os.get_inheritable(spool.fileno())
        spool.close()


def test_text_spools_keep_encoding_and_line_ends(within: Within) -> None:
    """A spool that was made for text is one in memory, too."""
    with within():
        spool: Any = tempfile.SpooledTemporaryFile(
            max_size=1, mode="w+", encoding="utf-16", newline="\r\n"
        )
        spool.write("zwölf\n")
        spool.rollover()
        spool.write("Boxer\n")
        spool.seek(0)
        assert spool.read() == "zwölf\r\nBoxer\r\n"
        assert spool.encoding == "utf-16"
        spool.close()


def test_a_spool_from_before_stays_in_memory(within: Within) -> None:
    """What was opened outside of an exchange and is filled inside makes no file either."""
    spool = tempfile.SpooledTemporaryFile(max_size=10)
    with within():
        spool.write(b"x" * 100)
        assert place_of(spool).startswith("/memfd:")
    spool.close()


def test_a_spool_stays_in_memory_wherever_it_is_handed(within: Within, without: Without) -> None:
    """A thread that knows of no exchange cannot make a file of it."""
    with within():
        spool = tempfile.SpooledTemporaryFile(max_size=10)
        spool.write(b"x")
        with without():
            spool.write(b"x" * 100)
            places: list[str] = []
            thread = threading.Thread(target=lambda: places.append(place_of(spool)))
            thread.start()
            thread.join()
        spool.close()
    assert places[0].startswith("/memfd:")


def test_temporary_files_without_a_name_are_memory(tmp_path: Path, within: Within) -> None:
    """`TemporaryFile` in a folder that may be written is a file of that folder, else memory."""
    with within(writable=[tmp_path]) as flight:
        file = tempfile.TemporaryFile()
        assert place_of(file).startswith("/memfd:")
        text = tempfile.TemporaryFile("w+", encoding="utf-8")
        text.write("ä")
        disk = tempfile.TemporaryFile(dir=tmp_path)
        assert place_of(disk).startswith(str(tmp_path.resolve()))
        disk.close()
        spools.release(flight)
    assert (file.closed, text.closed) == (True, True)
    with tempfile.TemporaryFile() as outside:
        assert place_of(outside).startswith(tempfile.gettempdir())


def test_without_memory_files_it_is_a_buffer(
    within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systems that have no `memfd_create` get what has no descriptor, and says so."""
    monkeypatch.delattr(os, "memfd_create")
    with within():
        spool: Any = tempfile.SpooledTemporaryFile()
        spool.write(b"content")
        with pytest.raises(io.UnsupportedOperation):
            spool.fileno()
        spool.seek(0)
        assert spool.read() == b"content"
        text = tempfile.TemporaryFile("w+", encoding="utf-8")
        text.write("ä")
        spool.close()
        text.close()


def test_the_end_of_an_exchange_closes_what_it_opened(within: Within, without: Without) -> None:
    """Every spool of the exchange and no other; a second end finds nothing."""
    with within() as flight:
        left = [tempfile.SpooledTemporaryFile() for _ in range(3)]
        rolled: Any = tempfile.SpooledTemporaryFile()
        rolled.rollover()
        closed = tempfile.SpooledTemporaryFile()
        closed.close()
        with without():
            other = tempfile.SpooledTemporaryFile()
        spools.release(flight)
        spools.release(flight)
        assert all(each.closed for each in (*left, rolled, closed))
        assert not other.closed
    other.close()
    assert flight not in spools._open


def test_nothing_keeps_a_spool_that_nobody_has(within: Within) -> None:
    """A long exchange that opens spool after spool holds none that it let go."""
    with within() as flight:
        for _ in range(3):
            tempfile.SpooledTemporaryFile().close()
        gc.collect()
        assert len(spools._open[flight]) == 0
        spools.release(flight)


def test_a_buffer_that_is_exported_hinders_nobody(within: Within) -> None:
    """A view of a spool's bytes may outlive the exchange; the others are closed all the same."""
    with within() as flight:
        pinned: Any = tempfile.SpooledTemporaryFile()
        pinned.write(b"content")
        view = pinned._file.getbuffer()
        others = [tempfile.SpooledTemporaryFile() for _ in range(3)]
        spools.release(flight)
        assert all(each.closed for each in others)
        view.release()
        pinned.close()


def test_after_its_end_an_exchange_keeps_no_account(within: Within) -> None:
    """Work that outlives its exchange still spools to memory; nobody will come to close it."""
    with within() as flight:
        flight.ended = 1.0
        spool = tempfile.SpooledTemporaryFile(max_size=1)
        spool.write(b"x" * 10)
        assert not spool._rolled  # type: ignore[attr-defined] # as above
        assert flight not in spools._open
        spool.close()


def test_report_mode_spools_as_ever(within: Within, counts: violations.Violations) -> None:
    """Where one only counts the file is made, counted, and left to its owner."""
    with within(enforce=False) as flight:
        spool: Any = tempfile.SpooledTemporaryFile(max_size=10)
        spool.write(b"x" * 100)
        assert spool._rolled
        assert not place_of(spool).startswith("/memfd:")
        spools.release(flight)
        assert not spool.closed
        spool.close()
    assert counts.counts()["file.reported"] >= 1


def test_outside_of_exchanges_nothing_changes() -> None:
    """A job that spools gigabytes rolls over as the standard library says."""
    with tempfile.SpooledTemporaryFile(max_size=10) as spool:
        spool.write(b"x" * 100)
        assert spool._rolled  # type: ignore[attr-defined] # as above
        assert spools._open == {}


def test_the_uninstall_leaves_tempfile_as_it_was() -> None:
    """The class and the function are the originals again."""
    spools.uninstall()
    before = dict(vars(tempfile.SpooledTemporaryFile)), tempfile.TemporaryFile
    spools.install()
    assert (dict(vars(tempfile.SpooledTemporaryFile)), tempfile.TemporaryFile) != before
    spools.uninstall()
    assert (dict(vars(tempfile.SpooledTemporaryFile)), tempfile.TemporaryFile) == before
    spools.install()


_STEPS = st.one_of(
    st.tuples(st.just("write"), st.binary(max_size=40)),
    st.tuples(st.just("seek"), st.integers(0, 60)),
    st.tuples(st.just("read"), st.integers(-1, 40)),
    st.tuples(st.just("truncate"), st.integers(0, 60)),
    st.tuples(st.just("readline"), st.integers(-1, 10)),
    st.tuples(st.just("rollover")),
    st.tuples(st.just("tell")),
)


@settings(max_examples=50)
@given(steps=st.lists(_STEPS, max_size=20), size=st.integers(0, 50))
def test_a_spool_behaves_as_pythons_own(steps: list[tuple[Any, ...]], size: int) -> None:
    """Whatever is done with it, it gives what a spool outside of an exchange gives."""
    plain: Any = tempfile.SpooledTemporaryFile(max_size=size)
    flight = Flight(boundary=Boundary())
    token = CURRENT.set(flight)
    try:
        kept: Any = tempfile.SpooledTemporaryFile(max_size=size)
        for name, *args in steps:
            here = getattr(kept, name)(*args)
            CURRENT.reset(token)
            there = getattr(plain, name)(*args)
            token = CURRENT.set(flight)
            assert here == there
        assert kept.tell() == plain.tell()
        kept.seek(0)
        plain.seek(0)
        copy = io.BytesIO()
        shutil.copyfileobj(kept, copy)
        assert copy.getvalue() == plain.read()
    finally:
        CURRENT.reset(token)
        spools.release(flight)
        plain.close()
    assert kept.closed


def test_the_tier_says_whether_uploads_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report mode only counts, and a library of another shape is named."""
    assert spools.tiers(Boundary())["uploads"].grade == "closed"
    assert spools.tiers(Boundary(enforce=False))["uploads"].grade == "watched"
    monkeypatch.setitem(spools.PATCHES.troubles, "tempfile", "AttributeError")
    tier = spools.tiers(Boundary())["uploads"]
    assert tier.grade == "watched"
    assert "tempfile" in tier.how
