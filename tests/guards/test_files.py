"""Files: inside an exchange nothing is opened for writing that the operator did not name."""

from __future__ import annotations

import dbm.dumb
import errno
import io
import logging
import os
import pathlib
import pickle
import posix
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from multiprocessing import shared_memory
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.content.boundary import Boundary
from zeroret.content.flight import CURRENT, Flight
from zeroret.errors import RetentionViolation
from zeroret.guards import audit, crossings, databases, files, tally, threads, violations

Within: TypeAlias = Callable[..., AbstractContextManager[Flight]]
Without: TypeAlias = Callable[[], AbstractContextManager[None]]
Act: TypeAlias = Callable[[Path], object]


class Fickle:
    """A path that names an allowed place when it is judged, and another when it is opened."""

    def __init__(self, *places: Path) -> None:
        self._places = list(places)

    def __fspath__(self) -> str:
        """Return the next place."""
        place = self._places[0] if len(self._places) == 1 else self._places.pop(0)
        return str(place)


@pytest.fixture(autouse=True)
def guarded() -> Iterator[None]:
    """Install the guard for one test."""
    files.install()
    yield
    files.uninstall()


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> violations.Violations:
    """Give this test a count of its own."""
    own = violations.Violations()
    monkeypatch.setattr(violations, "VIOLATIONS", own)
    return own


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a folder with one that may be written, and one that may not."""
    real = tmp_path.resolve()
    (real / "allowed").mkdir()
    (real / "other").mkdir()
    (real / "other/file").write_text("there")
    return real


def keep_open(path: Path, flags: int) -> None:
    """Open and close by `os.open`."""
    os.close(os.open(path, flags))


ACTS: dict[str, Act] = {
    "open w": lambda path: path.open("w").close(),
    "open a": lambda path: path.open("a").close(),
    "open x": lambda path: path.open("x").close(),
    "open r+": lambda path: (path.parent / "file").open("r+").close(),
    "io.open bytes": lambda path: io.open(os.fsencode(path), "wb").close(),  # noqa: UP020 - as it says
    "FileIO": lambda path: io.FileIO(str(path), "w").close(),
    "opener": lambda path: open(path, "w", opener=os.open).close(),
    "write_text": lambda path: path.write_text("x"),
    "touch": lambda path: path.touch(),
    "os.open O_WRONLY": lambda path: keep_open(path, os.O_WRONLY | os.O_CREAT),
    "os.open O_RDWR": lambda path: keep_open(path.parent / "file", os.O_RDWR),
    "os.open O_CREAT": lambda path: keep_open(path, os.O_CREAT),
    "os.open O_TRUNC": lambda path: keep_open(path.parent / "file", os.O_TRUNC),
    "os.open O_TMPFILE": lambda path: keep_open(path.parent, os.O_TMPFILE | os.O_RDWR),
    "zipfile": lambda path: zipfile.ZipFile(path, "w").close(),
    "pickle": lambda path: path.write_bytes(pickle.dumps("x")),
    "mkstemp": lambda path: os.close(tempfile.mkstemp(dir=path.parent)[0]),
    "NamedTemporaryFile": lambda path: tempfile.NamedTemporaryFile(dir=path.parent).close(),
    "TemporaryFile": lambda path: tempfile.TemporaryFile(dir=path.parent).close(),
    "TemporaryDirectory": lambda path: tempfile.TemporaryDirectory(dir=path.parent).cleanup(),
    "truncate": lambda path: os.truncate(path.parent / "file", 0),
    "mkdir": lambda path: path.mkdir(),
    "makedirs": lambda path: os.makedirs(path / "deep"),  # noqa: PTH103 - as it says
    "symlink": lambda path: path.symlink_to("content of a prompt"),
    "link": lambda path: os.link(path.parent / "file", path),
    "rename": lambda path: (path.parent / "file").rename(path),
    "copy": lambda path: shutil.copy(__file__, path),
    "move": lambda path: shutil.move(path.parent / "file", path),
    "setxattr": lambda path: os.setxattr(path.parent / "file", "user.prompt", b"x"),
    "FileHandler": lambda path: logging.FileHandler(path).close(),
    "dbm.dumb": lambda path: dbm.dumb.open(str(path), "c").close(),
}


@pytest.mark.parametrize("name", ACTS)
def test_writing_is_refused_where_it_is_not_allowed(
    name: str, root: Path, within: Within, counts: violations.Violations
) -> None:
    """Each way to make, open or change a file raises, leaves nothing behind, and is counted."""
    before = sorted(root.rglob("*")), (root / "other/file").read_text()
    with within(writable=[root / "allowed"]), pytest.raises(RetentionViolation) as refused:
        ACTS[name](root / "other/new")
    assert (sorted(root.rglob("*")), (root / "other/file").read_text()) == before
    assert os.listxattr(root / "other/file") == []
    assert counts.counts().keys() == {"file.refused"}
    assert "(test_files.py:" in str(refused.value)
    assert "other" not in str(refused.value)
    assert refused.value.filename is None
    if name.startswith("open"):
        assert refused.value.__context__ is None


@pytest.mark.parametrize("name", ACTS)
def test_writing_is_allowed_in_a_folder_that_is_named(
    name: str, root: Path, within: Within, counts: violations.Violations
) -> None:
    """The same ways work as ever in a folder of ``writable``."""
    (root / "allowed/file").write_text("there")
    with within(writable=[root / "allowed"]):
        ACTS[name](root / "allowed/new")
    assert counts.counts() == {}


@pytest.mark.parametrize("name", ["open w", "rename", "mkdir"])
def test_report_mode_counts_and_lets_pass(
    name: str, root: Path, within: Within, counts: violations.Violations
) -> None:
    """Nothing is refused; the posture says what would have been."""
    with within(enforce=False):
        ACTS[name](root / "other/new")
    assert (root / "other/new").exists()
    assert counts.counts() == {"file.reported": 1}
    assert counts.places()[0]["place"].startswith("test_files.py:")


def test_reading_and_removing_are_nobodys_concern(root: Path, within: Within) -> None:
    """What carries nothing out is not looked at."""
    with within():
        assert (root / "other/file").read_text() == "there"
        os.close(os.open(root, os.O_RDONLY | os.O_DIRECTORY))
        assert list(root.iterdir())
        (root / "other/file").unlink()
        (root / "other").rmdir()


def test_what_is_open_already_and_the_null_device_are_no_way_out(
    root: Path, within: Within
) -> None:
    """A descriptor may be opened again, and written; so may the null device."""
    with (root / "other/file").open("w") as file, within():
        open(os.dup(file.fileno()), "w").close()  # noqa: PTH123 - as it says
        os.truncate(file.fileno(), 0)
        Path(os.devnull).write_text("x")
        os.close(os.open(os.devnull, os.O_RDWR))
        with pytest.raises(RetentionViolation):
            Path(f"/proc/self/fd/{file.fileno()}").open("w").close()
        with pytest.raises(RetentionViolation):
            Path("/dev/stdout").open("w").close()


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="needs extended attributes")
def test_attributes_of_an_open_file_are_judged_by_its_place(root: Path, within: Within) -> None:
    """An attribute stays on the disk, though the descriptor may be open for reading only."""
    with (
        (root / "other/file").open() as file,
        within(writable=[root / "allowed"]),
        pytest.raises(RetentionViolation),
    ):
        os.setxattr(file.fileno(), "user.prompt", b"x")
    assert os.listxattr(root / "other/file") == []


@pytest.mark.parametrize(
    "act",
    [
        lambda path: io.FileIO(path, "w").close(),
        lambda path: open(path, "w").close(),  # noqa: PTH123 - as it says
        lambda path: os.close(os.open(path, os.O_WRONLY | os.O_CREAT)),
        os.mkdir,
        lambda path: os.truncate(path, 0),
    ],
)
def test_a_path_that_changes_its_answer_leads_nowhere_else(
    act: Act, root: Path, within: Within
) -> None:
    """What is judged is what is opened, or it is refused."""
    for asked in range(4):
        places = [root / "allowed/a"] * asked + [root / "other/a"]
        with within(writable=[root / "allowed"]), suppress(RetentionViolation, FileNotFoundError):
            act(Fickle(*places))  # type: ignore[arg-type] # a path-like, as it takes
        with suppress(FileNotFoundError):
            shutil.rmtree(root / "allowed/a", ignore_errors=True)
            (root / "allowed/a").unlink()
    assert sorted(each.name for each in (root / "other").iterdir()) == ["file"]


def test_a_number_that_is_no_descriptor_is_refused(root: Path, within: Within) -> None:
    """A number that overflows is taken for a path by `io.FileIO`, if it is one, too."""

    class Both(int):
        def __fspath__(self) -> str:
            return str(root / "other/both")

    with within(), pytest.raises(RetentionViolation):
        io.FileIO(Both(2**40), "w")
    assert not (root / "other/both").exists()


def test_a_relative_path_starts_from_its_folder(
    root: Path, within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``os.open(dir_fd=…)`` is judged by the folder that it names, not by the current one."""
    monkeypatch.chdir(root / "allowed")
    outer, inner = (os.open(root / name, os.O_RDONLY) for name in ("other", "allowed"))
    flags = os.O_WRONLY | os.O_CREAT
    try:
        with within(writable=[root / "allowed"]):
            os.close(os.open("new", flags))
            os.close(os.open(b"bytes", flags, 0o600, dir_fd=inner))
            os.close(os.open(str(root / "allowed/absolute"), flags, dir_fd=outer))
            for path in ("new", b"new", "../other/new", str(root / "other/new")):
                with pytest.raises(RetentionViolation):
                    os.open(path, flags, dir_fd=outer)
            with pytest.raises(RetentionViolation):
                posix.open("new", flags, dir_fd=outer)
            with pytest.raises(RetentionViolation):
                os.open("../other/new", flags, dir_fd=inner)
            monkeypatch.chdir(root)
            with pytest.raises(RetentionViolation):
                os.open("new", flags)
            with pytest.raises(RetentionViolation):
                os.mkdir("new", dir_fd=outer)
            with pytest.raises(RetentionViolation):
                os.rename(root / "allowed/a", "new", dst_dir_fd=outer)
            with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
                os.open("new", os.O_RDONLY, dir_fd=9999)
            with pytest.raises(RetentionViolation):
                os.open("new", flags, dir_fd=9999)
            Path("allowed/text").write_text("x")
    finally:
        os.close(outer)
        os.close(inner)
    assert sorted(each.name for each in (root / "other").iterdir()) == ["file"]
    assert sorted(os.listdir(root / "allowed")) == ["absolute", "bytes", "new", "text"]  # noqa: PTH208 - names


def test_a_relative_path_that_says_nothing_of_its_folder_is_refused(
    root: Path, within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who took ``os.open`` before the guard is only heard of by an event, which tells no folder."""
    monkeypatch.chdir(root / "allowed")
    files.uninstall()
    before = os.open
    files.install()
    with within(writable=[root / "allowed"]), pytest.raises(RetentionViolation):
        before("new", os.O_WRONLY | os.O_CREAT)
    assert os.open in os.supports_dir_fd


def test_links_lead_where_they_lead(root: Path, within: Within) -> None:
    """Neither a soft nor a hard link makes an outer file writable, nor a rename an outer name."""
    (root / "allowed/out").symlink_to(root / "other")
    (root / "in").symlink_to(root / "allowed")
    (root / "other/in").symlink_to(root / "allowed/target")
    (root / "allowed/a").write_text("a")
    with within(writable=[root / "allowed"]):
        (root / "in/new").write_text("x")
        for act in (
            lambda: (root / "allowed/out/new").write_text("x"),
            lambda: (root / "allowed/../other/new").write_text("x"),
            lambda: os.link(root / "other/file", root / "allowed/hard"),
            lambda: (root / "allowed/a").rename(root / "other/in"),
            (root / "allowed-not").mkdir,
        ):
            with pytest.raises(RetentionViolation):
                act()
        (root / "allowed/a").rename(root / "allowed/out")
    assert (root / "other/in").is_symlink()


def test_a_file_may_be_named_alone(root: Path, within: Within) -> None:
    """An entry of ``writable`` that is a file allows that file and nothing beside it."""
    with within(writable=[root / "one"]):
        (root / "one").write_text("x")
        with pytest.raises(RetentionViolation):
            (root / "one2").write_text("x")


_PARTS = st.sampled_from(["..", ".", "sub", "in", "out", "back", "file", "new", "loop"])


@given(
    parts=st.lists(_PARTS, min_size=1, max_size=6),
    start=st.sampled_from(["allowed", "allowed/sub", "other"]),
)
def test_no_path_leads_out(parts: list[str], start: str) -> None:
    """Whatever a path is made of: what may be written lies inside, what is refused would not."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve()
        for folder in ("allowed/sub", "other/sub"):
            (root / folder).mkdir(parents=True)
        (root / "allowed/out").symlink_to("../other")
        (root / "allowed/sub/out").symlink_to(root / "other/new")
        (root / "other/in").symlink_to("../allowed")
        (root / "allowed/in").symlink_to("sub")
        (root / "allowed/back").symlink_to("..")
        (root / "allowed/loop").symlink_to("loop")
        path = "/".join([str(root / start), *parts])
        flight = Flight(boundary=Boundary(writable=(str(root / "allowed"),)))
        token = CURRENT.set(flight)
        written = refused = False
        try:
            open(path, "w").close()  # noqa: PTH123 - as a text
            written = True
        except RetentionViolation:
            refused = True
        except OSError:
            pass
        finally:
            CURRENT.reset(token)
        made = [each for each in (root / "other").rglob("*") if each.is_file()]
        assert made == []
        assert not (root / "new").exists()
        if refused:
            try:
                open(path, "w").close()  # noqa: PTH123 - as a text
            except OSError:
                return
            inner = [each for each in (root / "allowed").rglob("*") if each.is_file()]
            assert [each for each in inner if not each.is_symlink()] == []
        else:
            assert written or not Path(path).is_file()


def test_shared_memory_is_a_file(root: Path, within: Within, counts: violations.Violations) -> None:
    """POSIX shared memory outlives the process; making it raises no audit event of its own."""
    with within(), pytest.raises(RetentionViolation):
        shared_memory.SharedMemory(create=True, size=16)
    assert counts.counts() == {"file.refused": 1}
    with within(writable=["/dev/shm"]):  # noqa: S108 - where shared memory stands
        memory = shared_memory.SharedMemory(create=True, size=16)
        memory.close()
        memory.unlink()


def test_dbm_files_of_c_libraries_are_judged(
    root: Path, within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The C libraries open files without an event: their modules' ``open`` is judged instead."""
    opened: list[tuple[Any, ...]] = []
    stand_in = ModuleType("dbm.gnu")
    stand_in.open = lambda *args: opened.append(args)  # type: ignore[attr-defined] # made here
    monkeypatch.setitem(sys.modules, "dbm.gnu", stand_in)
    files.uninstall()
    files.install()
    with within(writable=[root / "allowed"]):
        stand_in.open(str(root / "other/file"))
        stand_in.open(str(root / "allowed/new"), "c")
        with pytest.raises(RetentionViolation):
            stand_in.open(str(root / "other/new"), "c")
    assert opened == [
        (str(root / "other/file"), "r", 0o666),
        (str(root / "allowed/new"), "c", 0o666),
    ]


def test_threads_of_an_exchange_are_inside(root: Path, within: Within) -> None:
    """A thread or a pool's job that the handler started is refused like the handler itself."""
    threads.install()
    raised: list[BaseException] = []

    def write() -> None:
        try:
            (root / "other/new").write_text("x")
        except RetentionViolation as error:
            raised.append(error)

    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()
            with within():
                future = pool.submit(open, root / "other/new", "w")
                with pytest.raises(RetentionViolation):
                    future.result()
                thread = threading.Thread(target=write)
                thread.start()
                thread.join()
    finally:
        threads.uninstall()
    assert len(raised) == 1
    assert not (root / "other/new").exists()


def test_a_thread_of_no_exchange_is_counted_and_never_refused(
    root: Path, within: Within, without: Without, counts: violations.Violations
) -> None:
    """While content is in flight a write elsewhere is counted; reads and allowed files are not."""
    with without():
        (root / "other/before").write_text("x")
    with within(writable=[root / "allowed"]), without():
        (root / "other/new").write_text("x")
        (root / "allowed/new").write_text("x")
        assert (root / "other/new").read_text() == "x"
    assert counts.counts() == {"file.reported": 1}


def test_zerorets_own_threads_are_exempt(
    root: Path, within: Within, without: Without, counts: violations.Violations
) -> None:
    """Delivery writes to files while exchanges run."""
    with within(), without():
        thread = threading.Thread(
            target=(root / "other/new").write_text, args=("x",), name="zeroret-test"
        )
        thread.start()
        thread.join()
    assert (root / "other/new").exists()
    assert counts.counts() == {}


def test_the_callback_of_a_violation_may_write(root: Path, within: Within) -> None:
    """What ``on_violation`` does about a violation is the operator's own."""

    def note(violation: violations.Violation) -> None:
        (root / "other/violations").write_text(violation.kind)

    with within(on_violation=note), pytest.raises(RetentionViolation):
        (root / "other/new").write_text("x")
    assert (root / "other/violations").read_text() == "file"


@pytest.mark.parametrize("error", [MemoryError, RecursionError, ZeroDivisionError, OSError])
def test_a_guard_that_fails_refuses(
    error: type[Exception], root: Path, within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error inside the guard is a refusal where one enforces, and passes where one reports."""

    def broken(path: object) -> None:
        raise error("a secret")

    before = tally.snapshot().get("crossings.failed", 0)
    with within(writable=[root / "allowed"]):
        monkeypatch.setattr(os.path, "realpath", broken)
        with pytest.raises(RetentionViolation) as refused:
            (root / "allowed/new").write_text("x")
    assert "secret" not in str(refused.value)
    assert refused.value.__context__ is None
    assert refused.value.__cause__ is None
    with within(enforce=False):
        (root / "other/new").write_text("x")
    assert tally.snapshot()["crossings.failed"] == before + 2


def test_a_failing_refusal_refuses(
    root: Path, within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even counting a violation can be what lets it pass."""

    def broken(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(crossings, "refuse", broken)
    monkeypatch.setattr(tally, "count", broken)
    with within(), pytest.raises(RetentionViolation):
        (root / "other/new").write_text("x")
    assert not (root / "other/new").exists()


def test_a_failure_outside_of_exchanges_is_nobodys(
    root: Path, within: Within, without: Without, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that no exchange started never gets an error of ours."""

    def broken(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(crossings, "report", broken)
    with within(), without():
        (root / "other/new").write_text("x")
    assert (root / "other/new").exists()


def test_after_the_uninstall_everything_passes(root: Path, within: Within) -> None:
    """Uninstalled, the interpreter is as it was: no handler, no replaced attribute."""
    files.uninstall()
    try:
        assert "open" not in audit._table[0]
        with within():
            (root / "other/new").write_text("x")
    finally:
        files.install()


def test_a_fork_inherits_the_guard(root: Path, within: Within) -> None:
    """A forked child is still inside, and still refused."""
    with within():
        child = os.fork()
        if child == 0:
            try:
                (root / "other/new").write_text("x")
            except RetentionViolation:
                os._exit(0)
            finally:
                os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert not (root / "other/new").exists()


def test_a_process_without_room_keeps_its_promise() -> None:
    """Where the stack is nearly full the act fails with it, whatever the guard can still do."""
    program = """
import sys, tempfile, pathlib
from zeroret.guards import files
from zeroret.content.flight import CURRENT, Flight
from zeroret.content.boundary import Boundary
files.install()
CURRENT.set(Flight(boundary=Boundary()))
path = pathlib.Path(sys.argv[1])
def deep():
    try:
        deep()
    except RecursionError:
        pass
    open(str(path), "w").close()
try:
    deep()
except (RecursionError, PermissionError):
    pass
assert not path.exists()
"""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", program, str(pathlib.Path(folder) / "new")],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr


def test_the_tiers_say_what_is_closed_and_what_is_not() -> None:
    """Files are closed or counted; descriptors that are open already stay out of reach."""
    assert files.tiers(Boundary())["files"].grade == "closed"
    assert files.tiers(Boundary(enforce=False))["files"].grade == "watched"
    assert files.tiers(Boundary())["open descriptors"].grade == "out of reach"


def test_a_library_of_another_shape_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be patched is not claimed to be closed."""
    monkeypatch.setitem(databases.PATCHES.troubles, "a_library", "AttributeError")
    tier = files.tiers(Boundary())["files"]
    assert tier.grade == "watched"
    assert "a_library" in tier.how
