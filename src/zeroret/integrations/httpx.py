"""httpx and httpx2: what they call themselves; their requests are judged at httpcore's pools."""

from __future__ import annotations

from typing import Any

from zeroret.guards import wording


def watch(module: Any) -> None:
    """Learn the name that *module* (``httpx`` or ``httpx2``) gives itself in every request."""
    wording.learn(f"python-{module.__name__}/{module.__version__}")
