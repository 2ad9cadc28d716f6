"""What every test may use: a runtime in memory, async libraries, recorded exchanges."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

from zeroret import ZeroRetention, testing

ROOT: Final = Path(__file__).parents[1]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long suites out unless they are asked for."""
    if os.environ.get("ZERORET_LONG") == "1":
        return
    skip = pytest.mark.skip(reason="takes minutes; set ZERORET_LONG=1 to run it")
    for item in items:
        if item.get_closest_marker("long") is not None:
            item.add_marker(skip)


@pytest.fixture
def runtime() -> Iterator[ZeroRetention]:
    """Give a runtime in memory under ``usage-only``, and leave the interpreter as it was."""
    with testing.memory_runtime() as started:
        yield started


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run an async test under asyncio and under trio."""
    return str(request.param)


@pytest.fixture(scope="session")
def exchanges_file() -> Path:
    """Give the file of recorded provider exchanges, where it is there."""
    path = Path(os.environ.get("ZERORET_EXCHANGES", ROOT.parent / "shared/data/exchanges.jsonl.gz"))
    if not path.exists():
        pytest.skip(f"no recorded exchanges: set ZERORET_EXCHANGES ({path.name} is not there)")
    return path


# Two busy cores make single examples slow: what is slow is found by benchmarks, not by a deadline.
settings.register_profile("zeroret", deadline=None)
settings.load_profile("zeroret")
