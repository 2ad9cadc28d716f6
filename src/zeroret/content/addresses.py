"""Host names and addresses as an operator writes them, in the one form in which they compare."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

LOCALHOST: Final = "localhost"
"""The name that stands for every loopback address."""

_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST_NAME: Final = 253
_HIGHEST_PORT: Final = 65535
_LONGEST_PORT: Final = 5


class Address(NamedTuple):
    """A host, by name, address or wildcard, and a port; None is any port."""

    host: str
    port: int | None

    @property
    def local(self) -> bool:
        """Whether it is this machine, by its name or address alone."""
        return is_loopback(self.host)

    def covers(self, host: str, port: int | None) -> bool:
        """Tell whether *host* and *port*, both in the common form, are meant.

        ``localhost`` means every loopback address; ``*.name`` exactly one label more than the name.
        """
        if self.port is not None and port != self.port:
            return False
        if host == self.host:
            return True
        if self.host == LOCALHOST:
            return is_loopback(host)
        return self.host.startswith("*.") and host.partition(".")[2] == self.host[2:]


def common(host: str) -> str:
    """Return the form in which a host compares; the empty text for one that can equal no entry."""
    if not host.isascii():
        return ""
    host = host.lower().removesuffix(".")
    if ":" in host:
        host = host.removeprefix("[").removesuffix("]")
        try:
            return ip_address(host).compressed
        except ValueError:
            return ""
    return host


def is_loopback(host: str) -> bool:
    """Tell whether *host*, in the common form, is this machine; no name but ``localhost`` is."""
    if host == LOCALHOST:
        return True
    if not (host.startswith("127.") or ":" in host):
        return False
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def parsed(text: str) -> Address:
    """Return the address that ``host``, ``host:port`` or ``[IPv6]:port`` names.

    Raises:
        ValueError: it names none; the text completes a sentence and says what to write.
    """
    if not text.isascii():
        raise ValueError("is not ASCII: write the name as DNS has it, with xn--")
    if not text or any(character <= " " for character in text):
        raise ValueError("is empty or has blanks: write a host name")
    text = text.lower()
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError("is no address: write [::1] or [::1]:8000")
        return Address(_ipv6(host), _port(rest[1:]) if rest else None)
    if text.count(":") > 1:
        return Address(_ipv6(text), None)
    host, colon, port = text.partition(":")
    return Address(_name(host.removesuffix(".")), _port(port) if colon else None)


def _port(text: str) -> int:
    if text.isdecimal() and len(text) <= _LONGEST_PORT and 0 < int(text) <= _HIGHEST_PORT:
        return int(text)
    raise ValueError("has a port that is none: write a number from 1 to 65535, or leave it away")


def _ipv6(text: str) -> str:
    with suppress(ValueError):
        if "%" not in text:  # a zone is one machine's own
            return IPv6Address(text).compressed
    raise ValueError("is no address: write an IPv6 address as [::1] or [::1]:8000")


def _name(text: str) -> str:
    wildcard, name = text.startswith("*."), text.removeprefix("*.")
    labels = name.split(".")
    if "*" in name or (wildcard and len(labels) < 2):  # noqa: PLR2004 - *.com would be everybody's
        raise ValueError(
            "is too wide: write a name, or *.name.tld for the names one label below it"
        )
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("is no host name: write one such as api.openai.com")
    if labels[-1].isdecimal():
        try:
            name = ip_address(name).compressed
        except ValueError:
            raise ValueError("is no address: write all four numbers, such as 127.0.0.1") from None
    return "*." + name if wildcard else name
