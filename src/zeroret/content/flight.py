"""Content in flight: what one exchange carries, referenced for as long as it may be matched."""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from zeroret.content import identifiers
from zeroret.content.boundary import OPEN, Boundary
from zeroret.content.wiping import wipe

if TYPE_CHECKING:
    from collections.abc import Sequence

LogGuard: TypeAlias = Literal["strict", "match", "none"]

CHUNK_BUDGET: Final = 8 * 2**20
"""The most bytes of one exchange that are referenced for matching."""

_WORTH_WIPING: Final = 16  # bytes of a header's value: shorter ones are numbers and tokens

CHUNKS_LIMIT: Final = 2**17
"""The most chunks that are referenced: a tiny one costs fifty times its size."""


class Flight:
    """One exchange as the guards see it: its content, and the closed sets its logs may show.

    The chunks are references to the very objects that pass, never copies. Past the budget nothing
    more is referenced, and `truncated` says so.
    """

    __slots__ = (
        "__weakref__",
        "boundary",
        "chunks",
        "closed",
        "ended",
        "enforce",
        "headers",
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
        boundary: Boundary = OPEN,
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
        self.boundary = boundary
        """Where its content may go."""
        self.names = names
        """Members of closed sets (models, upstream hosts) that strict logging may show."""
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        """The lines of the request's head as they came, names in lower case."""
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

    def identifiers(self) -> frozenset[str]:
        """Return the caller's credential and cookies, read when asked for, until the drop."""
        return identifiers.among(self.headers)

    def note_error(self, error: BaseException) -> None:
        """Take note of an exception that the app handled itself; a bare flight keeps none."""

    def drop(self) -> None:
        """Let go of all content, and overwrite what nobody else holds."""
        self.closed = True
        chunks, self.chunks = self.chunks, []
        values: list[bytes | str] = []
        with suppress(Exception):  # what a broken server calls headers is nothing to overwrite
            values += [value for _, value in self.headers if len(value) >= _WORTH_WIPING]
        self.headers = ()  # before they are counted, so that the lines count no more
        self.index = None
        self.held = 0
        values += chunks
        chunks.clear()
        wipe(values)


CURRENT: ContextVar[Flight | None] = ContextVar("zeroret.exchange", default=None)
"""The exchange in which this code runs."""

LAST: ContextVar[Flight | None] = ContextVar("zeroret.last", default=None)
"""The exchange that last ran in this context, so that a server's access line can name its route."""
