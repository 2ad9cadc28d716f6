"""Children: inside an exchange no program is started that ``children=[…]`` does not name.

A fork is a child of this very interpreter, and allowed where that is named. Pools that were started
before, and hand out work through what is open already, start nothing.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import acting, audit
from zeroret.guards.crossings import judged
from zeroret.guards.patches import Patches
from zeroret.guards.paths import text
from zeroret.guards.tiers import Tier

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from zeroret.content.boundary import Boundary
    from zeroret.content.flight import Flight

PATCHES: Final = Patches("children")
"""Ways to start a child that raise no audit event."""

SHELL: Final = "/bin/sh"
"""What runs the commands of `os.system` (system(3))."""


def _named(paths: Iterable[str], flight: Flight) -> bool:
    """Tell whether there are *paths*, and each is a program that may be started."""
    programs = [os.path.realpath(path) for path in paths]
    return bool(programs) and all(program in flight.boundary.children for program in programs)


def _found(program: object, folder: object = None, environ: Any = None) -> list[str]:
    """Return the path that *program* is started by; nothing if that cannot be told.

    Args:
        program: What the caller named: looked for on the path if it has no folder.
        folder: The working folder of the child; None for ours.
        environ: The environment of the child; None for ours.
    """
    name = text(program)
    start = text(folder) if folder is not None else os.getcwd()  # noqa: PTH109 - text, as exec takes it
    if not name or start is None:
        return []
    if os.sep in name:
        return [os.path.join(start, name)]  # noqa: PTH118 - as above
    for each in os.get_exec_path(environ):
        path = os.path.join(start, each, name)  # noqa: PTH118 - as above
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 - as above
            return [path]
    return []


def _popen_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    program, _, folder, environ = args
    return _named(_found(program, folder, environ), flight)


def _spawn_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    # The event does not tell posix_spawn, which takes a path, from posix_spawnp, which looks.
    name = text(args[0])
    here = [name] if name and os.path.lexists(name) else []
    return _named([*here, *_found(args[0])], flight)


def _exec_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    name = text(args[0])
    return bool(name) and _named([str(name)], flight)


def _shell_allowed(_args: tuple[Any, ...], flight: Flight) -> bool:
    return _named([SHELL], flight)


def _fork_allowed(_args: tuple[Any, ...], flight: Flight) -> bool:
    return _named([sys.executable], flight)


def _programs_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    programs = [text(program) for program in args[0]]
    return _named([program or "" for program in programs], flight)


EVENTS: Final = {
    "subprocess.Popen": judged("child", _popen_allowed),
    "os.posix_spawn": judged("child", _spawn_allowed),
    "os.exec": judged("child", _exec_allowed),
    "os.system": judged("child", _shell_allowed),
    "os.fork": judged("child", _fork_allowed),
    "os.forkpty": judged("child", _fork_allowed),
}
"""The audit events that are judged; `pty.spawn` and `os.spawnv` fork."""

_judge_programs: Final = judged("child", _programs_allowed)
_judge_fork: Final = judged("child", _fork_allowed)
_judge_popen: Final = judged("child", _popen_allowed)
_judge_shell: Final = judged("child", _shell_allowed)


@PATCHES.when_imported("_posixsubprocess")
def _fork_exec(module: ModuleType) -> None:
    """Judge what `multiprocessing` and `billiard` spawn by the C function itself."""

    def make(original: Any) -> Any:
        def fork_exec(args: Any, programs: Any, *rest: Any) -> Any:
            if PATCHES.active:
                _judge_programs((programs,))
            return original(args, programs, *rest)

        return fork_exec

    PATCHES.replace(module, "fork_exec", make)


@PATCHES.when_imported("multiprocessing.forkserver")
def _forkserver(module: ModuleType) -> None:
    """Judge a child that the fork server makes for us."""

    def make(original: Any) -> Any:
        def connect_to_new_process(fds: Any) -> Any:
            if PATCHES.active:
                _judge_fork(())
            return original(fds)

        return connect_to_new_process

    PATCHES.replace(module, "connect_to_new_process", make)


@PATCHES.when_imported("uvloop")
def _uvloop(module: ModuleType) -> None:
    """Judge the children of uvloop, which libuv starts."""

    def make_exec(original: Any) -> Any:
        def subprocess_exec(loop: Any, factory: Any, program: Any, *args: Any, **rest: Any) -> Any:
            if PATCHES.active:
                started = rest.get("executable") or program
                _judge_popen((started, None, rest.get("cwd"), rest.get("env")))
            return original(loop, factory, program, *args, **rest)

        return subprocess_exec

    def make_shell(original: Any) -> Any:
        def subprocess_shell(loop: Any, factory: Any, command: Any, **rest: Any) -> Any:
            if PATCHES.active:
                started = rest.get("executable") or SHELL
                _judge_popen((started, None, rest.get("cwd"), rest.get("env")))
            return original(loop, factory, command, **rest)

        return subprocess_shell

    PATCHES.replace(module.Loop, "subprocess_exec", make_exec)
    PATCHES.replace(module.Loop, "subprocess_shell", make_shell)


def install() -> None:
    """Watch for children; each call needs its `uninstall`."""
    PATCHES.install()
    acting.install()
    for event, handler in EVENTS.items():
        audit.register(event, handler)


def uninstall() -> None:
    """Undo one `install`; after the last one nothing is judged, and the hook is inert."""
    if not PATCHES.active:
        return
    for event, handler in EVENTS.items():
        audit.unregister(event, handler)
    acting.uninstall()
    PATCHES.uninstall()


def tiers(boundary: Boundary) -> dict[str, Tier]:
    """Return what the posture says of child processes."""
    if not audit.listening():
        tier = Tier("out of reach", "another audit hook of this process kept ours out")
    elif PATCHES.troubles:
        names = ", ".join(sorted(PATCHES.troubles))
        tier = Tier("watched", f"of another shape than known: {names}")
    elif boundary.enforce:
        tier = Tier("closed", "starting a program outside children=[…] is refused")
    else:
        tier = Tier("watched", "programs started outside children=[…] are counted")
    return {"children": tier}
