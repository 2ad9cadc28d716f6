"""One JSON line per record, appended to a file that several processes may share."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from zeroret.sinks.columns import Restriction
from zeroret.sinks.location import file_path
from zeroret.sinks.rotation import Rotation, aside, kept_aside
from zeroret.usage.identity import issued_at, parse_id
from zeroret.usage.record import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from zeroret.usage.record import UsageRecord

TAIL_BYTES: Final = 64 * 1024 * 1024
"""How much of an existing file's end is searched for known ids."""

_IDS: Final = 500_000
_CHUNK: Final = 1024 * 1024
_LOCK_WAIT: Final = 10.0
_LOCK_POLL: Final = 0.01
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class _Line(msgspec.Struct):
    id: str
    started_at: datetime | None = None


_decoder: Final = msgspec.json.Decoder(_Line)


class JsonlSink:
    """Appends under ``flock``; an id that is in the file's last 64 MiB is not written again.

    A file that is moved away (logrotate) is begun anew, without writing known ids again. The sink
    does that itself with ``?rotate=day``, ``hour`` or a size. The file is made with mode 0600 and
    never reached through a symbolic link.
    """

    def __init__(self, uri: str, *, columns: Iterable[str] | None = None) -> None:
        place, _, query = uri.partition("?")
        self.path = file_path(place)
        self._rotation = Rotation.of(query)
        self._restriction = Restriction(columns)
        self._ids: dict[str, None] = {}
        self._fd = -1
        self._pid = 0
        self._read_to = 0

    @staticmethod
    def check(uri: str) -> None:
        """Raise `ConfigurationError` if *uri* names no file, or asks for what there is not."""
        place, _, query = uri.partition("?")
        file_path(place)
        Rotation.of(query)

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Append the records whose ids are new; raises OSError when not all could be."""
        records = self._restriction.apply(records)
        fd = self._rotated(self._lock())
        try:
            torn = self._learn(fd)
            fresh = {record.id: record for record in records if record.id not in self._ids}
            if fresh:
                lines = b"".join(encode(record) + b"\n" for record in fresh.values())
                # The newline ends a line that its writer was killed in.
                _write_all(fd, b"\n" + lines if torn else lines)
                self._read_to = os.fstat(fd).st_size
                self._remember(fresh)
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)

    def expire(self, table: str, before: datetime, *, dry_run: bool = False) -> int:
        """Delete the records older than *before*, moved aside or not; return how many there are.

        Files are written anew without them; one of which nothing is left is removed. *table* is
        ``usage``, else there is nothing.
        """
        if table != "usage":
            return 0
        fd = self._lock()
        try:
            count = 0
            for path in (self.path, *kept_aside(self.path)):
                count += _without(path, before, dry_run=dry_run)
            return count
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _lock(self) -> int:
        """Return the descriptor of the file now at the path, locked; raises OSError."""
        deadline = time.monotonic() + _LOCK_WAIT
        while True:
            fd = self._opened()
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_LOCK_POLL)
                continue
            if self._is_current(fd):
                return fd
            self.close()  # moved or removed meanwhile; closing unlocks

    def _rotated(self, fd: int) -> int:
        """Move the file aside if that is due, and return the descriptor to write to, locked."""
        now = datetime.now(UTC)
        if not self._rotation.is_due(os.fstat(fd), now):
            return fd
        try:
            self._learn(fd)  # so that what is moved away is still known
            self.path.rename(aside(self.path, now))
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
        return self._lock()

    def _opened(self) -> int:
        # A descriptor inherited by fork shares its lock with the parent: have one of our own.
        if self._pid != os.getpid() or self._fd < 0:
            self.close()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self.path, _FLAGS, 0o600)
            self._pid = os.getpid()
            self._read_to = max(os.fstat(self._fd).st_size - TAIL_BYTES, 0)
        return self._fd

    def _is_current(self, fd: int) -> bool:
        try:
            there = self.path.lstat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(fd))

    def _learn(self, fd: int) -> bool:
        """Learn the ids that were appended since the last look; True if the last line is torn."""
        size = os.fstat(fd).st_size
        if size < self._read_to:  # truncated
            self._read_to = 0
        rest = b""
        while self._read_to < size:
            chunk = os.pread(fd, _CHUNK, self._read_to)
            if not chunk:
                break
            self._read_to += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            self._remember(identity for line in lines if (identity := _identity(line)))
        # A file that does not end in a newline ends in a torn line, whoever wrote it.
        return size > 0 and os.pread(fd, 1, size - 1) != b"\n"

    def _remember(self, ids: Iterable[str]) -> None:
        for identity in ids:
            self._ids[identity] = None
        while len(self._ids) > _IDS:
            del self._ids[next(iter(self._ids))]


def _identity(line: bytes) -> str | None:
    try:
        return _decoder.decode(line).id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _without(path: Path, before: datetime, *, dry_run: bool) -> int:
    """Write the file anew without what is older than *before*; return how many records that is."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return 0
    kept = [line for line in lines if not _is_older(line, before)]
    gone = len(lines) - len(kept)
    if dry_run or not gone:
        return gone
    if not any(kept):
        path.unlink()
        return gone
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        _write_all(fd, b"\n".join(kept))
        os.fsync(fd)
        fresh.rename(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink()
        raise
    finally:
        os.close(fd)
    return gone


def _is_older(line: bytes, before: datetime) -> bool:
    try:
        found = _decoder.decode(line)
        began = found.started_at
        if began is None:
            began = datetime.fromtimestamp(issued_at(parse_id(found.id)), UTC)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError):
        return False
    return began < before


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = os.write(fd, view)
        if not written:
            raise OSError(errno.ENOSPC, "short write")
        view = view[written:]
