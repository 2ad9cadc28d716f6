"""The response of one exchange: which reader reads it, and the count of what it delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zeroret.dialects.encoding import Inflate
from zeroret.dialects.socket import SocketReader
from zeroret.dialects.streams import StreamReader
from zeroret.dialects.unread import Unread
from zeroret.dialects.usage import Usage
from zeroret.usage.counting import DeliveredText, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from zeroret.dialects import Dialect
    from zeroret.dialects.answer import Parts, Reader
    from zeroret.dialects.request import RequestHead
    from zeroret.tokens import TokenCounter

SWITCHING_PROTOCOLS: Final = 101
"""The status of a websocket that was accepted."""

_OK: Final = 200
_CLIENT_ERROR: Final = 400


def ignore(_: bytes, /) -> bool:
    """Take nothing."""
    return False


class Answered:
    """Reads one response; `feed` goes straight to the reader, once there is one.

    *model* is asked for the model whose vocabulary counts, when text has to be counted.
    """

    __slots__ = (
        "_counter",
        "_delivered",
        "_dialect",
        "_inflate",
        "_model",
        "_told",
        "counts",
        "feed",
        "method",
        "reader",
        "stream",
    )

    feed: Callable[[bytes], bool]

    def __init__(
        self,
        dialect: Dialect,
        counter: TokenCounter,
        model: Callable[[], str | None],
        method: str,
    ) -> None:
        self._dialect = dialect
        self._counter = counter
        self._model = model
        self.method = method
        self._delivered: DeliveredText | None = None
        self._inflate: Inflate | None = None
        self._told: Usage | None = None
        self.counts = False
        """Whether what nobody reports may be counted."""
        self.reader: Reader | None = None
        self.stream = False
        self.feed = ignore

    @property
    def held(self) -> int:
        """Bytes referenced, characters that wait to be counted included."""
        parts = (self._delivered, self.reader)
        return sum(part.held for part in parts if part is not None)

    @property
    def usage(self) -> Usage:
        """What the response reported so far."""
        return Usage() if self.reader is None else self.reader.usage

    def headers(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the usage that the response's headers hold."""
        named: Mapping[bytes, bytes] = {name.lower(): value for name, value in headers}
        self._told = self._dialect.header_usage(named)

    def start(
        self, status: int, kind: bytes, name: str, head: RequestHead, *, counts: bool
    ) -> None:
        """Choose the reader for a *status*, a content type and a content coding *name*."""
        dialect = self._dialect
        self.counts = counts = counts and status < _CLIENT_ERROR
        count = self._count if counts else None
        framing = dialect.framing(kind, asked=head.stream and counts)
        if status == SWITCHING_PROTOCOLS and dialect.speaks_socket:
            self.reader = dialect.socket(count)
        elif self.method not in dialect.methods or (dialect.once and status != _OK):
            self.reader = Unread(dialect.name, None)
        elif framing is not None:
            hold = head.include_usage or dialect.reports or not counts
            hold = hold or not prepare(self._counter, self._model())
            self.reader = dialect.stream(count, hold=hold, framing=framing)
        else:
            self.reader = dialect.body(count, kind)
        if self._told is not None and counts:
            self.reader.usage = self._told
        self.stream = framing is not None or head.stream
        self._inflate = Inflate(name) if name else None
        # one call per chunk, straight to the reader, which guards itself
        self.feed = self._feed_encoded if name else self.reader.feed

    def share(self, tape: list[Any], may_grow: Callable[[], bool]) -> bool:
        """Have a stream's reader use *tape*, as it says; False if what passes is read otherwise."""
        if self._inflate is not None or not isinstance(self.reader, StreamReader):
            return False
        self.reader.share(tape, may_grow)
        return True

    def unshare(self) -> None:
        """Undo `share`."""
        if isinstance(self.reader, StreamReader):
            self.reader.unshare()

    def glance(self) -> None:
        """Read the first events of a stream."""
        if isinstance(self.reader, StreamReader):
            self.reader.glance()

    def unreported(self) -> int | None:
        """Return the tokens of a websocket's answers whose usage did not come, if there are any."""
        if not isinstance(self.reader, SocketReader) or self._delivered is None:
            return None
        return self._delivered.total()[0]

    def delivered(self) -> tuple[int, bool]:
        """Return the tokens of everything that was delivered, and whether that is exact."""
        exact = self.reader is not None and not self.reader.opaque
        tokens, sure = (0, True) if self._delivered is None else self._delivered.total()
        return tokens, sure and exact

    def forget(self) -> None:
        """Leave out what the response reported."""
        if self.reader is not None:
            self.reader.usage = Usage()

    def drop(self) -> None:
        """Let go of everything held."""
        self.feed = ignore
        self._delivered = None
        if self.reader is not None:
            self.reader.drop()

    def _count(self, parts: Parts) -> None:
        if self._delivered is None:
            self._delivered = DeliveredText(self._counter)
        self._delivered.count(parts, self._model)

    def _feed_encoded(self, chunk: bytes, /) -> bool:
        inflate, reader = self._inflate, self.reader
        if inflate is None or reader is None:
            return False
        plain = inflate.feed(chunk)
        if inflate.readable:
            return reader.feed(plain) if plain else False
        # what the rest says is not known, so that nothing is
        self.drop()
        self.reader = reader = Unread(self._dialect.name, None)
        reader.malformed = 1
        return False
