"""The variants that are compared: the bare application, its double, a floor, and the wrapped."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from zeroret import ZeroRetention
    from zeroret.types import ASGIApp, Message, Receive, Scope, Send
    from zeroret.usage.record import UsageRecord

BARE: Final = ("bare", "bare2")
"""The application alone, twice: the second shows the noise of the run (the A/A control)."""

OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "strict": {},
    "match": {"log_guard": "match"},
    "none": {"log_guard": "none"},
    "memory": {"journal": "memory"},
}
"""The wrapped variants and the options that set them apart from the defaults.

``strict`` has every guard active and keeps its records: journal on disk, delivery to an SQLite
file. ``memory`` is ``strict`` without journal and store: what it saves is what keeping costs.
"""

VARIANTS: Final = (*BARE, "floor", *OPTIONS)


@dataclass
class Wrapped:
    """A runtime in this process and the folder that holds its journal and its store."""

    runtime: ZeroRetention
    folder: Path
    discarded: Discarding | None = None

    def facts(self) -> dict[str, Any]:
        """Drain, and return the posture, journal bytes, delivered records and peak memory."""
        self.runtime.flush()
        posture = self.runtime.posture()
        journal = posture.pop("journal")
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return {
            "posture": posture,
            "journal": journal,
            "journal_bytes": sum(p.stat().st_size for p in files if "usage.db" not in p.name),
            "delivered": self.delivered(),
            "peak_rss_mb": peak_rss(),
        }

    def delivered(self) -> int:
        """Return how many records the sink holds."""
        if self.discarded is not None:
            return self.discarded.count
        import sqlite3

        database = self.folder / "usage.db"
        if not database.exists():
            return 0
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            [[count]] = connection.execute("select count(*) from usage")
        finally:
            connection.close()
        return int(count)


class Discarding:
    """A sink that counts what it is given and keeps nothing."""

    def __init__(self) -> None:
        self.count = 0

    def write(self, records: Sequence[UsageRecord], /) -> None:
        """Count a batch."""
        self.count += len(records)

    def close(self) -> None:
        """Release nothing."""


def wrapped(variant: str, folder: Path) -> Wrapped:
    """Return the runtime of a wrapped *variant*, its files under *folder*."""
    import zeroret

    options = OPTIONS[variant]
    discarding = Discarding() if variant == "memory" else None
    sink: Any = discarding or f"sqlite:///{folder.absolute() / 'usage.db'}"
    runtime = zeroret.ZeroRetention(policy="usage-only", sinks=[sink], **options)
    return Wrapped(runtime.start(), folder, discarding)


def floor(app: ASGIApp) -> ASGIApp:
    """Return *app* behind one more coroutine: no wrapper can cost less."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return middleware


def discard() -> Send:
    """Return an ASGI ``send`` that drops everything."""

    async def send(message: Message) -> None:
        pass

    return send


def peak_rss() -> float:
    """Return the most memory this process had resident so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
