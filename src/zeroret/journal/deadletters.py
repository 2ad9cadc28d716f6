"""Dead letters: records that a sink will never take, kept aside with the reason's class.

One file per sink, ``<sink>.dead``: lines as in a segment, each an object of ``reason`` and
``record``. They wait for ``zeroret journal``; nothing removes them by itself.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

import msgspec

from zeroret.journal.lines import frame, parse

if TYPE_CHECKING:
    from zeroret.journal.folder import Folder

END: Final = ".dead"
"""The end of a dead-letter file's name."""

NEWER: Final = "NewerRecord"
"""The reason of what this release cannot read: a newer one wrote it."""

_LONGEST_REASON: Final = 100


class DeadLetter(msgspec.Struct):
    """A record that was put aside, and why."""

    reason: str
    """The class name of what the sink raised."""
    record: msgspec.Raw


_decoder: Final = msgspec.json.Decoder(DeadLetter)


class DeadLetters:
    """Puts records aside; *count* is how many this process did."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def bury(self, folder: Folder, key: str, record: bytes, reason: str) -> None:
        """Append *record*, encoded, to the dead letters of the sink with *key*; raises OSError."""
        letter = DeadLetter(_plain(reason), msgspec.Raw(record))
        # The newline before it ends a line that its writer was killed in.
        line = b"\n" + frame(msgspec.json.encode(letter))
        with self._lock:
            fd = folder.open(key + END, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            try:
                if os.write(fd, line) != len(line):
                    raise OSError("short write")
                os.fsync(fd)  # rare, and nobody else holds the record
            finally:
                os.close(fd)
            self.count += 1

    def renew(self) -> None:
        """Begin anew in a forked child."""
        self._lock = threading.Lock()
        self.count = 0


def dead_letters(folder: Folder, key: str) -> list[tuple[str, bytes]]:
    """Return each dead letter of the sink with *key*, reason and encoded record; raises OSError.

    The records may be of another release, whose fields this one does not know.
    """
    try:
        fd = folder.open(key + END, os.O_RDONLY)
    except FileNotFoundError:
        return []
    with os.fdopen(fd, "rb") as file:
        lines = parse(file.read() + b"\n", -1)
    found = []
    for payload in lines.payloads:
        try:
            letter = _decoder.decode(payload)
            found.append((_plain(letter.reason), bytes(letter.record)))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return found


def _plain(reason: str) -> str:
    """Return *reason* if it is a class name, which is all that may be kept of an error."""
    return reason if reason.isidentifier() and len(reason) <= _LONGEST_REASON else "other"
