"""The file a sink URI names: three slashes relative, four absolute, as SQLAlchemy has it."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from zeroret.errors import ConfigurationError


def file_path(uri: str) -> Path:
    """Return the absolute path of ``scheme:///relative`` or ``scheme:////absolute``.

    A relative path is taken from the directory the process is in now. Raises `ConfigurationError`.
    """
    scheme, _, rest = uri.partition(":")
    name = rest.lstrip("/")
    # The path and nothing else: no host, and the characters that would begin a query.
    slashes = len(rest) - len(name)
    if slashes not in (3, 4) or not name or name.endswith("/"):
        example = name.rstrip("/") or "usage"
        raise ConfigurationError(
            f"sink {uri!r}: write {scheme}:///{example} for a file relative to the current "
            f"directory, or {scheme}:////{example} (four slashes) for the absolute path /{example}"
        )
    if "?" in name or "#" in name or "\0" in name:
        raise ConfigurationError(
            f"the {scheme}: sink takes a path only, without '?' or '#': write {scheme}:///usage"
        )
    return Path(rest[3:]).absolute()


def is_loopback(host: str) -> bool:
    """Tell whether *host* is this machine by its name or address alone, without a look-up."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
