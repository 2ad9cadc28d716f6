"""Validation errors hold the body, as the input of other fields too: only the caller is told."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from collectors import collecting

PROGRAM = Path(__file__).parents[1] / "servers/validation_app.py"


def _run(dsn: str, log_guard: str, body: dict[str, str]) -> Any:
    given = json.dumps({"dsn": dsn, "log_guard": log_guard, "body": body})
    done = subprocess.run(
        [sys.executable, str(PROGRAM), given],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    told["shown"]["printed"] = done.stderr
    return told


@pytest.mark.parametrize("log_guard", ["strict", "match"])
def test_what_pydantic_says_of_a_body_reaches_nobody_but_the_caller(log_guard: str) -> None:
    """FastAPI's answer echoes the input; no log, span, event or stand-in does."""
    body = {name: secrets.token_hex(16) for name in ("name", "age", "nickname")}
    with collecting() as collector:
        told = _run(f"http://key@127.0.0.1:{collector.port}/1", log_guard, body)
        sent = collector.everything.decode(errors="replace")
    status, reply, _ = told["replies"]["/people"]
    inputs = [each["input"] for each in json.loads(reply)["detail"]]
    assert (status, inputs) == (422, [body["age"], body])
    assert told["replies"]["/caught"][:2] == [200, '"caught"']
    assert told["replies"]["/raised"][0] == 500
    assert "ValidationError" in told["replies"]["/raised"][2]
    surfaces = {**told["shown"], "sentry": sent, "raised": told["replies"]["/raised"][2]}
    for name, shown in surfaces.items():
        text = json.dumps(shown)
        assert len(text) > 40, name
        assert not [key for key, each in body.items() if each in text], name


def test_without_guards_they_would() -> None:
    """The program hands the body to every one of these surfaces."""
    body = {name: secrets.token_hex(16) for name in ("name", "age", "nickname")}
    told = _run("", "none", body)
    assert all(body["age"] in json.dumps(told["shown"][name]) for name in ("logged", "printed"))
