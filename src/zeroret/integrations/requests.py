"""requests: a refusal passes its adapter, which would rename it, and reaches the caller."""

from __future__ import annotations

from typing import Any

from zeroret.guards import wording
from zeroret.guards.network import PATCHES, is_judged
from zeroret.guards.surfacing import surfacing


def watch(module: Any) -> None:
    """Have refusals pass *module* (``requests``); the requests themselves go through urllib3."""
    wording.learn(f"python-requests/{module.__version__}")
    PATCHES.replace(module.adapters.HTTPAdapter, "send", surfacing(is_judged))
