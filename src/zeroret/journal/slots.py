"""Live slots: a fixed place in a mapped file for each exchange in flight.

What is written to the mapping survives `SIGKILL`, at the price of a memory copy. Layout of a file:
a header of one slot's size, then slots of 1 KiB: state byte, a pad byte, length (u16) and CRC-32
(u32) of the noted record, id (16 bytes), start (f64, seconds since the epoch), noted record (JSON).
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

import msgspec

from zeroret.journal import naming
from zeroret.usage.record import UsageRecord, decode, encode

if TYPE_CHECKING:
    from zeroret.journal.folder import Folder

SLOT_BYTES: Final = 1024
"""The size of a slot."""

SLOTS: Final = 1024
"""How many slots a file holds."""

NO_SLOT: Final = -1
"""The handle that stands for no slot at all."""

_FIXED: Final = struct.Struct("<BxHI16sd")
_NOTED: Final = struct.Struct("<HI")
_NOTED_AT: Final = 2
_ROOM: Final = SLOT_BYTES - _FIXED.size
_MAGIC: Final = b"zeroret slots 1\n"
_FILE_BYTES: Final = (SLOTS + 1) * SLOT_BYTES
_FILES: Final = 64
_FREE: Final = 0
_OPEN: Final = 1
_SHIFT: Final = 10  # SLOTS and SLOT_BYTES are both 1 << 10
_MASK: Final = SLOTS - 1
_RETRY: Final = 1.0


class Orphan(NamedTuple):
    """What a dead process's open slot held."""

    id: bytes
    started: float
    noted: UsageRecord | None
    file: str
    offset: int


class Slots:
    """The slots of this process; safe for threads, never raises on use.

    A handle is *base* plus the slot's index: handles of a forked child's parent are out of its
    range and do nothing.
    """

    def __init__(self, folder: Folder, name: str, base: int) -> None:
        self.base = base
        self._folder = folder
        self._name = name
        self._maps: list[mmap.mmap] = []
        self._free: list[int] = []
        self._lock = threading.RLock()
        self._retry_at = 0.0

    def open(self, exchange: bytes, started: float) -> int:
        """Claim a slot for the exchange with this 16-byte id; `NO_SLOT` if there is none."""
        try:
            index = self._free.pop()
        except IndexError:
            index = self._grow()
            if index < 0:
                return NO_SLOT
        offset = ((index & _MASK) + 1) << _SHIFT
        slots = self._maps[index >> _SHIFT]
        _FIXED.pack_into(slots, offset, _FREE, 0, 0, exchange, started)
        slots[offset] = _OPEN  # last: a slot counts only when it is complete
        return self.base + index

    def note(self, handle: int, record: UsageRecord) -> None:
        """Keep *record* as it stands now; one that is too long keeps what was noted before."""
        place = self._place(handle)
        if place is None:
            return
        slots, offset = place
        data = encode(record)
        if len(data) > _ROOM or slots[offset] != _OPEN:
            return
        start = offset + _FIXED.size
        _NOTED.pack_into(slots, offset + _NOTED_AT, 0, 0)  # torn is nothing, not nonsense
        slots[start : start + len(data)] = data
        _NOTED.pack_into(slots, offset + _NOTED_AT, len(data), crc32(data))

    def free(self, handle: int) -> None:
        """Give the slot back; a handle that is not open here does nothing."""
        place = self._place(handle)
        if place is None:
            return
        slots, offset = place
        if slots[offset] == _OPEN:
            slots[offset] = _FREE
            self._free.append(handle - self.base)

    def live(self) -> int:
        """Return how many slots are open."""
        return len(self._maps) * SLOTS - len(self._free)

    def close(self) -> None:
        """Unmap the files; what they hold stays."""
        self._free.clear()
        maps, self._maps = self._maps, []
        for slots in maps:
            slots.close()

    def _place(self, handle: int) -> tuple[mmap.mmap, int] | None:
        index = handle - self.base
        if not 0 <= index < len(self._maps) << _SHIFT:
            return None
        return self._maps[index >> _SHIFT], ((index & _MASK) + 1) << _SHIFT

    def _grow(self) -> int:
        """Map a further file and claim a slot of it; -1 if there is no room on the disk."""
        with self._lock:
            with suppress(IndexError):
                return self._free.pop()
            number = len(self._maps)
            if number >= _FILES or time.monotonic() < self._retry_at:
                return -1
            try:
                self._maps.append(self._map(naming.slots(self._name, number)))
            except OSError:
                self._retry_at = time.monotonic() + _RETRY
                return -1
            first = number << _SHIFT
            self._free.extend(range(first + SLOTS - 1, first, -1))
            return first

    def _map(self, file: str) -> mmap.mmap:
        fd = self._folder.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            # Real blocks: a mapped hole on a full disk would end the process with SIGBUS.
            os.posix_fallocate(fd, 0, _FILE_BYTES)
            slots = mmap.mmap(fd, _FILE_BYTES)
        except OSError:
            self._folder.unlink(file)
            raise
        finally:
            os.close(fd)
        slots[: len(_MAGIC)] = _MAGIC
        return slots


def orphans(folder: Folder, name: str) -> list[Orphan]:
    """Return what the open slots of the dead process's set hold; raises OSError."""
    found: list[Orphan] = []
    for number in naming.numbers(folder.names(), name, "slots"):
        file = naming.slots(name, number)
        fd = folder.open(file, os.O_RDONLY)
        with os.fdopen(fd, "rb") as stream:
            data = stream.read(_FILE_BYTES)
        if data.startswith(_MAGIC):
            found += [
                _orphan(data, file, offset)
                for offset in range(SLOT_BYTES, len(data) - SLOT_BYTES + 1, SLOT_BYTES)
                if data[offset] == _OPEN
            ]
    return found


def clear(folder: Folder, found: list[Orphan]) -> None:
    """Mark the slots of *found* as free; raises OSError."""
    for file in {orphan.file for orphan in found}:
        fd = folder.open(file, os.O_WRONLY)
        try:
            for orphan in found:
                if orphan.file == file:
                    os.pwrite(fd, bytes([_FREE]), orphan.offset)
        finally:
            os.close(fd)


def _orphan(data: bytes, file: str, offset: int) -> Orphan:
    _, length, check, exchange, started = _FIXED.unpack_from(data, offset)
    start = offset + _FIXED.size
    payload = data[start : start + min(length, _ROOM)]
    noted = None
    if length and crc32(payload) == check:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            noted = decode(payload)
    return Orphan(exchange, started, noted, file, offset)
