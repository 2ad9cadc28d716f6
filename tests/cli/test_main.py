"""The command's frame: version, exit statuses, errors told in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from textwrap import dedent

import pytest

from zeroret.cli import main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """``zeroret --version`` prints the installed version and ends well."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"zeroret {version('zeroret')}\n"


def test_no_command_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the status is 2, and what can be said is shown."""
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "-1", "many", "1e3", "²", "99999999"])
def test_count_out_of_range(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A count that is no number of the allowed range is refused with the range."""
    assert main(["demo", f"--count={count}"]) == 2
    assert "allowed: a number from 1 to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.jsonl", None, "No such file"),
        ("empty.jsonl", b"", "no exchange of"),
        ("other.jsonl", b'{"dialect": "cohere.v1.chat"}\n', "no exchange of"),
        ("broken.jsonl", b'\n{"dialect": "openai.chat"}\n', "line 2 is not a recorded exchange"),
        ("short.gz", b"\x1f\x8b\x08\x00\x00", "not a whole gzip file"),
    ],
)
def test_exchanges_file_that_cannot_be_used(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    said: str,
) -> None:
    """A file of exchanges that cannot be used is refused in one sentence, without a traceback."""
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    assert main(["demo", "--exchanges", str(file)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_keep_refuses_a_folder_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with files in it is not written into."""
    (tmp_path / "mine").touch()
    assert main(["demo", "--keep", str(tmp_path)]) == 2
    assert "given a folder with files in it" in capsys.readouterr().err


def test_missing_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without one of the extra's packages the pip line is printed and the status is 2."""

    def find(name: str) -> ModuleSpec | None:
        return None if name == "uvicorn" else ModuleSpec(name, None)

    monkeypatch.setattr("zeroret.cli.demo.find_spec", find)
    assert main(["demo"]) == 2
    assert "pip install 'zeroret[demo]'" in capsys.readouterr().err


def test_missing_extra_in_a_bare_interpreter() -> None:
    """With the imports really blocked, the command still answers, and with the same line."""
    program = dedent(
        """
        import sys
        class Block:
            def find_spec(self, name, path=None, target=None):
                if name in {"rich", "openai", "anthropic", "fastapi", "uvicorn", "httpx"}:
                    raise ModuleNotFoundError(name)
        sys.meta_path.insert(0, Block())
        from zeroret.cli import main
        sys.exit(main(["demo"]))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 2
    assert "pip install 'zeroret[demo]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_module_is_the_command() -> None:
    """``python -m zeroret`` is the same program."""
    done = subprocess.run(
        [sys.executable, "-m", "zeroret", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("zeroret ")


def test_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends the command with 130 and no traceback."""

    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("zeroret.cli.demo.run", interrupted)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "zeroret: interrupted\n"
