"""The boundary of an exchange: where its content may go, as the operator stated it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.content.destinations import Stores, Upstreams

UpstreamStorage: TypeAlias = Literal["allow", "forbid"]
"""Whether a request may let the upstream keep it: a stored response, a file, a batch, a cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Boundary:
    """What one runtime allows its exchanges; every exchange carries its own runtime's.

    Args:
        enforce: Whether what crosses is refused; else it is counted and passes.
        upstreams: Where requests may carry content; None allows what `destinations` calls known.
        stores: Databases, caches and queues that may hold content.
        writable: Real paths of files, and of folders with all they hold, that may be written.
        children: Real paths of programs that may be started.
        upstream_storage: Whether a request may ask the upstream to keep it.
        on_violation: Told of each violation, at most once in ten seconds for each place.
    """

    enforce: bool = True
    upstreams: Upstreams | None = None
    stores: Stores | None = None
    writable: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    upstream_storage: UpstreamStorage = "allow"
    on_violation: Callable[[Any], object] | None = None


OPEN: Final = Boundary(enforce=False)
"""The boundary of code that no runtime governs: everything passes and is counted."""
