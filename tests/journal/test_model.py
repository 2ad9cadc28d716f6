"""A model of the protocol: processes that append, deliver, adopt and die between any two steps."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    precondition,
    rule,
)

from zeroret.journal import Journal
from zeroret.journal.durability import Durability
from zeroret.journal.queue import Batch, Source
from zeroret.journal.runner import BATCH
from zeroret.usage.record import UsageRecord

KEYS = ("one", "two")
TINY = Durability(segment_bytes=900)
"""Segments of two or three records, so that many borders are crossed."""


class Store:
    """A store with unique ids, as every SQL sink is: the first record of an id stays."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}

    def write(self, records: list[UsageRecord]) -> None:
        """Insert what is new."""
        for record in records:
            self.rows.setdefault(record.id, str(record.outcome))


class Process:
    """One process: its journal, and how far each delivery of a batch has come."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder, durability=TINY).open()
        self.journal.attach(KEYS)
        self.at_hand: dict[str, tuple[Source, Batch, bool]] = {}

    def die(self) -> None:
        """End as by SIGKILL: locks are let go, files stay as they are, memory is gone."""
        self.journal.after_fork()


class Delivering(RuleBasedStateMachine):
    """Any schedule of steps of up to three processes and two stores; then the truth is told."""

    exchanges = Bundle("exchanges")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="zeroret-model-")) / "journal"
        self.stores = {key: Store() for key in KEYS}
        self.processes: list[Process] = []
        self.number = 0
        self.appended: set[str] = set()
        self.open: set[str] = set()

    @initialize()
    def first(self) -> None:
        """Start a process."""
        self.processes.append(Process(self.folder))

    @precondition(lambda self: len(self.processes) < 3)
    @rule()
    def start(self) -> None:
        """Start another process."""
        self.processes.append(Process(self.folder))

    @rule(target=exchanges, which=st.integers(0, 2))
    def begin(self, which: int) -> tuple[Process, str, int]:
        """Open an exchange: its slot is claimed."""
        process = self.processes[which % len(self.processes)]
        self.number += 1
        identity = UUID(int=self.number)
        slot = process.journal.open_slot(identity.bytes, 1_700_000_000.0)
        self.open.add(str(identity))
        return process, str(identity), slot

    @rule(exchange=consumes(exchanges))
    def end(self, exchange: tuple[Process, str, int]) -> None:
        """Append the record and give the slot back, if the process still lives."""
        process, identity, slot = exchange
        if process in self.processes:
            record = UsageRecord(id=identity, policy="p@1", outcome="completed")
            process.journal.record(record, slot)
            self.appended.add(identity)

    @rule(exchange=consumes(exchanges))
    def die_between_append_and_free(self, exchange: tuple[Process, str, int]) -> None:
        """Die when the record is appended and its slot is not given back yet."""
        process, identity, _ = exchange
        if process in self.processes:
            process.journal.append(UsageRecord(id=identity, policy="p@1", outcome="completed"))
            self.appended.add(identity)
            self.kill(process)

    @rule(which=st.integers(0, 2), key=st.sampled_from(KEYS), source=st.integers(0, 5))
    def peek(self, which: int, key: str, source: int) -> None:
        """Take a batch at hand from any source."""
        process = self.processes[which % len(self.processes)]
        sources = process.journal.sources()
        if key not in process.at_hand and sources:
            chosen = sources[source % len(sources)]
            batch = chosen.peek(key, 2)
            if batch is not None:
                process.at_hand[key] = (chosen, batch, False)

    @rule(which=st.integers(0, 2), key=st.sampled_from(KEYS))
    def commit(self, which: int, key: str) -> None:
        """Let the store have the batch at hand."""
        process = self.processes[which % len(self.processes)]
        if key in process.at_hand:
            source, batch, _ = process.at_hand[key]
            self.stores[key].write(batch.records)
            process.at_hand[key] = (source, batch, True)

    @rule(which=st.integers(0, 2), key=st.sampled_from(KEYS))
    def advance(self, which: int, key: str) -> None:
        """Move the cursor behind a batch that the store has."""
        process = self.processes[which % len(self.processes)]
        if key in process.at_hand and process.at_hand[key][2]:
            source, batch, _ = process.at_hand.pop(key)
            source.advance(key, batch)

    @rule(which=st.integers(0, 2))
    def adopt(self, which: int) -> None:
        """Take over what dead processes left."""
        self.processes[which % len(self.processes)].journal.adopt()

    @rule(which=st.integers(0, 2))
    def collect(self, which: int) -> None:
        """Remove what every store has."""
        process = self.processes[which % len(self.processes)]
        if not process.at_hand:  # the delivery thread collects between batches
            process.journal.collect()

    @precondition(lambda self: len(self.processes) > 1)
    @rule(which=st.integers(0, 2))
    def crash(self, which: int) -> None:
        """Die, wherever each delivery stands."""
        self.kill(self.processes[which % len(self.processes)])

    def kill(self, process: Process) -> None:
        """Let a process die; where none is left, another starts."""
        process.die()
        self.processes.remove(process)
        if not self.processes:
            self.processes.append(Process(self.folder))

    def teardown(self) -> None:
        """Let everybody die, and one heir deliver everything; compare with what happened."""
        for process in self.processes:
            process.die()
        heir = Process(self.folder)
        heir.journal.adopt()
        for key in KEYS:
            for source in heir.journal.sources():
                while (batch := source.peek(key, BATCH)) is not None:
                    self.stores[key].write(batch.records)
                    source.advance(key, batch)
        heir.journal.collect()
        leftovers = [path.name for path in self.folder.iterdir()]
        heir.journal.close()
        shutil.rmtree(self.folder.parent)
        for store in self.stores.values():
            assert store.rows.keys() == self.open, "an exchange was lost, or made up"
            completed = {name for name, outcome in store.rows.items() if outcome == "completed"}
            assert completed == self.appended, "a recorded exchange was taken for killed"
        assert not [name for name in leftovers if name.endswith(".segment")], leftovers

    def __repr__(self) -> str:
        return f"<Delivering {len(self.processes)} processes>"


TestDelivering: Any = Delivering.TestCase
TestDelivering.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
