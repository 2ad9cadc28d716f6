"""Options from the environment and from Django: lists, numbers, and no silent typo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zeroret import ZeroRetention
from zeroret.environment import from_environment
from zeroret.errors import ConfigurationError


def test_every_variable_becomes_its_option() -> None:
    """Each ``ZERORET_*`` variable is one option; lists are separated by commas."""
    options = from_environment(
        {
            "ZERORET_POLICY": " kriora ",
            "ZERORET_SINKS": "sqlite:///usage.db, memory:,",
            "ZERORET_MODE": "report",
            "ZERORET_LOG_GUARD": "match",
            "ZERORET_MODELS": "mine,yours",
            "ZERORET_JOURNAL": "memory",
            "ZERORET_GRACE": "0.5",
            "PATH": "/bin",
        }
    )
    assert options == {
        "policy": "kriora",
        "sinks": ["sqlite:///usage.db", "memory:"],
        "mode": "report",
        "log_guard": "match",
        "models": ["mine", "yours"],
        "journal": "memory",
        "grace": 0.5,
    }


def test_a_runtime_is_made_of_them() -> None:
    """``from_env`` checks what the environment says like what code says."""
    runtime = ZeroRetention.from_env({"ZERORET_JOURNAL": "memory", "ZERORET_POLICY": "kriora"})
    assert (runtime.policy.name, runtime.options.grace) == ("kriora", 0)
    with pytest.raises(ConfigurationError, match="mode='on' is not one of"):
        ZeroRetention.from_env({"ZERORET_JOURNAL": "memory", "ZERORET_MODE": "on"})


def test_an_empty_variable_is_no_option() -> None:
    """A variable that is set to nothing says nothing."""
    assert from_environment({"ZERORET_MODE": "", "ZERORET_GRACE": "  "}) == {}


@pytest.mark.parametrize("value", ["soon", "2s", "1,5", "0x2"])
def test_a_number_must_be_one(value: str) -> None:
    """A grace that is no number is refused with an example."""
    with pytest.raises(ConfigurationError, match="must be a number of seconds, such as 2 or"):
        from_environment({"ZERORET_GRACE": value})


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e400"])
def test_a_number_must_be_finite(value: str) -> None:
    """What Python reads as a float still has to be a time."""
    with pytest.raises(ConfigurationError, match="must be a number of seconds"):
        ZeroRetention.from_env({"ZERORET_JOURNAL": "memory", "ZERORET_GRACE": value})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ZERORET_POLCY", "ZERORET_POLICY"),
        ("ZERORET_SINK", "ZERORET_SINKS"),
        ("ZERORET_LOGGUARD", "ZERORET_LOG_GUARD"),
        ("ZERORET_LOG-GUARD", "ZERORET_LOG_GUARD"),
        ("ZERORET_MODEL", "ZERORET_MODELS"),
        ("ZERORET_Mode", "ZERORET_MODE"),
        ("zeroret_policy", "ZERORET_POLICY"),
        ("ZERORETMODE", "ZERORET_MODE"),
        ("ZERORET__GRACE", "ZERORET_GRACE"),
        ("ZERORET_JOURNALS", "ZERORET_JOURNAL"),
    ],
)
def test_a_misspelt_variable_is_refused(name: str, meant: str) -> None:
    """A typo must not mean the default: the error names the variable that was meant."""
    with pytest.raises(ConfigurationError, match=f"sets {name}, .* did you mean {meant}"):
        from_environment({name: "x"})


def test_an_option_of_code_alone_is_refused() -> None:
    """A function cannot stand in the environment, and is not silently left out."""
    with pytest.raises(
        ConfigurationError, match="ZERORET_IDENTIFY, which can only be given in code"
    ):
        from_environment({"ZERORET_IDENTIFY": "app:identify"})


@pytest.mark.parametrize("name", ["ZERORET_PORT", "ZERORET_SERVICE_HOST", "ZERORET_LONG"])
def test_what_an_orchestrator_sets_is_left_alone(name: str) -> None:
    """A service called zeroret has its address in every container: that is no option."""
    assert from_environment({name: "10.0.0.1"}) == {}


DJANGO = """
import sys
from django.conf import settings
settings.configure(ZERORET={given})
import zeroret
try:
    runtime = zeroret.ZeroRetention.from_env({environ})
except zeroret.errors.ConfigurationError as error:
    print("refused:", error)
else:
    print(runtime.policy.name, runtime.options.mode)
"""


@pytest.mark.parametrize(
    ("given", "environ", "says"),
    [
        ({"policy": "kriora", "journal": "memory"}, {}, "kriora enforce"),
        (
            {"policy": "kriora", "journal": "memory"},
            {"ZERORET_POLICY": "crofai", "ZERORET_MODE": "report"},
            "crofai report",
        ),
        ({"polcy": "kriora"}, {}, "refused: unknown option 'polcy': did you mean 'policy'"),
        (["policy"], {}, "refused: Django's settings.ZERORET must be a dict of options; a list"),
        ({7: "x"}, {}, "refused: Django's settings.ZERORET holds a key of type int"),
        ({"journal": "memory", "mode": "off"}, {}, "refused: mode='off' is not one of"),
    ],
)
def test_djangos_settings(given: Any, environ: dict[str, str], says: str, tmp_path: Path) -> None:
    """``settings.ZERORET`` states options, a variable wins over it, and both are checked."""
    program = DJANGO.format(given=given, environ=environ)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert run.stdout.startswith(says), run.stdout
