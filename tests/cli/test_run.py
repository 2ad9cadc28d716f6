"""``zeroret run``: what it sets, what it says, and that servers of every kind work under it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from zeroret.cli import main
from zeroret.cli.run import NOT_EXECUTABLE, NOT_FOUND
from zeroret.guards import landlock, process, scratch

SERVERS = Path(__file__).parents[1] / "servers"
PYTHON = sys.executable
UVICORN = ("uvicorn", "--app-dir", str(SERVERS), "--port", "{port}", "writing_app:asgi")
GUNICORN = ("gunicorn", "--chdir", str(SERVERS), "-b", "127.0.0.1:{port}", "-w", "2")
COMMANDS = {
    "uvicorn": UVICORN,
    "uvicorn workers": (*UVICORN, "--workers", "2"),
    "uvicorn reload": (*UVICORN, "--reload"),
    "gunicorn sync": (*GUNICORN, "-k", "sync", "writing_app:wsgi"),
    "gunicorn threads preload": (*GUNICORN, "--threads", "2", "--preload", "writing_app:wsgi"),
    "gunicorn asgi": (*GUNICORN, "-k", "asgi", "writing_app:asgi"),
    "hypercorn": ("hypercorn", "-w", "2", "-b", "127.0.0.1:{port}", "writing_app:asgi"),
}
ALWAYS = ("uvicorn workers", "uvicorn reload", "gunicorn sync")
WAYS = ("python", "descriptor", "library", "child", "rotation", "folder", "link")

Ask = Callable[[Any, Path], dict[str, Any]]


@pytest.fixture
def ask() -> Ask:
    """Give a function that has a server write beneath a folder, and returns what came of it."""

    def write(server: Any, folder: Path) -> dict[str, Any]:
        with urlopen(f"http://127.0.0.1:{server.port}/?{folder}", timeout=30) as reply:
            answer: dict[str, Any] = json.load(reply)
            return answer

    return write


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Two folders: one to be allowed, one to be not; core files may come of any size."""
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    allowed.mkdir()
    other.mkdir()
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    yield allowed, other
    resource.setrlimit(resource.RLIMIT_CORE, limits)


@pytest.fixture
def hardened() -> None:
    """Skip where the kernel has no Landlock."""
    try:
        landlock.abi()
    except landlock.UnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.long) for name in COMMANDS],
)
def test_servers_work_hardened(
    name: str, start_server: Any, folders: tuple[Path, Path], ask: Ask, hardened: None
) -> None:
    """A server and its workers answer, write where they may, and nowhere else, by no means."""
    allowed, other = folders
    more = ("--writable", str(scratch.MEMORY)) if name == "hypercorn" else ()
    server = start_server(
        *("-m", "zeroret", "run", "--harden", "--writable", str(allowed), *more),
        *("--", PYTHON, "-m", *COMMANDS[name]),
        folder=other,
        PYTHONPATH=str(SERVERS),
    )
    inside, outside = ask(server, allowed), ask(server, other)
    assert {way: inside[way] for way in WAYS} == dict.fromkeys(WAYS, "written")
    assert {way: outside[way] for way in WAYS} == dict.fromkeys(WAYS, "PermissionError")
    assert inside["temporary"].startswith(f"{scratch.place()}/zeroret-")
    tiers = {name: guard["tier"] for name, guard in inside["posture"].items()}
    assert (tiers["core dumps"], tiers["writes"], tiers["memory"]) == (
        "closed",
        "closed",
        "watched",
    )
    assert str(allowed) in inside["posture"]["writes"]["how"]
    assert "breaks: log files, their rotation" in server.output
    assert str(allowed) in server.output
    if more:
        server.stop()  # so that it removes what it made in memory


def test_a_crash_leaves_nothing(start_server: Any, folders: tuple[Path, Path], ask: Ask) -> None:
    """A worker that dies of a segmentation fault leaves no core file, hardened or not."""
    _, other = folders
    command = (PYTHON, "-m", *COMMANDS["gunicorn sync"][:-3], "-k", "sync", "writing_app:wsgi")
    server = start_server(
        *("-m", "zeroret", "run", "--", *command),
        folder=other,
        PYTHONPATH=str(SERVERS),
    )
    first = ask(server, other)
    assert first["posture"]["writes"]["tier"] == "off"
    assert first["python"] == "written"
    with pytest.raises(ConnectionError):
        ask(server, Path("kill"))
    time.sleep(0.5)
    left = [*other.iterdir(), *SERVERS.glob("core*")]
    assert not [path for path in left if path.name.startswith("core")]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command and return what it did."""
    return subprocess.run(
        [PYTHON, "-m", "zeroret", "run", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )


def test_it_becomes_the_program() -> None:
    """Output, exit status and signals are the program's own, and so is the process id."""
    program = "import os, sys; print(os.getpid()); sys.exit(3)"
    with subprocess.Popen(
        [PYTHON, "-m", "zeroret", "run", "--", PYTHON, "-c", program], stdout=-1, stderr=-1
    ) as done:
        out, err = done.communicate()
    assert (int(out), done.returncode) == (done.pid, 3)
    assert f"as process {done.pid}".encode() in err
    ended = run("--", PYTHON, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    assert ended.returncode == -signal.SIGTERM


def test_what_it_sets_without_harden() -> None:
    """Core files are off and temporary files in a private place; nothing else is changed."""
    program = (
        "import json, os, resource, sys, tempfile; from zeroret.guards import process; "
        "print(json.dumps([resource.getrlimit(resource.RLIMIT_CORE), tempfile.gettempdir(), "
        "process.told(), os.environ.get('PYTHONMALLOC'), sys.argv[1:]]))"
    )
    done = run("--", PYTHON, "-c", program, "--", "-x", "--harden")
    limits, folder, told, allocator, rest = json.loads(done.stdout)
    assert limits == [0, 0]
    assert Path(folder).parent == scratch.place()
    assert rest == ["--", "-x", "--harden"]
    assert allocator is None
    assert told["core dumps"] == told["temporary folder"] == "active"
    assert told["writes"] == told["freed memory"] == "off"
    assert "add --harden" in done.stderr


def test_journal_and_sinks_of_the_environment_may_be_written(
    tmp_path: Path, hardened: None
) -> None:
    """Folders that ``ZERORET_*`` and systemd name are made and allowed without being asked for."""
    sinks = f"sqlite:///{tmp_path}/store/usage.db,jsonl:///{tmp_path}/lines/usage.jsonl,memory:"
    (tmp_path / "said").mkdir()
    program = (
        "import sys; from zeroret import ZeroRetention\n"
        "with ZeroRetention.from_env() as zr: pass\n"
        "for each in sys.argv[1:]: open(each + '/x', 'w').close()\n"
    )
    places = [tmp_path / name for name in ("store", "lines", "said", "state")]
    done = run(
        *("--harden", "--", PYTHON, "-c", program, *map(str, places)),
        ZERORET_SINKS=sinks,
        ZERORET_JOURNAL=str(tmp_path / "journal"),
        ZERORET_WRITABLE=str(tmp_path / "said"),
        STATE_DIRECTORY=str(tmp_path / "state"),
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "journal" / "pepper").exists()
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o700


def test_a_folder_too_wide_is_said(tmp_path: Path, hardened: None) -> None:
    """A sink beside the program makes all of its folder writable: that is not passed over."""
    done = subprocess.run(
        [PYTHON, "-m", "zeroret", "run", "--harden", "--report"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "ZERORET_SINKS": "sqlite:///usage.db"},
    )
    assert done.returncode == 0
    assert "give journal and sinks a folder of their own" in " ".join(done.stdout.split())


def test_an_allocator_that_overwrites_stays(hardened: None) -> None:
    """Another allocator that fills freed memory is left as the operator set it."""
    program = "import os; print(os.environ['PYTHONMALLOC'])"
    for given, kept in (("malloc_debug", "malloc_debug"), ("malloc", "debug"), ("", "debug")):
        assert (
            run("--harden", "--", PYTHON, "-c", program, PYTHONMALLOC=given).stdout == f"{kept}\n"
        )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            ["uvicorn", "app:app"],
            2,
            "write -- before the program: zeroret run [options] -- uvicorn",
        ),
        ([], 2, "name a program"),
        (["--"], 2, "name a program"),
        (["--", "no-such-program"], NOT_FOUND, "no-such-program: not found in $PATH"),
        (["--", "./no/such"], NOT_FOUND, "./no/such: not found\n"),
        (["--", str(Path(__file__))], NOT_EXECUTABLE, "not executable"),
        (["--harden", "--writable", "/no/such", "--", "true"], 2, "mkdir -p /no/such"),
        (["--frobnicate", "--", "true"], 2, "unrecognized arguments: --frobnicate"),
    ],
)
def test_what_cannot_be_run_is_told(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake has its exit status and one sentence that says what to do."""
    assert main(["run", *arguments]) == status
    assert said in capsys.readouterr().err


def test_what_is_no_program_after_all(tmp_path: Path) -> None:
    """A file that may be executed and cannot be is told with the shells' exit status."""
    broken = tmp_path / "broken"
    broken.write_bytes(b"\0\1\2")
    broken.chmod(0o755)
    done = run("--", str(broken))
    assert done.returncode == NOT_EXECUTABLE
    assert "Exec format error" in done.stderr


def test_a_misspelt_variable_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The environment's options are checked before anything starts; our own variable is none."""
    monkeypatch.setenv("ZERORET_WRITEABLE", "/tmp")  # noqa: S108 - only named
    assert main(["run", "--harden", "--report"]) == 2
    assert "did you mean ZERORET_WRITABLE" in capsys.readouterr().err
    monkeypatch.delenv("ZERORET_WRITEABLE")
    monkeypatch.setenv(process.STATE, "{}")
    assert main(["run", "--report"]) == 0
    assert main(["run", "--harden", "--report"]) in (0, 1)


def test_a_report_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """``--report`` says what would hold, and neither limits nor makes anything."""
    before = resource.getrlimit(resource.RLIMIT_CORE), sorted(scratch.place().iterdir())
    assert main(["run", "--harden", "--report"]) in (0, 1)
    out = capsys.readouterr().out
    assert "would hold" in out
    assert "core dumps        active" in out
    assert (resource.getrlimit(resource.RLIMIT_CORE), sorted(scratch.place().iterdir())) == before


def test_what_is_unavailable_is_told_and_fails_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without Landlock the report names the reason and has exit status 1."""

    def refuse() -> int:
        raise landlock.UnavailableError("this kernel has no Landlock")

    monkeypatch.setattr(landlock, "abi", refuse)
    monkeypatch.setattr(scratch, "MEMORY", tmp_path / "missing")
    assert main(["run", "--harden", "--report"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "writes unavailable this kernel has no Landlock" in out
    assert "on the disk of" in out


def test_what_cannot_be_set_is_told_and_the_program_starts_all_the_same(tmp_path: Path) -> None:
    """Where there are no limits, no Landlock and no room, each is reported unavailable."""
    program = (
        "import sys; sys.modules['resource'] = None\n"
        "from zeroret.guards import landlock, scratch\n"
        "def refuse(): raise landlock.UnavailableError('not here')\n"
        "def fail(): raise OSError(28, 'No space left on device')\n"
        "landlock.abi, scratch.make = refuse, fail\n"
        "from zeroret.cli import main; sys.exit(main(sys.argv[1:]))\n"
    )
    told = "import os; print(os.environ['RUN_BY_ZERORET'])"
    done = subprocess.run(
        [PYTHON, "-c", program, "run", "--harden", "--", PYTHON, "-c", told],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    states = json.loads(done.stdout)
    assert states.pop("writable") == []
    assert states.pop("freed memory") == "active"
    assert set(states.values()) == {"unavailable"}
    assert done.stderr.count("unavailable") == 3
