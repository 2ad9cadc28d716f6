"""Content in flight: what one exchange carries, referenced for as long as it may be matched."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final, Literal, TypeAlias

LogGuard: TypeAlias = Literal["strict", "match", "none"]

CHUNK_BUDGET: Final = 8 * 2**20
"""The most bytes of one exchange that are referenced for matching."""

CHUNKS_LIMIT: Final = 2**17
"""The most chunks that are referenced: a tiny one costs fifty times its size."""


class Flight:
    """One exchange as the guards see it: its content, and the closed sets its logs may show.

    The chunks are references to the very objects that pass, never copies. Past the budget nothing
    more is referenced, and `truncated` says so.
    """

    __slots__ = (
        "__weakref__",
        "chunks",
        "closed",
        "ended",
        "enforce",
        "held",
        "index",
        "log_guard",
        "method",
        "mount",
        "names",
        "route",
        "started",
        "truncated",
    )

    def __init__(
        self,
        log_guard: LogGuard = "strict",
        *,
        enforce: bool = True,
        names: frozenset[str] = frozenset(),
    ) -> None:
        self.chunks: list[bytes | str] = []
        self.held = 0
        self.truncated = False
        self.index: object | None = None
        """What matching derived from the content; a slot, so that no drop can leave it behind."""
        self.closed = False
        """True once the content was dropped; there is then nothing left to match."""
        self.log_guard: LogGuard = log_guard
        self.enforce = enforce
        self.names = names
        """Members of closed sets (models, upstream hosts) that strict logging may show."""
        self.method = ""
        self.started = 0.0
        """`time.perf_counter()` when the exchange opened."""
        self.ended: float | None = None
        """`time.perf_counter()` when the exchange ended; None while it runs."""
        self.route: str | None = None
        self.mount = ""
        """What the mounts that routing has passed so far add before the route's template."""

    @property
    def matchable(self) -> bool:
        """Whether all its content is still referenced: else matching could miss what it lost."""
        return not (self.truncated or self.closed)

    def hold(self, chunk: bytes | str) -> None:
        """Reference *chunk* as content of this exchange, within the budgets."""
        if not chunk:
            return
        held = self.held + len(chunk)
        if held > CHUNK_BUDGET or len(self.chunks) >= CHUNKS_LIMIT:
            self.truncated = True
            return
        self.held = held
        self.chunks.append(chunk)

    def route_template(self) -> str | None:
        """Return the router's template for this exchange as far as it is known now."""
        return self.route

    def note_error(self, error: BaseException) -> None:
        """Take note of an exception that the app handled itself; a bare flight keeps none."""

    def drop(self) -> None:
        """Let go of all content."""
        self.closed = True
        self.chunks = []
        self.index = None
        self.held = 0


CURRENT: ContextVar[Flight | None] = ContextVar("zeroret.exchange", default=None)
"""The exchange in which this code runs."""

LAST: ContextVar[Flight | None] = ContextVar("zeroret.last", default=None)
"""The exchange that last ran in this context, so that a server's access line can name its route."""
