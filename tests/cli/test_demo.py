"""The demo as a whole: real servers, real SDKs, a kill, and the verdict."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from zeroret.cli.demo.calls import KILLED, ROUND
from zeroret.cli.demo.leaks import SURFACES
from zeroret.cli.demo.session import AFTERWARDS, verdict
from zeroret.cli.demo.truth import Comparison


def side(found: dict[str, set[str]], *heard: Any) -> Any:
    """Return a server as the verdict sees it."""
    return SimpleNamespace(found=found, heard=list(heard))


def test_small_demo(tmp_path: Path) -> None:
    """One of every kind: bare leaks, wrapped does not, every record is right, status 0."""
    kept = tmp_path / "kept"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "zeroret",
        "demo",
        "--count",
        str(len(ROUND)),
        "--keep",
        kept,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    shown = done.stdout
    assert "PASS" in shown, shown + done.stderr
    assert done.returncode == 0
    cells = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:4]]
        for line in shown.splitlines()
        if line.startswith("│")
    }
    assert {cells[surface][1] for surface in SURFACES} == {"0"}
    leaking = {surface for surface in SURFACES if cells[surface][0] != "0"}
    assert leaking >= {"access log", "tracebacks", "application log file", "JSON log file"}
    requests = re.findall(r"^ +truth +(\d+) ", shown, re.MULTILINE)
    assert sum(map(int, requests)) == len(ROUND) + len(KILLED) + AFTERWARDS
    assert (kept / "wrapped" / "usage.db").exists()


def test_bare_server_that_leaks_nothing_proves_nothing() -> None:
    """If the bare server leaks nothing, the demo fails: its search may be blind."""
    assert verdict((side({}), side({})), Comparison([], []), []) == [
        "the bare server leaks nothing, so nothing is proved"
    ]


def test_any_leak_fails() -> None:
    """One canary on one surface of the wrapped server fails the demo."""
    bare, wrapped = side({"access log": {"c"}}), side({"journal": {"c"}})
    assert verdict((bare, wrapped), Comparison([], []), []) == ["the wrapped server leaks"]


def test_any_wrong_record_fails() -> None:
    """So does one wrong record, or a contradiction within the demo."""
    bare = side({"access log": {"c"}})
    assert verdict((bare, side({})), Comparison([], ["no record"]), []) == ["1 wrong records"]
    assert verdict((bare, side({})), Comparison([], []), ["odd"]) == ["odd"]


def test_failed_call_fails() -> None:
    """A call that broke off without being meant to fails the demo; a killed one may."""
    bare = side({"access log": {"c"}})
    broken = SimpleNamespace(error="ReadError", call=SimpleNamespace(kind="openai json"))
    killed = SimpleNamespace(error="ReadError", call=SimpleNamespace(kind="openai kill"))
    assert verdict((bare, side({}, killed)), Comparison([], []), []) == []
    assert verdict((bare, side({}, broken)), Comparison([], []), []) == [
        "1 calls failed, first openai json: ReadError"
    ]


def test_all_is_well() -> None:
    """Nothing speaks against a pass if the bare server leaks and the wrapped one does not."""
    assert verdict((side({"tracebacks": {"c"}}), side({})), Comparison([], []), []) == []
