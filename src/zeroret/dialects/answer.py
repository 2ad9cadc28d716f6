"""What every reader of a response has in common, and the reader of one JSON answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final, Literal, Protocol, TypeAlias

import msgspec

from zeroret.dialects.tiers import tier_of
from zeroret.dialects.usage import Usage

FAULTS: Final = (msgspec.DecodeError, RecursionError, ValueError)
"""What decoding raises on the bytes of the world; broken UTF-8 is a ValueError."""

Parts: TypeAlias = dict[tuple[int, int], list[str]]
"""Text by place: (choice or block, kind of text), each in the order of delivery."""

Count: TypeAlias = Callable[[Parts], None]
"""Takes text to be counted; called once per batch."""

BODY_LIMIT: Final = 16 * 2**20
"""The most bytes of one usual JSON response that are referenced."""


TEXT_LIMIT: Final = 4 * 2**20
"""The most bytes of one JSON response whose text is counted: for that it is built as objects."""


class Buffer(Protocol):
    """Cuts a byte stream into events, whatever the chunks; *dropped* counts those it could not."""

    dropped: int

    @property
    def held(self) -> int:
        """Bytes of the unfinished event."""

    def holds(self, needle: bytes, /) -> bool:
        """Whether the unfinished event contains *needle*."""

    def feed(self, data: bytes, /) -> bytes:
        """Take *data*; return the events it completed, as server-sent ones with LF line ends."""

    def finish(self) -> bytes:
        """Return the unfinished event, if it may be whole, and forget it."""


class Reader(Protocol):
    """What the meter asks of a reader, whatever the framing."""

    usage: Usage
    model: str | None
    error: bool
    opaque: bool
    recognised: bool
    malformed: int
    tier: str | None
    way: Literal["first", "claim", "later"] | None
    key: str | None

    @property
    def held(self) -> int:
        """Bytes referenced."""

    def feed(self, chunk: bytes, /) -> bool:
        """Take a chunk; True when it completes the terminal event."""

    def finish(self, *, complete: bool, count: bool) -> None:
        """Read what is left; *count* asks for the text if its usage was not reported."""

    def drop(self) -> None:
        """Let go of everything held."""


class Answer:
    """What a response said: usage, model, whether it was an error.

    *opaque* is True when something was delivered that is not text, or is framed by tokens nobody
    publishes, so that a count of the text is no exact count of the whole. *recognised* is True
    once something was read that only this dialect sends, so that no text means: none was
    delivered. *malformed* is how many parts could not be read. *tier* is the service tier.

    *way* says how a usage is taken that every retrieval of an answer tells, under *key* or the
    path's ``{id}``: ``"first"`` if nobody took it; ``"claim"`` if it was expected and nobody
    claimed it since; ``"later"`` says that there is none yet and a claim is to be expected.
    """

    __slots__ = (
        "_count",
        "_name",
        "error",
        "key",
        "malformed",
        "model",
        "opaque",
        "recognised",
        "tier",
        "usage",
        "way",
    )

    def __init__(self, name: str, count: Count | None) -> None:
        self._name = name
        self._count = count
        self.usage = Usage()
        self.model: str | None = None
        self.error = False
        self.opaque = False
        self.recognised = False
        self.malformed = 0
        self.way: Literal["first", "claim", "later"] | None = None
        self.key: str | None = None
        self.tier: str | None = None

    def _served(self, value: object) -> None:
        """Take a service tier as sent; a later one wins, as the one that was served at last."""
        self.tier = tier_of(value) or self.tier


class BodyReader(Answer):
    """Reads one JSON response at its end."""

    __slots__ = ("_chunks", "_size")

    LIMIT: ClassVar[int] = BODY_LIMIT
    """The most bytes of an answer that are read."""

    def __init__(self, name: str, count: Count | None) -> None:
        super().__init__(name, count)
        self._chunks: list[bytes] = []
        self._size = 0

    @property
    def held(self) -> int:
        """Bytes referenced."""
        return sum(map(len, self._chunks))

    def feed(self, chunk: bytes, /) -> bool:
        """Reference *chunk*; a JSON body has no terminal event."""
        self._size += len(chunk)
        if self._size > self.LIMIT:
            self._chunks.clear()
        else:
            self._chunks.append(chunk)
        return False

    def finish(self, *, complete: bool, count: bool) -> None:
        """Read the body; one that was cut says nothing, and that is the cut's fault."""
        if 0 < self._size <= self.LIMIT:
            chunks = self._chunks
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            try:
                self._read(body, count=count and self._size <= TEXT_LIMIT)
            except FAULTS:
                self.malformed += complete
        elif self._size > self.LIMIT:
            self.malformed += 1
        self.drop()

    def drop(self) -> None:
        """Let go of everything held."""
        self._chunks.clear()

    def _read(self, body: bytes, *, count: bool) -> None:
        raise NotImplementedError
