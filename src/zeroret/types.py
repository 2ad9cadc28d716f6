"""The protocols users implement, and the ASGI and WSGI aliases the shells speak.

ASGI: https://asgi.readthedocs.io/en/latest/specs/main.html; WSGI: PEP 3333.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from datetime import datetime

    from zeroret.usage.record import UsageRecord

Scope: TypeAlias = MutableMapping[str, Any]
"""An ASGI connection scope."""

Message: TypeAlias = MutableMapping[str, Any]
"""An ASGI event."""

Receive: TypeAlias = Callable[[], Awaitable[Message]]
"""An ASGI ``receive`` callable."""

Send: TypeAlias = Callable[[Message], Awaitable[None]]
"""An ASGI ``send`` callable."""

ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3 application."""

Environ: TypeAlias = dict[str, Any]
"""A WSGI environment."""

StartResponse: TypeAlias = Callable[..., Callable[[bytes], object]]
"""A WSGI ``start_response`` callable."""

WSGIApp: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]
"""A WSGI application."""

Identify: TypeAlias = Callable[[str], "str | Awaitable[str | None] | None"]
"""``identify(credential) -> account``, sync or async; None means: not vouched for."""


class Expiring(Protocol):
    """A sink that can delete by the clock."""

    def expire(self, table: str, before: datetime, *, dry_run: bool = False) -> int:
        """Delete the rows of *table* older than *before*; return how many there are.

        *table* is ``usage``, or another that only stores of tables have: then 0.
        """

    def close(self) -> None:
        """As `UsageSink.close`."""


class UsageStore(Expiring, Protocol):
    """A sink that keeps tables: it can be asked, swept by the clock, and its totals rebuilt."""

    @property
    def grammar(self) -> Any:
        """What the store says in its own way, a `zeroret.sinks.tables.Grammar`."""

    def write(self, records: Sequence[UsageRecord], /) -> None:
        """As `UsageSink.write`."""

    def rebuild(self) -> int:
        """Make the totals anew from the rows that are there; return how many totals stand."""

    def query(self, statement: str, values: Sequence[object] = (), /) -> list[tuple[Any, ...]]:
        """Return the rows of a reading SQL statement, whose marks are ``?``."""

    def columns(self, table: str) -> tuple[str, ...]:
        """Return the columns that *table* has; none if it is not there."""

    def moment(self, moment: datetime) -> object:
        """Return *moment* as the store compares it."""


@runtime_checkable
class UsageSink(Protocol):
    """A destination of usage records.

    Called from a background thread, one call at a time. A raised exception means that nothing of
    the batch counts as written: the same records come again, with the same ids, after a back-off.
    `zeroret.errors.RecordRefusedError` means that they never will be: they are put aside.

    A sink may also have ``batch`` (how many records it takes at once, default 500), ``expire``
    (then the policy's clock deletes from it, see `Expiring`), and ``observe(counters)``, which is
    given a function that tells the health of journal and delivery.
    """

    def write(self, records: Sequence[UsageRecord], /) -> None:
        """Store a batch; return only when it is as durable as the sink can make it."""

    def close(self) -> None:
        """Release what the sink holds; nothing is written afterwards."""
