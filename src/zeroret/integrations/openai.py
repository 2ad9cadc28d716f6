"""The openai SDK: a refusal passes its retries and reaches the caller as it is."""

from __future__ import annotations

from typing import Any

from zeroret.guards.network import PATCHES, is_judged
from zeroret.guards.surfacing import surfacing, surfacing_async


def watch(_module: Any) -> None:
    """Have refusals pass the clients of ``openai``."""
    from openai import _base_client as clients

    PATCHES.replace(clients.SyncAPIClient, "request", surfacing(is_judged))
    PATCHES.replace(clients.AsyncAPIClient, "request", surfacing_async(is_judged))
