"""PyMongo: messages are judged as connections send them, bulk writes and asyncio included."""

from __future__ import annotations

import struct
from functools import wraps
from typing import Any, Final, NamedTuple

from zeroret.content.destinations import Store
from zeroret.guards.sharing import LIMIT
from zeroret.guards.stores import PATCHES, is_judged, judge
from zeroret.guards.surfacing import surfacing, surfacing_async

READS: Final = frozenset(
    """
    abortTransaction aggregate buildInfo collStats commitTransaction connectionStatus count
    currentOp dbStats distinct endSessions explain find getMore getParameter hello hostInfo isMaster
    ismaster killCursors listCollections listDatabases listIndexes ping saslContinue saslStart
    serverStatus top
    """.split()  # noqa: SIM905 - as long a list of quoted words is harder to read
)
"""Commands that store nothing of their arguments, so far as an aggregation writes nowhere."""

_MESSAGE: Final = 2013
_COMPRESSED: Final = 2012
_HEADER: Final = struct.Struct("<iiii")
_WRAPPED: Final = struct.Struct("<iiB")
_BODY: Final = _HEADER.size + 5  # behind the flags and the kind of the first section
_WRITING_STAGES: Final = (b"$out\x00", b"$merge\x00")
_DATABASE: Final = b"\x02$db\x00"


class _Said(NamedTuple):
    command: str
    database: str | None
    data: bytes


def watch(_module: Any) -> None:
    """Judge what the connections of ``pymongo`` send; a refusal passes what would rename it."""
    from pymongo.asynchronous.pool import AsyncConnection
    from pymongo.synchronous.pool import Connection

    PATCHES.replace(Connection, "command", surfacing(is_judged))
    PATCHES.replace(Connection, "send_message", _sent)
    PATCHES.replace(AsyncConnection, "command", surfacing_async(is_judged))
    PATCHES.replace(AsyncConnection, "send_message", _sent_async)


def _sent(original: Any) -> Any:
    @wraps(original)
    def send_message(self: Any, message: bytes, *args: Any, **options: Any) -> Any:
        if is_judged():
            _judge(self, message)
        return original(self, message, *args, **options)

    return send_message


def _sent_async(original: Any) -> Any:
    @wraps(original)
    async def send_message(self: Any, message: bytes, *args: Any, **options: Any) -> Any:
        if is_judged():
            _judge(self, message)
        return await original(self, message, *args, **options)

    return send_message


def _judge(connection: Any, message: bytes) -> None:
    try:
        said = _read(message)
    except Exception:  # noqa: BLE001 - what cannot be read is judged by all its bytes
        said = _Said("", None, message)
    writes = any(stage in said.data for stage in _WRITING_STAGES)
    if said.command not in READS or writes:
        judge(lambda: _store(connection, said), said.data)


def _read(message: bytes) -> _Said:
    """Take a wire message apart.

    Source: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
    """
    size, *_, opcode = _HEADER.unpack_from(message)
    data = message[:size]
    if opcode == _COMPRESSED:
        opcode, _, compressor = _WRAPPED.unpack_from(data, _HEADER.size)
        body = data[_HEADER.size + _WRAPPED.size :]
        data = data[: _HEADER.size] + _decompressed(body, compressor)
    if opcode != _MESSAGE:
        return _Said("", None, data)
    # The first element of the first document: its type, then its name, which is the command's.
    start = _BODY + 5
    command = data[start : data.index(b"\0", start)].decode()
    found = data.find(_DATABASE)
    if found < 0:
        return _Said(command, None, data)
    at = found + len(_DATABASE)
    (length,) = struct.unpack_from("<i", data, at)
    return _Said(command, data[at + 4 : at + 3 + length].decode(), data)


def _decompressed(body: bytes, compressor: int) -> bytes:
    from pymongo import compression_support

    decompress: Any = compression_support.decompress
    try:
        return bytes(decompress(body, compressor, LIMIT))
    except TypeError:  # of older versions, which know no limit
        return bytes(decompress(body, compressor))


def _store(connection: Any, said: _Said) -> Store:
    host, port = connection.address
    return Store("mongodb", "" if host.startswith("/") else host, port, said.database)
