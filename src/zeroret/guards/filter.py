"""The filter for loggers and handlers that are wired by hand."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from zeroret.guards import logs, records, seals

if TYPE_CHECKING:
    from typing import Any


class RedactingFilter(logging.Filter):
    """Applies the log guard to whatever passes it, wherever it is added.

    The runtime guards every handler by itself; this is for processes that wire logging by hand. On
    Python 3.12 and later the filter returns a guarded copy; before, filters cannot replace a
    record, so it is rewritten in place. It never raises and never drops a record.
    """

    def filter(self, record: logging.LogRecord) -> Any:
        """Return the guarded record (3.12 and later), or rewrite *record* and return True."""
        if not super().filter(record):
            return False
        shown = logs.guard(record)
        if shown is record:
            return True
        if sys.version_info >= (3, 12):
            return shown
        record.__dict__.clear()
        record.__dict__.update(shown.__dict__)
        record.__class__ = records.GuardedRecord
        seals.seal(record)
        return True


logs.SKIPPED.add(RedactingFilter.filter.__code__.co_filename)
