"""Acting: what is always allowed to write inside an exchange, and what only looks like it."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import logging.handlers
import os
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import jinja2
import pytest
from loguru import logger as loguru_logger

from zeroret.content.flight import Flight
from zeroret.errors import RetentionViolation
from zeroret.guards import acting, children, files, violations
from zeroret.journal.folder import Folder
from zeroret.sinks import open_sink
from zeroret.usage.record import COLUMNS, UsageRecord

Within: TypeAlias = Callable[..., AbstractContextManager[Flight]]


@pytest.fixture(autouse=True)
def guarded() -> Iterator[None]:
    """Install the guards for one test."""
    files.install()
    children.install()
    yield
    children.uninstall()
    files.uninstall()


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> violations.Violations:
    """Give this test a count of its own."""
    own = violations.Violations()
    monkeypatch.setattr(violations, "VIOLATIONS", own)
    return own


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder of modules that nobody imported yet; byte code may be written."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        sys.modules.pop(name, None)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[logging.Logger]:
    """Give a logger of its own, whose handlers are closed in the end."""
    made = logging.getLogger("tests.guards.acting")
    made.propagate = False
    made.setLevel(logging.INFO)
    yield made
    for handler in list(made.handlers):
        made.removeHandler(handler)
        handler.close()


def test_a_lazy_import_compiles_and_caches(modules: Path, within: Within) -> None:
    """A module that a handler imports first is compiled, and its byte code cached."""
    (modules / "late_one").mkdir()
    (modules / "late_one/__init__.py").write_text("from late_one import inner\n")
    (modules / "late_one/inner.py").write_text("VALUE = 1\n")
    with within():
        late: Any = importlib.import_module("late_one")
    assert late.inner.VALUE == 1
    cached = sorted(each.name for each in (modules / "late_one/__pycache__").iterdir())
    assert [name.split(".")[0] for name in cached] == ["__init__", "inner"]


@pytest.mark.parametrize("statement", ["import late_two", "importlib.import_module('late_two')"])
def test_the_body_of_a_lazy_import_may_write_and_start(
    statement: str, modules: Path, within: Within, counts: violations.Violations
) -> None:
    """What a library does as it is imported carries no content: caches, ``ldconfig``, variables."""
    made = modules / "cache"
    (modules / "late_two.py").write_text(
        "import os, pathlib, subprocess, sys\n"
        f"path = pathlib.Path({str(made)!r})\n"
        "path.mkdir()\n"
        "(path / 'file').write_text('cached')\n"
        "os.environ['LATE_TWO'] = 'x'\n"
        "subprocess.run([sys.executable, '-c', ''], check=True)\n"
        "def write(where):\n"
        "    pathlib.Path(where).write_text('content')\n"
    )
    with within():
        exec(statement, {"importlib": importlib})  # noqa: S102 - ours
        late: Any = sys.modules["late_two"]
        with pytest.raises(RetentionViolation):
            late.write(modules / "new")
    assert (made / "file").read_text() == "cached"
    assert counts.counts() == {"file.refused": 1}
    os.environ.pop("LATE_TWO")


def test_a_server_that_runs_inside_an_import_is_no_lazy_import(tmp_path: Path) -> None:
    """Only imports that an exchange began are let through, not what one runs inside of."""
    (tmp_path / "server.py").write_text(
        "import pathlib, sys\n"
        "from zeroret.content.boundary import Boundary\n"
        "from zeroret.content.flight import CURRENT, Flight\n"
        "from zeroret.guards import files\n"
        "files.install()\n"
        "token = CURRENT.set(Flight(boundary=Boundary()))\n"
        "try:\n"
        "    pathlib.Path('new').write_text('content')\n"
        "except PermissionError:\n"
        "    print('refused')\n"
        "CURRENT.reset(token)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import server"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "refused\n", done.stderr


def test_executed_text_is_no_import(tmp_path: Path, within: Within) -> None:
    """A model's code that is run by ``exec``, under whatever name, writes nothing."""
    code = compile("open(path, 'w')", "late.py", "exec")
    with within():
        for namespace in ({"__name__": "json"}, vars(ModuleType("late"))):
            with pytest.raises(RetentionViolation):
                exec(code, {**namespace, "path": str(tmp_path / "new")})  # noqa: S102 - ours
    assert not (tmp_path / "new").exists()


def test_the_noted_imports_are_bounded(
    modules: Path, within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound the older ones are forgotten, and refused."""
    monkeypatch.setattr(acting, "_MOST_BEGUN", 2)
    for number in range(4):
        (modules / f"late_{number}.py").write_text("")
    with within():
        for number in range(4):
            importlib.import_module(f"late_{number}")
    assert len(acting._begun) <= 2


def rotating(path: Path) -> logging.Handler:
    """Return a handler that rotates with nearly every record."""
    return logging.handlers.RotatingFileHandler(path, maxBytes=10, backupCount=2)


def timed(path: Path) -> logging.Handler:
    """Return a handler that rotates with the next record."""
    handler = logging.handlers.TimedRotatingFileHandler(path, when="S", backupCount=2)
    handler.rolloverAt = int(time.time()) - 1
    return handler


def delayed(path: Path) -> logging.Handler:
    """Return a handler that opens its file with the first record."""
    return logging.FileHandler(path, delay=True)


def watched(path: Path) -> logging.Handler:
    """Return a handler whose file was moved away."""
    handler = logging.handlers.WatchedFileHandler(path)
    path.unlink()
    return handler


@pytest.mark.parametrize("make", [rotating, timed, delayed, watched])
def test_log_handlers_open_and_rotate_their_files(
    make: Callable[[Path], logging.Handler],
    tmp_path: Path,
    log: logging.Logger,
    within: Within,
    counts: violations.Violations,
) -> None:
    """A log goes on inside exchanges: what it may hold is the log guard's matter."""
    path = tmp_path / "app.log"
    log.addHandler(make(path))
    with within():
        for _ in range(3):
            log.info("a line of the log")
    assert "a line" in path.read_text()
    assert counts.counts() == {}


def test_a_queued_record_opens_its_file_in_the_listeners_thread(
    tmp_path: Path, within: Within, counts: violations.Violations
) -> None:
    """The listener's thread is nobody's: its handler's file is no violation to count."""
    waiting: queue.Queue[logging.LogRecord] = queue.Queue()
    listener = logging.handlers.QueueListener(waiting, delayed(tmp_path / "app.log"))
    listener.start()
    with within():
        waiting.put(logging.LogRecord("x", logging.INFO, "", 0, "a line", (), None))
        listener.stop()
    for handler in listener.handlers:
        handler.close()
    assert (tmp_path / "app.log").read_text() == "a line\n"
    assert counts.counts() == {}


def test_a_handler_made_inside_an_exchange_is_an_open_like_any_other(
    tmp_path: Path, within: Within
) -> None:
    """``FileHandler(f"{user}.log")`` puts content into a name."""
    with within(), pytest.raises(RetentionViolation):
        logging.FileHandler(tmp_path / "prompt.log")


def test_an_object_that_is_formatted_is_no_log_handler(
    tmp_path: Path, log: logging.Logger, within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a record's argument does while it is rendered is not the handler's doing."""

    class Writing:
        def __str__(self) -> str:
            (tmp_path / "new").write_text("content")
            return ""

    log.addHandler(logging.FileHandler(tmp_path / "app.log"))
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with within():
        log.info("%s", Writing())
    assert not (tmp_path / "new").exists()


def test_loguru_rotates(tmp_path: Path, within: Within, counts: violations.Violations) -> None:
    """A file sink opens, renames and opens again as it rotates."""
    sink = loguru_logger.add(
        str(tmp_path / "app.log"), rotation=10, format="{message}", delay=True, catch=False
    )
    try:
        with within():
            for number in range(3):
                loguru_logger.info("a line {}", number)
    finally:
        loguru_logger.remove(sink)
    assert len(list(tmp_path.iterdir())) == 3
    assert counts.counts() == {}


def test_jinja_caches_its_byte_code(tmp_path: Path, within: Within) -> None:
    """A template that is first needed inside an exchange may go to the configured cache."""
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({"page": "Hello {{ name }}"}),
        bytecode_cache=jinja2.FileSystemBytecodeCache(str(tmp_path)),
        autoescape=True,
    )
    with within():
        assert environment.get_template("page").render(name="you") == "Hello you"
    assert list(tmp_path.iterdir())


def test_the_probe_of_a_temporary_folder_is_no_content(
    within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finding out where temporary files would go writes four bytes of Python's own."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    with within():
        assert tempfile.gettempdir()


def test_zerorets_journal_and_sinks_write(
    tmp_path: Path, within: Within, make: Callable[..., UsageRecord]
) -> None:
    """A segment, a live slot or a store may have to be opened while an exchange runs."""
    with within():
        folder = Folder(tmp_path / "journal")
        os.close(folder.open("segment", os.O_WRONLY | os.O_CREAT))
        folder.close()
        for uri in ("jsonl", "sqlite"):
            sink = open_sink(f"{uri}:///{tmp_path}/usage.{uri}", columns=COLUMNS)
            sink.write([make(1)])
            sink.close()
    made = {each.name for each in tmp_path.iterdir()}
    assert {"journal", "usage.jsonl", "usage.sqlite"} <= made


def test_whoever_calls_itself_zeroret_is_not_zeroret(tmp_path: Path, within: Within) -> None:
    """The name of a namespace is no proof: it must be the module's own."""
    code = compile("open(path, 'w')", "files.py", "exec")
    with within(), pytest.raises(RetentionViolation):
        exec(code, {"__name__": "zeroret.journal.files", "path": str(tmp_path / "new")})  # noqa: S102 - ours
