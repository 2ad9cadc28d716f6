"""Where usage records go: one file per destination, found by URI scheme, imported on use."""

from __future__ import annotations

from zeroret.sinks.registry import check, open_sink, schemes, sink_key

__all__ = ["check", "open_sink", "schemes", "sink_key"]
