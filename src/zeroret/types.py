"""The protocols users implement, and the ASGI and WSGI aliases the shells speak.

ASGI: https://asgi.readthedocs.io/en/latest/specs/main.html; WSGI: PEP 3333.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
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


@runtime_checkable
class UsageSink(Protocol):
    """A destination of usage records.

    Called from a background thread, one call at a time. A raised exception means that nothing of
    the batch counts as written: the same records come again, with the same ids, after a back-off.
    """

    def write(self, records: Sequence[UsageRecord], /) -> None:
        """Store a batch; return only when it is as durable as the sink can make it."""

    def close(self) -> None:
        """Release what the sink holds; nothing is written afterwards."""
