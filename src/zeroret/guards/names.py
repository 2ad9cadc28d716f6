"""Names on a log record: logger, level, thread, process, task and place; closed sets only.

`logging.getLogger(prompt)`, `addLevelName(60, prompt)` and `Thread(name=prompt)` exist, so each of
them is content until it is an ordinary one.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from zeroret.content.live import LIVE
from zeroret.guards import source

if TYPE_CHECKING:
    from types import CodeType, FrameType

WITHHELD: Final = "[withheld]"
"""What stands for a name that is not an ordinary one."""

METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
)
"""The request methods that may be shown (RFC 9110, 9.3; RFC 5789)."""

REASONS: Final = frozenset(status.phrase for status in HTTPStatus)
"""The reason phrases that Python knows (RFC 9110, 15)."""

STANDARD_LEVELS: Final = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
"""The levels every program has, by number."""

_CACHED: Final = 1024
_LONGEST_TASK: Final = 14
_THREAD: Final = re.compile(
    r"(?:MainThread|AnyIO worker thread|Thread-\d{1,6}|Dummy-\d{1,6}|asyncio_\d{1,4}"
    r"|ThreadPoolExecutor-\d{1,4}_\d{1,4}|waitress-\d{1,4}|APScheduler|zeroret-[a-z]{1,16})",
    re.ASCII,
)
_THREAD_OF: Final = re.compile(r"(Thread-\d{1,6}) \(.*\)", re.ASCII | re.DOTALL)
_PROCESS: Final = re.compile(
    r"(?:Main|Fork|Spawn|ForkServer)?(?:Pool)?(?:Worker)?Process(?:-\d{1,6}){0,1}(?::\d{1,6}){0,4}"
    r"|(?:Fork|Spawn|ForkServer)PoolWorker-\d{1,6}",
    re.ASCII,
)

loggers: set[str] = {"root"}
"""Names of loggers that may be shown: as found at install, or proved since; bounded."""

levels: set[str] = set(STANDARD_LEVELS.values())
"""Names of levels that may be shown: the standard ones, and those registered before install."""

threads: set[str] = {"MainThread"}
"""Names of threads that may be shown; bounded."""

processes: set[str] = {"MainProcess"}
"""Names of processes that may be shown; bounded."""

_places_by_code: dict[int, tuple[CodeType, tuple[str, str, str, str]]] = {}
places: set[tuple[str, str, str, str]] = set()
"""(pathname, filename, module, funcName) of callers that were found in source files; bounded."""


def learn() -> None:
    """Take what the program has named so far, before any exchange, as its own names.

    Once an exchange has run, names may have been made of its content: then only those count that
    are modules', or literals of the program's own source.
    """
    named = [name for name in list(logging.root.manager.loggerDict) if type(name) is str]
    if not LIVE.busy and not LIVE.drops:
        loggers.update(named)
        levels.update(logging.getLevelNamesMapping())
        threads.update(thread.name for thread in threading.enumerate() if type(thread.name) is str)
        return
    new = {name for name in named if name not in loggers}
    modules = {name for name in new if name in sys.modules}
    for name in modules | source.programs_literals(new - modules):
        _add(loggers, name)
    for level in source.programs_literals(logging.getLevelNamesMapping().keys() - levels):
        _add(levels, level)


def logger(name: object, frame: FrameType | None) -> str:
    """Return a logger's name if the program's source or modules name it, else a marker."""
    if type(name) is not str:
        return WITHHELD
    if name in loggers or _is_logger(name, frame):
        _add(loggers, name)
        return name
    return WITHHELD


def level(name: object, number: object) -> str:
    """Return a level's name if it is an ordinary one, else ``Level N``."""
    if type(name) is str and name in levels:
        return name
    if type(number) is int and -1000 < number < 1000:  # noqa: PLR2004 - three digits: no room for content
        return STANDARD_LEVELS.get(number, f"Level {number}")
    return "Level"


def thread(name: object) -> str | None:
    """Return a thread's name if it follows an ordinary pattern, else a marker."""
    if name is None:
        return None
    if type(name) is not str:
        return WITHHELD
    if name in threads:
        return name
    if _THREAD.fullmatch(name):
        _add(threads, name)
        return name
    numbered = _THREAD_OF.fullmatch(name)
    return numbered[1] if numbered else WITHHELD


def process(name: object) -> str | None:
    """Return a process's name if it follows an ordinary pattern, else a marker."""
    if name is None:
        return None
    if type(name) is not str:
        return WITHHELD
    if name in processes:
        return name
    if _PROCESS.fullmatch(name):
        _add(processes, name)
        return name
    return WITHHELD


def is_task(name: str) -> bool:
    """Tell whether *name* is what asyncio itself calls a task."""
    number = name[5:]
    return (
        name[:5] == "Task-"
        and len(name) < _LONGEST_TASK
        and number.isascii()
        and number.isdecimal()
    )


def task(name: object) -> str | None:
    """Return a task's name if asyncio gave it, else a marker."""
    if name is None:
        return None
    return name if type(name) is str and is_task(name) else WITHHELD


def place(code: CodeType) -> tuple[str, str, str, str]:
    """Return what records say of a function of a source file, and know it from now on."""
    known = _places_by_code.get(id(code))
    if known is not None and known[0] is code:
        return known[1]
    # As logging itself derives the two names from the path.
    record = logging.LogRecord("", 0, code.co_filename, 0, "", (), None)
    shown = (code.co_filename, record.filename, record.module, code.co_name)
    if len(places) >= _CACHED:
        places.clear()
        _places_by_code.clear()
    places.add(shown)
    _places_by_code[id(code)] = (code, shown)
    return shown


def _add(known: set[str], name: str) -> None:
    if len(known) < _CACHED:
        known.add(name)


def _is_logger(name: str, frame: FrameType | None) -> bool:
    if name in sys.modules or source.in_source(name, frame):
        return True
    # getLogger(__name__ + ".audit") or .getChild("audit"): a module's name, then a literal.
    at = name.rfind(".")
    while at > 0:
        if name[:at] in sys.modules:
            rest = name[at + 1 :]
            return source.in_source(rest, frame) or source.in_source("." + rest, frame)
        at = name.rfind(".", 0, at)
    return False
