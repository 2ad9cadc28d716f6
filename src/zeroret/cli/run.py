"""``zeroret run``: set what must stand before a server starts, say what holds, and become it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from zeroret.environment import from_environment
from zeroret.errors import ConfigurationError
from zeroret.guards import landlock, process, scratch
from zeroret.journal.place import place
from zeroret.sinks.location import file_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NOT_FOUND: Final = 127
"""The exit status of shells for a program that is not there."""

NOT_EXECUTABLE: Final = 126
"""Likewise for one that is there and cannot be started."""

DEVICES: Final = ("/dev/null", "/dev/tty")
"""What every program may write."""

_FILE_SINKS: Final = ("sqlite:", "jsonl:")
_PRIVATE: Final = 0o700
_ALLOCATORS: Final = ("debug", "malloc_debug", "pymalloc_debug")
_WIDTH: Final = 100

State = Literal["active", "unavailable", "off"]


@dataclass(frozen=True)
class Protection:
    """One protection, as it stands.

    Args:
        name: What is protected.
        state: Whether it holds, cannot, or was not asked for.
        how: By what it holds, why it cannot, or how to have it.
        breaks: What works otherwise with it; empty for nothing.
    """

    name: str
    state: State
    how: str
    breaks: str = ""


def add_parser(commands: Any) -> None:
    """Add this command to *commands*, argparse's subparsers."""
    parser = commands.add_parser(
        "run",
        usage="zeroret run [--harden] [--writable PATH ...] [--report] -- PROGRAM [ARGUMENT ...]",
        help="start a server without core dumps and with temporary files in memory",
        description=(
            "Protects the process, prints what holds and what it breaks on stderr, and becomes the "
            "program: its process id, signals and exit status are the program's own."
        ),
    )
    parser.add_argument(
        "--harden",
        action="store_true",
        help="have the kernel refuse writes elsewhere, and Python overwrite what it frees",
    )
    parser.add_argument(
        "--writable",
        action="append",
        default=[],
        metavar="PATH",
        help="a folder, with all it holds, or a file that may be written; may be repeated",
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="print what would hold, start nothing; exit status 1 if something is unavailable",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Become the program; returns only if that fails, or for a report.

    Raises:
        ConfigurationError: the command line or the environment is not as it must be.
    """
    command = _command(arguments)
    environ = dict(os.environ)
    writable = _writable(arguments.writable, environ) if arguments.harden else []
    if arguments.report:
        protections = _planned(writable, harden=arguments.harden)
        _print(protections, "would hold", sys.stdout)
        return 1 if any(each.state == "unavailable" for each in protections) else 0
    program = shutil.which(command[0])
    if program is None:
        return _not_started(command[0])
    protections = _set(writable, environ, harden=arguments.harden)
    _print(protections, f"{command[0]} is started as process {os.getpid()}", sys.stderr)
    try:
        os.execve(program, command, environ)  # noqa: S606 - to start that program is the command
    except OSError as error:
        print(f"zeroret: {command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_EXECUTABLE


def _command(arguments: argparse.Namespace) -> list[str]:
    command: list[str] = arguments.command
    if command[:1] == ["--"]:
        command = command[1:]
    elif command:
        raise ConfigurationError(
            f"write -- before the program: zeroret run [options] -- {' '.join(command)}"
        )
    if not command and not arguments.report:
        raise ConfigurationError("name a program: zeroret run --harden -- uvicorn app:app")
    return command


def _not_started(program: str) -> int:
    if os.sep in program and Path(program).exists():
        print(f"zeroret: {program}: not executable", file=sys.stderr)
        return NOT_EXECUTABLE
    where = "" if os.sep in program else " in $PATH; give its path, or write python -m …"
    print(f"zeroret: {program}: not found{where}", file=sys.stderr)
    return NOT_FOUND


# What may be written.


def _writable(given: list[str], environ: Mapping[str, str]) -> list[str]:
    """Return the real paths that the program needs to write, without its temporary folder.

    Folders that journal and sinks would make are made, since only what is there can be allowed.
    """
    options = from_environment(environ)
    paths = [_existing(path, "--writable") for path in given]
    paths += [_existing(path, "ZERORET_WRITABLE") for path in options.get("writable", ())]
    for folder in _own_folders(options, environ):
        try:
            folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be made: {error.strerror}") from None
        paths.append(os.path.realpath(folder))
    return list(dict.fromkeys(paths))


def _existing(path: str, origin: str) -> str:
    if not Path(path).exists():
        raise ConfigurationError(f"{origin} names {path}, which is not there: mkdir -p {path}")
    return os.path.realpath(path)


def _own_folders(options: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the folders of the journal and the file sinks that the environment names."""
    sinks = options.get("sinks", ())
    try:
        journal = place(options.get("journal"), sinks, environ)
    except ConfigurationError:
        journal = "memory"  # said in code, if at all
    if journal != "memory":
        yield Path(journal)
    yield from map(Path, filter(None, environ.get("STATE_DIRECTORY", "").split(":")))
    for sink in sinks:
        if sink.startswith(_FILE_SINKS):
            yield file_path(sink).parent


# The protections.


def _planned(writable: list[str], *, harden: bool) -> list[Protection]:
    """Return what `_set` would reach here, and change nothing."""
    return [
        _core_dumps(),
        _temporary(scratch.place()),
        _writes(writable) if harden else _off("writes"),
        _memory() if harden else _off("freed memory"),
    ]


def _set(writable: list[str], environ: dict[str, str], *, harden: bool) -> list[Protection]:
    """Set what survives `exec`; what the program must be told goes into *environ*."""
    protections = [_limit_core_dumps(), _make_temporary(environ)]
    if harden:
        folder = environ["TMPDIR"] if protections[1].state == "active" else None
        allowed = [*writable, *([] if folder is None else [folder])]
        protections += [_restrict_writes(allowed), _overwrite_freed(environ)]
    else:
        allowed = []
        protections += [_off("writes"), _off("freed memory")]
    states: dict[str, Any] = {each.name: each.state for each in protections}
    environ[process.STATE] = json.dumps(states | {"writable": allowed})
    return protections


def _off(name: str) -> Protection:
    return Protection(name, "off", "add --harden")


def _limit_core_dumps() -> Protection:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError) as error:
        return Protection("core dumps", "unavailable", f"no RLIMIT_CORE here ({error})")
    return _core_dumps()


def _core_dumps() -> Protection:
    how = "no core file is written (RLIMIT_CORE 0)"
    if process.piped_dumps():
        how += (
            f"; {process.CORE_PATTERN} hands dumps to a program, which no limit stops: "
            "refused once zeroret has started in the server (PR_SET_DUMPABLE 0)"
        )
    return Protection("core dumps", "active", how, "crashes leave nothing to inspect")


def _make_temporary(environ: dict[str, str]) -> Protection:
    try:
        folder = scratch.make()
    except (ImportError, OSError) as error:
        return Protection("temporary folder", "unavailable", f"it cannot be made ({error})")
    environ["TMPDIR"] = str(folder)
    return _temporary(folder)


def _temporary(folder: Path) -> Protection:
    in_memory = folder.is_relative_to(scratch.MEMORY)
    kind = "in memory" if in_memory else f"on the disk of {folder}, for want of {scratch.MEMORY}"
    how = f"TMPDIR is a folder for this user alone, {kind}"
    breaks = "temporary files count as memory" if in_memory else ""
    return Protection("temporary folder", "active", how, breaks)


def _restrict_writes(allowed: list[str]) -> Protection:
    devices = [path for path in DEVICES if Path(path).exists()]
    try:
        landlock.restrict([*allowed, *devices])
    except (landlock.UnavailableError, OSError) as error:
        return Protection("writes", "unavailable", str(error))
    return _writes(allowed)


def _writes(allowed: list[str]) -> Protection:
    try:
        version = landlock.abi()
    except landlock.UnavailableError as error:
        return Protection("writes", "unavailable", str(error))
    how = f"the kernel refuses them outside {', '.join(allowed) or 'the temporary folder'}"
    here = Path.cwd()
    if any(here.is_relative_to(path) for path in allowed):
        how += f" (which holds {here}, too: give journal and sinks a folder of their own)"
    return Protection(
        "writes",
        "active",
        f"{how} (Landlock {version})",
        "log files, their rotation, pid files, sockets and databases elsewhere get a "
        "PermissionError; multiprocessing's locks and shared memory want --writable "
        f"{scratch.MEMORY}; sudo and other setuid programs",
    )


def _overwrite_freed(environ: dict[str, str]) -> Protection:
    if environ.get("PYTHONMALLOC") not in _ALLOCATORS:
        environ["PYTHONMALLOC"] = "debug"
    return _memory()


def _memory() -> Protection:
    return Protection(
        "freed memory",
        "active",
        "Python overwrites it (PYTHONMALLOC=debug), unless started with -E or -I",
        "about 9 % of throughput",
    )


def _print(protections: list[Protection], title: str, to: Any) -> None:
    lines = [f"zeroret: {title}"]
    for each in protections:
        label = f"  {each.name:<17} {each.state:<12} "
        lines += _wrapped(label, each.how)
        if each.breaks and each.state == "active":
            lines += _wrapped(" " * len(label), f"breaks: {each.breaks}")
    print("\n".join(lines), file=to, flush=True)


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )
