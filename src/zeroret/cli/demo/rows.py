"""Read the usage table that the wrapped server's sink wrote, with plain sqlite3."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from zeroret.cli.demo.truth import Row


def read_rows(database: Path) -> list[Row]:
    """Return every row of the usage table, oldest first; none if there is no such file."""
    if not database.exists():
        return []
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM usage ORDER BY id").fetchall()
    rows = [dict(row) for row in found]
    for row in rows:
        if row.get("stream") is not None:
            row["stream"] = bool(row["stream"])  # SQLite keeps booleans as 0 and 1
    return rows
