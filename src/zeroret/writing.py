"""Writing the one record of an exchange, now or as soon as a long prompt is counted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, structs

from zeroret.recording import NOTHING
from zeroret.usage.metered import weakest

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.exchange import Exchange
    from zeroret.journal import Journal, MemoryJournal
    from zeroret.recording import Recorder
    from zeroret.tokens.framing import PromptCount
    from zeroret.usage.record import Outcome, UsageRecord

    Failed = Callable[[str, BaseException], None]


def write(recorder: Recorder, exchange: Exchange, outcome: Outcome, failed: Failed) -> int:
    """Write the record; an error of ours costs details, not the record.

    Returns how many parts of request and response could not be read.
    """
    owed = None
    malformed = 0
    try:
        meter = exchange.meter
        metered = NOTHING
        if meter is not None:
            metered = meter.finish(complete=outcome != "aborted")
            owed = meter.owed
        malformed = metered.malformed
        record = recorder.record(exchange, metered, outcome)
    except Exception as error:  # noqa: BLE001 - the reply must go on
        failed("record", error)
        record = recorder.minimal(exchange, outcome)
    if owed is None:
        exchange.journal.record(record, exchange.slot)
    else:
        owed.then(partial(_write_counted, exchange.journal, exchange.slot, record))
    return malformed


def note(recorder: Recorder, exchange: Exchange, failed: Failed) -> None:
    """Note in the exchange's live slot what is known so far."""
    try:
        meter = exchange.meter
        metered = NOTHING if meter is None else meter.peek()
        exchange.journal.note(exchange.slot, recorder.record(exchange, metered, "killed"))
    except Exception as error:  # noqa: BLE001 - the reply must go on
        failed("checkpoint", error)


def with_prompt(record: UsageRecord, prompt: PromptCount | None) -> UsageRecord:
    """Return *record* with the tokens and images of its *prompt*, in the columns that it keeps."""
    if prompt is None:
        return record
    found = {"input_tokens": prompt.tokens, "images": prompt.images}
    kept: dict[str, Any] = {
        name: value for name, value in found.items() if getattr(record, name) is not UNSET
    }
    source = weakest((record.usage_source, "counted" if prompt.exact else "estimated"))
    return structs.replace(record, usage_source=source, **kept)


def _write_counted(
    journal: Journal | MemoryJournal, slot: int, record: UsageRecord, prompt: PromptCount | None
) -> None:
    journal.record(with_prompt(record, prompt), slot)
