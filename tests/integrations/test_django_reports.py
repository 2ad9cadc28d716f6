"""Django's error mails: places and classes, and nothing of the request, in every way they are made.

Each test runs a program of its own, since Django is configured once in a process.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

PROGRAM: Final = Path(__file__).parents[1] / "servers/django_reports.py"
Mails = list[list[str]]


def mails(guard: str, secret: str, **environ: str) -> tuple[Mails, str]:
    """Return the mails that the program sent, and what it logged."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        env={**os.environ, "GUARD": guard, "SECRET": secret, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sent: Mails = json.loads(done.stdout.splitlines()[-1])
    return sent, done.stdout.rpartition("\n[")[0] + done.stderr


@pytest.fixture
def secret() -> str:
    """A word that nobody wrote before."""
    return "cnry" + secrets.token_hex(10)


@pytest.mark.parametrize("guard", ["strict", "match"])
@pytest.mark.parametrize("reporter", ["django", "subclass", "strange"])
def test_no_mail_holds_content(guard: str, reporter: str, secret: str) -> None:
    """Errors, errors of decoding, missing pages and broken links; whoever makes the report."""
    sent, logged = mails(guard, secret, REPORTER=reporter)
    assert len(sent) == 4
    assert secret not in json.dumps(sent) + logged
    assert "203.0.113.9" not in json.dumps(sent) + logged
    error, decoding, broken, missing = sent
    assert error[0].startswith("[Django] ERROR")
    assert "Internal Server Error: " in error[0]
    assert missing[0].startswith("[Django] WARNING")
    assert "Not Found: " in missing[0]
    assert "Requested URL: /[withheld" in broken[1]
    if reporter != "strange":
        assert "LookupError" in error[1]
        assert 'django_reports.py", line' in error[1]
        assert "in fail" in error[1]
        assert "raise LookupError(held)" in error[1]
        assert "UnicodeDecodeError" in decoding[1]
    if reporter == "subclass":
        assert "A report of our own" in error[1]


@pytest.mark.parametrize("guard", ["strict", "match"])
def test_a_handler_that_mails_in_its_own_way(guard: str, secret: str) -> None:
    """A subclass that writes its own mail is held to the rules of formatters."""
    sent, logged = mails(guard, secret, HANDLER="__main__.OwnHandler")
    assert secret not in json.dumps(sent) + logged
    assert sent[0][0].startswith("[Django] [withheld")
    assert "Internal Server Error" in sent[0][1]


@pytest.mark.parametrize("guard", ["off", "report"])
def test_the_same_requests_are_mailed_without_us(guard: str, secret: str) -> None:
    """Without a guard, or with one that only counts, every mail quotes the request."""
    sent, _ = mails(guard, secret)
    assert len(sent) == 4
    assert all(secret in json.dumps(each) for each in sent)
