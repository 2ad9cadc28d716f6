"""Surroundings: no content in the environment, and none in the system's log."""

from __future__ import annotations

import os
import syslog
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeAlias

import pytest

from zeroret.content.flight import Flight
from zeroret.errors import RetentionViolation
from zeroret.guards import files
from zeroret.guards.violations import VIOLATIONS

Within: TypeAlias = Callable[..., AbstractContextManager[Flight]]

NAME = "ZERORET_TEST_VARIABLE"


@pytest.fixture(autouse=True)
def guarded() -> Iterator[None]:
    """Install the guard for one test, and leave the environment as it was."""
    files.install()
    yield
    files.uninstall()
    os.environ.pop(NAME, None)


def test_a_variable_that_quotes_content_is_refused(content: str, within: Within) -> None:
    """A caller's key or prompt is not handed to children; settings of libraries are their own."""
    before = VIOLATIONS.counts().get("system.refused", 0)
    with within(content.encode()):
        os.environ[NAME] = "false"
        with pytest.raises(RetentionViolation) as refused:
            os.environ[NAME] = content
        with pytest.raises(RetentionViolation):
            os.environ[content] = "1"
        with pytest.raises(RetentionViolation):
            os.putenv(NAME, f"Bearer {content}")
    assert content not in str(refused.value)
    assert "environment or the system's log" in str(refused.value)
    assert os.environ[NAME] == "false"
    assert content not in os.environ
    assert VIOLATIONS.counts()["system.refused"] == before + 3


def test_the_systems_log_takes_constants_alone(content: str, within: Within) -> None:
    """`syslog.syslog` writes past every log guard: what is not source text is refused."""
    with within(content.encode()):
        syslog.syslog("a request was served")
        for line in (content, f"got {content[:12]}"):
            with pytest.raises(RetentionViolation):
                syslog.syslog(line)
            with pytest.raises(RetentionViolation):
                syslog.syslog(syslog.LOG_ERR, line)
        with pytest.raises(RetentionViolation):
            syslog.openlog(content)
        syslog.openlog("app")
    syslog.closelog()


def test_report_mode_lets_pass(content: str, within: Within) -> None:
    """Nothing is refused where one only counts."""
    with within(content.encode(), enforce=False):
        os.environ[NAME] = content
    assert os.environ[NAME] == content
