"""AWS's binary event stream, ``application/vnd.amazon.eventstream``, cut and checked.

Smithy's "Amazon Event Stream Specification": a prelude of total length, length of the headers and
the CRC-32 of these two; the headers; the payload; the CRC-32 of all before it. Numbers are
big-endian.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeAlias
from uuid import UUID
from zlib import crc32

from zeroret.dialects.sse import EVENT_LIMIT

HeaderValue: TypeAlias = "bool | int | bytes | str | UUID"

LARGEST: Final = 24 * 2**20
"""The most bytes that a message is believed to have; the specification allows 16 MiB of payload."""

LEAST: Final = 16
"""The bytes of a message without headers and payload."""

_PRELUDE: Final = Struct(">III")
_CRC: Final = Struct(">I")
_LENGTH: Final = Struct(">H")
_NUMBERS: Final = {
    2: Struct(">b"),
    3: Struct(">h"),
    4: Struct(">i"),
    5: Struct(">q"),
    8: Struct(">q"),
}
_BYTES, _STRING, _UUID = 6, 7, 9
_REMEMBERED: Final = 32
_REMEMBERED_SIZE: Final = 256


Message: TypeAlias = tuple[str, bool, bytes]
"""What kind one message says it is, whether that is a failure, and its payload."""


def parse_headers(block: bytes) -> dict[str, HeaderValue]:
    """Return the headers of a *block*.

    Raises:
        ValueError: a name or value runs over the end, a type is unknown, a text is no UTF-8.
    """
    headers: dict[str, HeaderValue] = {}
    at, size = 0, len(block)
    while at < size:
        named = at + 1 + block[at]
        if named >= size:
            raise ValueError("a header's name runs over the end")
        name, kind = block[at + 1 : named].decode(), block[named]
        headers[name], at = _value(block, named + 1, kind)
    return headers


def _value(block: bytes, at: int, kind: int) -> tuple[HeaderValue, int]:
    """Return the value at *at* and where the next header begins."""
    if kind <= 1:
        return kind == 0, at
    number = _NUMBERS.get(kind)
    if number is not None:
        end = at + number.size
    elif kind == _UUID:
        end = at + 16
    elif kind in {_BYTES, _STRING}:
        at += _LENGTH.size
        end = at + (_LENGTH.unpack_from(block, at - 2)[0] if at <= len(block) else 0)
    else:
        raise ValueError("a header's type is unknown")
    if end > len(block):
        raise ValueError("a header's value runs over the end")
    value = block[at:end]
    if number is not None:
        return int(number.unpack(value)[0]), end
    if kind == _UUID:
        return UUID(bytes=value), end
    return (value.decode() if kind == _STRING else value), end


def _kind(block: bytes) -> tuple[str, bool]:
    """Return what kind of message its headers say it is, and whether it is a failure.

    Raises:
        ValueError: as `parse_headers`.
    """
    headers = parse_headers(block)
    told = headers.get(":message-type", "event")
    if told == "event":
        return str(headers.get(":event-type", "")), False
    return str(headers.get(":exception-type") or headers.get(":error-code") or told), True


class MessageBuffer:
    """Cuts a byte stream into whole messages, whatever the chunks.

    A message longer than *limit*, with a wrong checksum or with headers that cannot be read is
    dropped, which `dropped` counts. Where a prelude is wrong nobody knows where the next message
    begins: `lost` is True from there on and nothing is read or held any more.
    """

    __slots__ = ("_kinds", "_limit", "_need", "_skip", "_text", "dropped", "lost")

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._text = bytearray()
        self._need = _PRELUDE.size
        self._skip = 0
        self._limit = limit
        self._kinds: dict[bytes, tuple[str, bool]] = {}
        self.dropped = 0
        self.lost = False

    @property
    def held(self) -> int:
        """Bytes of the unfinished message."""
        return len(self._text)

    def holds(self, needle: bytes) -> bool:
        """Whether the unfinished message contains *needle*."""
        return needle in self._text

    def messages(self, data: bytes) -> list[Message]:
        """Take *data* and return the messages it completed; never raises."""
        if self.lost:
            return []
        if self._text:
            self._text += data
            if len(self._text) < self._need:
                return []
            data = bytes(self._text)
            self._text.clear()
        found: list[Message] = []
        at = self._cut(data, found)
        self._text += data[at:]
        return found

    def feed(self, data: bytes) -> bytes:
        """Take *data* and return the messages it completed as events; see `as_event`."""
        messages = self.messages(data)
        payloads = [payload for _, failed, payload in messages if payload and not failed]
        text = b"\n\ndata: ".join(payloads)
        if len(payloads) < len(messages) or text.count(b"\n") > 2 * len(payloads) - 2:
            return b"".join([as_event(message) for message in messages])
        return b"data: " + text + b"\n\n" if payloads else b""

    def finish(self) -> bytes:
        """Forget the unfinished message, of which nothing can be said; return nothing."""
        self._text = bytearray()
        return b""

    def _cut(self, data: bytes, found: list[Message]) -> int:
        """Add the whole messages of *data* to *found*; return where the unfinished one begins."""
        at, size = self._skipped(0, len(data)), len(data)
        self._need = _PRELUDE.size
        while size - at >= _PRELUDE.size:
            total, heads, check = _PRELUDE.unpack_from(data, at)
            end = at + total
            whole = heads + LEAST <= total <= self._limit and end <= size
            if whole and crc32(data[at : end - 4]) == _CRC.unpack_from(data, end - 4)[0]:
                # the checksum of all proves that of the prelude
                payload = at + _PRELUDE.size + heads
                block = data[at + _PRELUDE.size : payload]
                # a stream repeats few blocks of headers
                kind = self._kinds.get(block) or self._kind(block)
                if kind is None:
                    self.dropped += 1
                else:
                    found.append((kind[0], kind[1], data[payload : end - 4]))
                at = end
                continue
            if crc32(data[at : at + 8]) != check or not heads + LEAST <= total <= LARGEST:
                self.lost = True
                self.dropped += 1
                return size
            if total <= self._limit and not whole:
                self._need = total
                return at
            self.dropped += 1
            self._skip = total
            at = self._skipped(at, size)
        return at

    def _skipped(self, at: int, size: int) -> int:
        """Go over what is left of a long message; return where that is."""
        passed = min(self._skip, size - at)
        self._skip -= passed
        return at + passed

    def _kind(self, block: bytes) -> tuple[str, bool] | None:
        """Return what the headers of *block* say, remembered; None if they cannot be read."""
        try:
            kind = _kind(block)
        except ValueError:
            return None
        if len(self._kinds) < _REMEMBERED and len(block) <= _REMEMBERED_SIZE:
            self._kinds[block] = kind
        return kind


def as_event(message: Message) -> bytes:
    """Return *message* as one event of one ``data`` line; of a failure, that it is an error."""
    _, failed, payload = message
    if failed:
        return b'data: {"error":true}\n\n'
    payload = payload.replace(b"\n", b" ")  # within JSON a line end is white space
    return b"data: " + payload + b"\n\n" if payload else b""
