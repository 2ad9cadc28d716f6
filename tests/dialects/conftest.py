"""What the tests of several dialects share: a writer of AWS event streams."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from uuid import UUID

import pytest

Headers = dict[str, bool | int | bytes | str | UUID]


Encode = Callable[..., bytes]


def _headers(headers: Headers) -> bytes:
    block = b""
    for name, value in headers.items():
        block += bytes([len(name.encode())]) + name.encode()
        if isinstance(value, bool):
            block += b"\x00" if value else b"\x01"
        elif isinstance(value, int):
            block += b"\x05" + struct.pack(">q", value)
        elif isinstance(value, bytes):
            block += b"\x06" + struct.pack(">H", len(value)) + value
        elif isinstance(value, str):
            block += b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()
        else:
            block += b"\x09" + value.bytes
    return block


@pytest.fixture(scope="session")
def encode_headers() -> Encode:
    """Give ``encode(headers)``: a block of headers, each number of eight bytes."""
    return _headers


@pytest.fixture(scope="session")
def encode_message() -> Encode:
    """Give ``encode(payload, kind, **headers)``: a message; *headers* replace the usual ones."""

    def encode(payload: bytes, kind: str = "chunk", **headers: str) -> bytes:
        usual = {
            ":event-type": kind,
            ":content-type": "application/json",
            ":message-type": "event",
        }
        named = {":" + name.replace("_", "-"): value for name, value in headers.items()}
        block = _headers({**(named or usual)})
        prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
        body = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
        return body + struct.pack(">I", zlib.crc32(body))

    return encode
