"""The replay of recorded answers: the file's truth against the records."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.cli.demo.chunks import cut
from zeroret.cli.demo.recorded import Recorded, read
from zeroret.cli.demo.replaying import judge


def recorded(truth: dict[str, Any] | None, **changed: Any) -> Recorded:
    """Return a recorded exchange."""
    fields = {
        "id": "0123456789abcdef",
        "dialect": "openai.chat",
        "path": "/v1/chat/completions",
        "request_body": "{}",
        "response_body": "{}",
        "status": 200,
        "truth": truth,
    }
    return Recorded(**{**fields, **changed})


def row(**changed: Any) -> dict[str, Any]:
    """Return a record that knows of three tokens in and four out."""
    known = {"input_tokens": 3, "output_tokens": 4, "usage_source": "reported"}
    return {"id": "1", "dialect": "openai.chat", "status": 200, **known, **changed}


TRUTH = {"input_tokens": 3, "output_tokens": 4, "cache_read_tokens": None}


def test_equal() -> None:
    """A record that says what the file says is equal."""
    verdict = judge([recorded(TRUTH)], [row()])
    assert verdict.faults == []
    assert verdict.equal == {"openai.chat": 1}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"output_tokens": 5}, "output_tokens is 5, should be 4"),
        ({"cache_read_input_tokens": 0}, "cache_read_input_tokens is 0, should be None"),
        ({"usage_source": "counted"}, "usage_source is 'counted', should be 'reported'"),
        ({"dialect": "openai.completions"}, "dialect is 'openai.completions'"),
        ({"status": 500}, "status is 500, should be 200"),
    ],
)
def test_unequal(changed: dict[str, Any], said: str) -> None:
    """Each difference is named."""
    verdict = judge([recorded(TRUTH)], [row(**changed)])
    assert verdict.equal.total() == 0
    assert said in verdict.faults[0]


def test_nothing_may_be_made_up() -> None:
    """Where no usage was sent, a record may count but not claim that it was reported."""
    assert judge([recorded(None)], [row(usage_source="counted")]).faults == []
    assert "nobody reported any" in judge([recorded(None)], [row()]).faults[0]


def test_missing_record() -> None:
    """A record too few is a fault."""
    assert judge([recorded(TRUTH)] * 2, [row()]).faults == ["1 records for 2 exchanges"]


def test_reads_plain_and_gzip(tmp_path: Path) -> None:
    """Both forms of the file are read, and other dialects are passed over."""
    one = {
        **dict.fromkeys(("path", "request_body", "response_body"), ""),
        "id": "1",
        "dialect": "anthropic.messages",
        "status": 200,
        "unknown": [1],
    }
    lines = "".join(json.dumps(line) + "\n" for line in (one, {"dialect": "cohere.v1.chat"}))
    (tmp_path / "plain").write_text(lines)
    (tmp_path / "packed").write_bytes(gzip.compress(lines.encode()))
    assert [found.id for found in read(tmp_path / "plain")] == ["1"]
    assert read(tmp_path / "plain") == read(tmp_path / "packed")


@given(st.binary(max_size=300), st.integers())
def test_cuts_lose_nothing(body: bytes, seed: int) -> None:
    """The pieces of a body are that body, and only an empty body has an empty piece."""
    pieces = cut(body, random.Random(seed))  # noqa: S311 - cuts to repeat, no secret
    assert b"".join(pieces) == body
    assert all(pieces) or body == b""


def test_replay(exchanges_file: Path, tmp_path: Path) -> None:
    """Recorded answers pass unchanged, and every record equals the truth of the file."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "zeroret",
        "demo",
        "--exchanges",
        exchanges_file,
    ]
    command += ["--count", "120", "--keep", tmp_path / "kept"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "PASS" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
