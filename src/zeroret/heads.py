"""Heads of requests and replies: what single fields of them say (RFC 9110)."""

from __future__ import annotations

from typing import Final

_LONGEST_LENGTH: Final = 15  # digits of a Content-Length that is believed: a petabyte


def declared_length(value: str | bytes) -> int | None:
    """Return the bytes that a Content-Length promises; None for one that promises nothing.

    RFC 9110, 8.6: ASCII digits, nothing else.
    """
    if value.isascii() and value.isdigit() and len(value) <= _LONGEST_LENGTH:
        return int(value)
    return None


def credential_of(header: bytes) -> str:
    """Return the credential of a header value, without the scheme's name (RFC 9110, 11.4)."""
    text = header.decode("latin-1").strip()
    scheme, _, rest = text.partition(" ")
    return rest.strip() if rest and scheme.isalpha() else text
