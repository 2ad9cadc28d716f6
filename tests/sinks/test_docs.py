"""The documentation's own sink runs as it stands there."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zeroret.errors import ConfigurationError
from zeroret.sinks import open_sink
from zeroret.usage.record import COLUMNS, UsageRecord

PAGE = Path(__file__).parents[2] / "docs" / "sinks.md"


def test_own_sink(
    tmp_path: Path, make: Callable[..., UsageRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class under "Write your own" has about thirty lines, is accepted, and writes rows."""
    (source,) = re.findall(r"```python\n(import csv.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(source.splitlines()) <= 35
    space: dict[str, Any] = {}
    exec(source, space)  # noqa: S102 - the documentation's own code
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="write csv"):
        space["CsvSink"]("csv:usage.csv", columns=COLUMNS)
    sink = open_sink(space["CsvSink"]("csv:///usage.csv", columns=COLUMNS), columns=COLUMNS)
    sink.write([make(1), make(2)])
    sink.close()
    with (tmp_path / "usage.csv").open() as file:
        rows = list(csv.DictReader(file, sorted(COLUMNS)))
    assert [row["id"] for row in rows] == [make(1).id, make(2).id]
