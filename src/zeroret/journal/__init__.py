"""The journal: the durable queue between an exchange's end and the sinks."""

from __future__ import annotations

from zeroret.journal.files import Journal
from zeroret.journal.memory import MemoryJournal

__all__ = ["Journal", "MemoryJournal"]
