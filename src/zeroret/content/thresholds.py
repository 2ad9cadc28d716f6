"""Thresholds: from how many shared bytes a text is taken to quote an exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zeroret.content.haystack import WIDE

if TYPE_CHECKING:
    from zeroret.content.flight import Flight

OWN: Final = 16
"""Shared bytes from which a text is taken to quote its own exchange."""

OWN_LARGE: Final = 24
"""The same for content of more than `LARGE` bytes, which ordinary lines collide with at 16."""

OTHER: Final = WIDE
"""Shared bytes from which a text is taken to quote another exchange."""

LARGE: Final = 4096
"""Bytes of content from which `OWN_LARGE` holds."""


def threshold(flight: Flight) -> int:
    """Return from how many shared bytes a text quotes *flight* if it is the text's own."""
    return OWN_LARGE if flight.held > LARGE else OWN
