"""Celery: a refusal passes what would rename it; the messages themselves go through kombu."""

from __future__ import annotations

from typing import Any

from zeroret.guards.stores import PATCHES, is_judged
from zeroret.guards.surfacing import surfacing


def watch(_module: Any) -> None:
    """Have refusals pass every task that an app of ``celery`` sends."""
    from celery.app.base import Celery

    PATCHES.replace(Celery, "send_task", surfacing(is_judged))
