"""Where usage records go: one file per destination, found by URI scheme, imported on use."""

from __future__ import annotations

from zeroret.sinks.registry import (
    check,
    expires,
    keeps_tables,
    open_sink,
    open_store,
    schemes,
    sink_key,
)

__all__ = ["check", "expires", "keeps_tables", "open_sink", "open_store", "schemes", "sink_key"]
