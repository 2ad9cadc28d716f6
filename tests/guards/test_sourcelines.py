# ruff: noqa: T201 - printing is one of the ways
"""Source lines: what is shown as the line of a file stands in that file, whatever was cached."""

from __future__ import annotations

import importlib
import io
import linecache
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import loguru
import pytest
import rich.console
import rich.traceback
import structlog

from zeroret.content.flight import Flight
from zeroret.guards import libraries, source, sourcelines, tracebacks, warned

Printed = Callable[[], str]

TEXT = """import warnings

def fail():
    raise ValueError("a constant")

def stack(log):
    log.warning("here", stack_info=True)

def template(log, value):
    log.warning(f"took {value} ms")

def warn():
    warnings.warn("a constant", UserWarning)

def printing(value):
    print(f"took {value} ms")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Give a module of an application's, imported from a file."""
    (tmp_path / "poisoned_app.py").write_text(TEXT)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("poisoned_app")
    sys.modules.pop("poisoned_app", None)


@pytest.fixture
def poisoned(module: ModuleType, content: str) -> Iterator[ModuleType]:
    """Give the module, with content in the line cache in its file's place."""
    path = str(module.__file__)
    lines = [f"    raise ValueError(f'{content} {{1}}') # {content}\n" for _ in TEXT.splitlines()]
    linecache.cache[path] = (1, None, lines, path)
    libraries.install()
    warned.install()
    yield module
    warned.uninstall()
    libraries.uninstall()
    linecache.cache.pop(path, None)


def _caught(module: ModuleType) -> BaseException:
    try:
        module.fail()
    except ValueError as error:
        return error
    raise AssertionError


def _rich(module: ModuleType) -> str:
    file = io.StringIO()
    console = rich.console.Console(file=file, width=200)
    error = _caught(module)
    shown = rich.traceback.Traceback.from_exception(type(error), error, error.__traceback__)
    console.print(shown)
    return file.getvalue()


def _loguru(module: ModuleType) -> str:
    file = io.StringIO()
    number = loguru.logger.add(file, backtrace=True, diagnose=False, colorize=False)
    loguru.logger.opt(exception=_caught(module)).error("a constant")
    loguru.logger.remove(number)
    return file.getvalue()


def _structlog(module: ModuleType) -> str:
    file = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(file),
        processors=[structlog.dev.ConsoleRenderer(colors=False)],
    )
    log.error("a constant", exc_info=_caught(module))
    return file.getvalue()


def _stand_in(module: ModuleType) -> str:
    """Render what a server would, of an error whose text was taken out."""
    trace = tracebacks.synthetic(tracebacks.places(_caught(module).__traceback__))
    return "".join(traceback.format_tb(trace))


@pytest.mark.parametrize("render", [_rich, _loguru, _structlog, _stand_in])
def test_tracebacks_of_libraries_read_the_file(
    render: Callable[[ModuleType], str], running: Flight, poisoned: ModuleType, content: str
) -> None:
    """The line that raised is shown as it stands in the file, not as the cache says."""
    text = render(poisoned)
    assert 'raise ValueError("a constant")' in text
    assert not any(word in text for word in content.split())


def test_log_records_read_the_file(
    running: Flight, poisoned: ModuleType, content: str, output: Any
) -> None:
    """Stacks, tracebacks and templates of messages are made of the file's own lines."""
    poisoned.stack(output.log)
    assert 'log.warning("here", stack_info=True)' in output.records[-1].stack_info
    poisoned.template(output.log, content)
    assert output.message == "took {…} ms"
    output.log.error("failed", exc_info=_caught(poisoned))
    assert 'raise ValueError("a constant")' in output.records[-1].exc_text
    assert not any(word in output.text for word in content.split())


def test_what_is_printed_reads_the_file(
    running: Flight, poisoned: ModuleType, content: str, printed: Printed
) -> None:
    """Printed tracebacks, warnings and f-strings show no line of the cache."""
    poisoned.printing(content)
    traceback.print_exception(_caught(poisoned))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        poisoned.warn()
    try:
        poisoned.fail()
    except ValueError:
        print(traceback.format_exc())
    text = printed()
    assert "took {…} ms" in text
    assert text.count('raise ValueError("a constant")') == 2
    assert not any(word in text for word in content.split())


def test_a_poisoned_cache_vouches_for_no_code(
    module: ModuleType, running: Flight, content: str, output: Any
) -> None:
    """Code is compared with what its file compiles to, also where there is no byte-code."""
    text = f"def say(log):\n    log.warning({content!r})\n"
    path = str(module.__file__)
    linecache.cache[path] = (1, None, text.splitlines(keepends=True), path)
    vars(module)["__loader__"] = None
    exec(compile(text, path, "exec"), vars(module))  # noqa: S102 - it is what a colleague does
    vars(module)["say"](output.log)
    linecache.cache.pop(path)
    assert not any(word in output.text for word in content.split())


def test_code_that_was_generated_keeps_its_lines(running: Flight, poisoned: ModuleType) -> None:
    """What a program put into the cache for code without a file, it finds there."""
    linecache.cache["<generated>"] = (1, None, ["x = 1\n"], "<generated>")
    assert linecache.getlines("<generated>") == ["x = 1\n"]
    del linecache.cache["<generated>"]


def test_with_nothing_in_flight_the_cache_is_the_programs(poisoned: ModuleType) -> None:
    """No line is looked at where no exchange is live."""
    assert linecache.getlines(str(poisoned.__file__))[0].startswith("    raise ValueError(f")


def test_lines_of_any_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in any encoding, modules in archives, and nothing for what cannot be read."""
    import zipfile

    path = tmp_path / "latin.py"
    path.write_bytes("# coding: latin-1\nx = 'ä'".encode("latin-1"))
    assert sourcelines.rows(str(path), {}) == ["# coding: latin-1\n", "x = 'ä'\n"]
    assert sourcelines.rows(str(tmp_path / "none.py"), {}) == []
    assert sourcelines.rows("<frozen os>", vars(os)) == []
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.writestr("zipped_app.py", TEXT)
    monkeypatch.syspath_prepend(str(tmp_path / "packed.zip"))
    module = importlib.import_module("zipped_app")
    assert source.lines(vars(module), 3, 3) == ["def fail():\n"]
    del sys.modules["zipped_app"]
