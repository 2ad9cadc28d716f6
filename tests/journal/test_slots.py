"""Live slots: claimed, noted, freed, and read after the end of their process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.journal import slots as slots_module
from zeroret.journal.folder import Folder
from zeroret.journal.slots import NO_SLOT, SLOT_BYTES, SLOTS, Slots, clear, orphans
from zeroret.usage.record import UsageRecord, encode


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Give an open journal directory."""
    folder = Folder(tmp_path / "journal")
    yield folder
    folder.close()


def test_open_and_free(folder: Folder) -> None:
    """An open slot is found with its id and start; a freed one is not."""
    slots = Slots(folder, "s", 0)
    kept = slots.open(b"k" * 16, 12.5)
    gone = slots.open(b"g" * 16, 13.5)
    slots.free(gone)
    (found,) = orphans(folder, "s")
    assert (found.id, found.started, found.noted) == (b"k" * 16, 12.5, None)
    assert slots.live() == 1
    clear(folder, [found])
    assert orphans(folder, "s") == []
    slots.free(kept)
    slots.close()


def test_note(folder: Folder, make: Callable[..., UsageRecord]) -> None:
    """The last noted record is found; one that does not fit keeps what was noted before."""
    slots = Slots(folder, "s", 0)
    slot = slots.open(b"k" * 16, 1.0)
    slots.note(slot, make(1))
    slots.note(slot, make(2))
    (found,) = orphans(folder, "s")
    assert found.noted == make(2)
    slots.note(slot, make(3, route="r" * SLOT_BYTES))
    (found,) = orphans(folder, "s")
    assert found.noted == make(2)
    slots.close()


def test_reused_slot_forgets(folder: Folder, make: Callable[..., UsageRecord]) -> None:
    """A slot that is claimed again shows nothing of the exchange before."""
    slots = Slots(folder, "s", 0)
    first = slots.open(b"1" * 16, 1.0)
    slots.note(first, make(1))
    slots.free(first)
    assert slots.open(b"2" * 16, 2.0) == first
    (found,) = orphans(folder, "s")
    assert found.noted is None
    slots.close()


def test_grows(folder: Folder) -> None:
    """More exchanges than a file holds get further files, each a slot of its own."""
    slots = Slots(folder, "s", 0)
    handles = [slots.open(number.to_bytes(16), 1.0) for number in range(SLOTS + 5)]
    assert len(set(handles)) == SLOTS + 5
    assert len(folder.names()) == 2
    assert {int.from_bytes(orphan.id) for orphan in orphans(folder, "s")} == set(range(SLOTS + 5))
    slots.close()


def test_none_left(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room the handle says so, and using it does nothing."""
    monkeypatch.setattr(slots_module, "_FILES", 0)
    slots = Slots(folder, "s", 0)
    assert slots.open(b"k" * 16, 1.0) == NO_SLOT
    slots.free(NO_SLOT)
    slots.note(NO_SLOT, UsageRecord(id="x", policy="p"))
    assert slots.live() == 0


def test_foreign_handles(folder: Folder, make: Callable[..., UsageRecord]) -> None:
    """A handle from before a fork, or one freed twice, touches no slot of another exchange."""
    slots = Slots(folder, "s", 1 << 32)
    slot = slots.open(b"k" * 16, 1.0)
    slots.free(slot - (1 << 32))
    slots.note(slot - (1 << 32), make(1))
    (found,) = orphans(folder, "s")
    assert found.noted is None
    slots.free(slot)
    slots.free(slot)
    assert slots.open(b"a" * 16, 1.0) != slots.open(b"b" * 16, 1.0)
    slots.close()


@given(data=st.data())
def test_damage(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A damaged note is no note; it never becomes another record and never raises."""
    folder = Folder(tmp_path_factory.mktemp("journal") / "j")
    slots = Slots(folder, "s", 0)
    record = UsageRecord(id="x", policy="p", input_tokens=1)
    slots.note(slots.open(b"k" * 16, 1.0), record)
    slots.close()
    path = folder.path / "s.0.slots"
    content = bytearray(path.read_bytes())
    place = SLOT_BYTES + data.draw(st.integers(2, 7) | st.integers(32, 31 + len(encode(record))))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    (found,) = orphans(folder, "s")
    assert found.noted is None
    assert found.id == b"k" * 16
    folder.close()
