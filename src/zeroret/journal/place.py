"""Where the journal lies: said, or systemd's state directory, or beside the first file sink."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from zeroret.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FILE_SINK: Final = re.compile(r"(?:sqlite|jsonl):///(.+)", re.DOTALL)


def place(
    journal: str | os.PathLike[str] | None,
    sinks: Iterable[object],
    environ: Mapping[str, str],
) -> Path | Literal["memory"]:
    """Return the journal's directory, or ``"memory"``.

    *journal* is the option as given, *sinks* are the sinks' specs. Without the option it is
    ``$STATE_DIRECTORY/zeroret`` (the first of systemd's colon-separated list), else a directory
    beside the first sink that is a file: ``usage.db`` has ``usage.db.journal``. Raises
    `ConfigurationError` when none of these says a place.
    """
    if journal is not None:
        return _given(journal)
    state = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if state:
        return Path(state, "zeroret")
    for sink in sinks:
        match = _FILE_SINK.fullmatch(sink) if isinstance(sink, str) else None
        if match is not None:
            return Path(match[1] + ".journal").absolute()
    raise ConfigurationError(
        "no place for the journal: no sink is a file and $STATE_DIRECTORY is not set; write "
        "journal='/var/lib/yourapp/journal' (a directory that outlives the process), or "
        "journal='memory' if records may be lost when the process dies"
    )


def _given(journal: str | os.PathLike[str]) -> Path | Literal["memory"]:
    if not isinstance(journal, str | os.PathLike):
        raise ConfigurationError(
            f"journal is a {type(journal).__name__}: write a directory's path or 'memory'"
        )
    text = os.fspath(journal)
    if text == "memory":
        return "memory"
    if not text.strip() or "\0" in text or "://" in text or text == "memory:":
        raise ConfigurationError(
            f"journal={text!r} is no directory: write a path, as in "
            "journal='/var/lib/yourapp/journal', or journal='memory'"
        )
    return Path(text).absolute()
