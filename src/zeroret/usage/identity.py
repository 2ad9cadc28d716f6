"""Server-made identifiers: record ids, key ids and accounts, none of which can carry text."""

from __future__ import annotations

import hashlib
import os
import random
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

_ACCOUNT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_DIGEST: Final = "sha256"
_KEY_ID_BYTES: Final = 20  # 160 bits: no birthday collision within any installation


_random: Final = random.Random(int.from_bytes(os.urandom(64)))  # noqa: S311 - ids have to differ, not to be secret; os.urandom costs 1 µs a call
os.register_at_fork(after_in_child=lambda: _random.seed(int.from_bytes(os.urandom(64))))


def new_id(now: float) -> bytes:
    """Return the 16 bytes of a UUIDv7 for the wall-clock time *now* in seconds (RFC 9562, 5.7).

    The process id is mixed in, so that servers which fork without fork hooks mint no id twice.
    """
    noise = _random.getrandbits(76) ^ os.getpid() << 16
    high, low = noise >> 64, noise & 0x3FFF_FFFF_FFFF_FFFF
    value = int(now * 1000) << 80 | 0x7000 << 64 | high << 64 | 0x8000_0000_0000_0000 | low
    return value.to_bytes(16, "big")


def format_id(raw: bytes) -> str:
    """Return the canonical text of the 16 bytes of a UUID."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_id(text: str) -> bytes:
    """Return the 16 bytes of a UUID's canonical text; raises ValueError on anything else."""
    return bytes.fromhex(text.replace("-", ""))


def issued_at(raw: bytes) -> float:
    """Return the wall-clock seconds, to the millisecond, at which a UUIDv7 was minted."""
    return int.from_bytes(raw[:6], "big") / 1000


def least_id(moment: datetime) -> str:
    """Return the text that sorts before every UUIDv7 minted at *moment* or later."""
    milliseconds = max(int(moment.timestamp() * 1000), 0)
    return format_id(milliseconds.to_bytes(6, "big") + bytes(10))


class Pseudonyms:
    """Keyed pseudonyms of one installation: the same credential gives the same id, nobody else's.

    The *pepper* is 32 random bytes that never leave the installation. A digest without it says
    nothing about the credential, however guessable that is.
    """

    def __init__(self, pepper: bytes) -> None:
        # HMAC with both pads hashed beforehand (RFC 2104, 4): `hmac.digest` costs three times this.
        block = pepper.ljust(hashlib.new(_DIGEST).block_size, b"\0")
        self._inner = hashlib.new(_DIGEST, bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.new(_DIGEST, bytes(byte ^ 0x5C for byte in block))

    def __repr__(self) -> str:
        return "Pseudonyms()"

    def _digest(self, kind: bytes, value: str) -> str:
        inner = self._inner.copy()
        inner.update(kind + value.encode("utf-8", "surrogatepass"))
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()[: 2 * _KEY_ID_BYTES]

    def key_id(self, credential: str) -> str:
        """Return 160 bits of HMAC-SHA-256 over *credential*, in hex."""
        return self._digest(b"key:", credential)

    def account(self, account: str) -> str:
        """Return *account* if it is a plain identifier, else its HMAC (an e-mail address, say)."""
        if _ACCOUNT.match(account):
            return account
        return "h_" + self._digest(b"account:", account)
