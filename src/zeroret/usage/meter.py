"""The meter of one exchange: what the readers found, and local counts for what nobody reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from zeroret.dialects.answer import StreamReader
from zeroret.dialects.encoding import Inflate, coding
from zeroret.dialects.request import RequestHead, model_name, parse, read_request
from zeroret.dialects.usage import Usage, as_count
from zeroret.tokens.counting import BYTES_PER_TOKEN
from zeroret.tokens.framing import PromptCount
from zeroret.usage.counting import DeliveredText, best_model, count_prompt, prepare
from zeroret.usage.metered import Metered

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.dialects import Dialect
    from zeroret.dialects.answer import Reader
    from zeroret.tokens import TokenCounter

__all__ = ["REQUEST_LIMIT", "Meter", "Metered"]

REQUEST_LIMIT: Final = 32 * 2**20
"""The most bytes of a request body that are referenced; joining them takes as much once more."""

COUNT_LIMIT: Final = 2**20
"""The longest request body whose prompt is counted; a megabyte takes some 50 ms."""

_CLIENT_ERROR: Final = 400
_STRENGTH: Final[dict[str, int]] = {"reported": 0, "counted": 1, "estimated": 2}


def _ignore(_: bytes, /) -> bool:
    """Take nothing."""
    return False


class Meter:
    """Meters one exchange; bytes in, one `Metered` out.

    Calls come in the order of the wire: `request_start`, `request_chunk`, `request_end`,
    `response_start`, `response_chunk`, `finish`. None of them raises. Only references to chunks
    are held, and none after `finish`.

    The source of each side, strongest first: the handler's own `report`, the usage the response
    carries, a local count of what was delivered (of the prompt, for the input). Nothing is counted
    for a response of status 400 or more, or one this dialect does not send.
    """

    __slots__ = (
        "_body",
        "_body_size",
        "_chunks",
        "_coding",
        "_counter",
        "_counts",
        "_delivered",
        "_dialect",
        "_head",
        "_inflate",
        "_malformed",
        "_may_count",
        "_metered",
        "_reader",
        "_said",
        "_said_model",
        "_size",
        "_status",
        "response_chunk",
        "stream",
    )

    response_chunk: Callable[[bytes], bool]

    def __init__(
        self, dialect: Dialect | None, counter: TokenCounter, *, may_count: bool = True
    ) -> None:
        self._dialect = dialect
        self._counter = counter
        self._may_count = may_count
        self._chunks: list[bytes] = []
        self._size = 0
        self._coding = ""
        self._body = b""
        self._body_size = 0
        self._head: RequestHead | None = None
        self._status: int | None = None
        self._reader: Reader | None = None
        self._inflate: Inflate | None = None
        self._counts = False
        self._delivered: DeliveredText | None = None
        self._malformed = 0
        self._said: Usage | None = None
        self._said_model: str | None = None
        self._metered: Metered | None = None
        self.stream: bool | None = None
        """Whether the response is a stream; before it starts, whether one was asked for."""
        # the one call per event goes straight to the reader
        self.response_chunk = _ignore
        """``response_chunk(chunk) -> bool``: take a piece of the body; True when it completes the
        dialect's terminal event."""

    @property
    def request_model(self) -> str | None:
        """The model the request names, as sent; known after `request_end`."""
        return None if self._head is None else self._head.model

    @property
    def held(self) -> int:
        """Bytes of content referenced now, characters that wait to be counted included."""
        held = sum(map(len, self._chunks)) + len(self._body)
        if self._delivered is not None:
            held += self._delivered.held
        return held if self._reader is None else held + self._reader.held

    @property
    def failed(self) -> bool:
        """Whether the response said that it is an error. Asking ends the reading, as complete."""
        return self.finish(complete=True).error

    def request_start(self, content_type: str | bytes, content_encoding: str | bytes) -> None:  # noqa: ARG002 - every dialect's request is JSON, whatever its type says
        """Take the two request headers that say how to read the body."""
        self._coding = coding(content_encoding)

    def request_chunk(self, chunk: bytes) -> None:
        """Reference a piece of the request body."""
        if self._dialect is None or self._metered is not None:
            return
        try:
            self._size += len(chunk)
            if self._size <= REQUEST_LIMIT:
                self._chunks.append(chunk)
            else:
                self._chunks.clear()
        except Exception:  # noqa: BLE001 - a fault of ours must not reach the reply
            self._give_up()

    def request_end(self) -> None:
        """Read the head of the request; what may be counted is made ready in the background."""
        if self._dialect is None or self._head is not None or self._metered is not None:
            return
        try:
            self._read_request()
        except Exception:  # noqa: BLE001 - as above
            self._give_up()

    def response_start(
        self, status: int, content_type: str | bytes, content_encoding: str | bytes
    ) -> None:
        """Choose the reader of the response by its status and two of its headers."""
        dialect = self._dialect
        if dialect is None or self._metered is not None:
            return
        try:
            self._status = status
            kind = content_type if isinstance(content_type, bytes) else content_type.encode()
            self._choose(dialect, kind.lower(), coding(content_encoding))
        except Exception:  # noqa: BLE001 - as above
            self._give_up()

    def report(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        model: str | None = None,
    ) -> None:
        """Take the handler's own word, which wins; what is no count is left out."""
        said = self._said or Usage()
        for name, value in (("input_tokens", input_tokens), ("output_tokens", output_tokens)):
            count = as_count(value)
            if count is not None:
                setattr(said, name, count)
            elif value is not None:
                self._malformed += 1
        self._said = said
        self._said_model = model_name(model) or self._said_model

    def peek(self) -> Metered:
        """Return what is known so far; of a stream, what its first events reported."""
        if self._metered is not None:
            return self._metered
        if isinstance(self._reader, StreamReader):
            self._reader.glance()
        return self._result(self._reported(), [], None)

    def finish(self, *, complete: bool) -> Metered:
        """Read what is left, count what nobody reported, let go of all content.

        *complete* says whether the body arrived whole. Later calls return the same.
        """
        if self._metered is None:
            try:
                self.request_end()
                metered = self._finish(complete=complete)
            except Exception:  # noqa: BLE001 - as above
                self._give_up()
                metered = self._result(self._reported(), [], None)
            self._metered = metered
            self._drop()
        return self._metered

    def _read_request(self) -> None:
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        if self._coding and body:
            inflate = Inflate(self._coding)
            body = inflate.feed(body)
            if not inflate.readable:
                body = b""
                self._malformed += 1
        self._body_size = len(body)
        self._body = body if len(body) <= COUNT_LIMIT else b""
        head = self._head = read_request(body) if body else RequestHead()
        self._malformed += head.malformed
        self.stream = head.stream
        reports = head.include_usage or (self._dialect is not None and self._dialect.reports)
        if self._may_count and head.stream and not reports:
            prepare(self._counter, head.model)

    def _choose(self, dialect: Dialect, kind: bytes, name: str) -> None:
        head = self._head or RequestHead()
        counts = self._may_count and self._status is not None and self._status < _CLIENT_ERROR
        self._counts = counts
        count = self._count if counts else None
        streamed = kind.startswith(b"text/event-stream")
        if streamed or (head.stream and b"json" not in kind and counts):
            hold = head.include_usage or dialect.reports or not counts
            hold = hold or not prepare(self._counter, self._model())
            self._reader = dialect.stream(count, hold=hold)
        else:
            self._reader = dialect.body(count)
        self.stream = streamed or head.stream
        if name:
            self._inflate = Inflate(name)
            self.response_chunk = self._feed_encoded
        else:
            # one call per chunk, straight to the reader, which guards itself
            self.response_chunk = self._reader.feed

    def _model(self) -> str | None:
        named = None if self._reader is None else self._reader.model
        return best_model(self._counter, self._said_model, self.request_model, named)

    def _count(self, parts: dict[tuple[int, int], list[str]]) -> None:
        if self._delivered is None:
            self._delivered = DeliveredText(self._counter)
        self._delivered.count(parts, self._model)

    def _feed_encoded(self, chunk: bytes, /) -> bool:
        inflate, reader = self._inflate, self._reader
        if inflate is None or reader is None:
            return False
        plain = inflate.feed(chunk)
        if not inflate.readable:
            self._give_up()
            return False
        return reader.feed(plain) if plain else False

    def _finish(self, *, complete: bool) -> Metered:
        said = self._said
        reader = self._reader
        sources: list[str] = []
        images: int | None = None
        if reader is not None:
            unsaid = said is None or not said.whole
            reader.finish(complete=complete, count=self._counts and unsaid)
        usage = self._reported()
        if usage.input_tokens is not None or usage.output_tokens is not None:
            sources.append("reported")
        if reader is None or not self._counts or usage.whole:
            return self._result(usage, sources, images)
        if usage.output_tokens is None and reader.recognised:
            delivered = self._delivered
            usage.output_tokens, exact = (0, True) if delivered is None else delivered.total()
            sources.append("counted" if exact and not reader.opaque else "estimated")
        if usage.input_tokens is None and (reader.recognised or not complete):
            prompt = self._prompt()
            if prompt is not None:
                images = prompt.images
                usage.input_tokens = prompt.tokens
                sources.append("counted" if prompt.exact else "estimated")
        return self._result(usage, sources, images)

    def _prompt(self) -> PromptCount | None:
        """Return the tokens of the prompt; one that would hold up the reply is estimated."""
        if self._dialect is None:
            return None
        if self._body_size > COUNT_LIMIT:
            return PromptCount(self._body_size // BYTES_PER_TOKEN, exact=False, images=0)
        data: Any = parse(self._body)
        if data is None:
            return None
        return count_prompt(self._dialect.prompt, data, self._counter, self._model())

    def _reported(self) -> Usage:
        """Return the reported usage, the handler's word above the response's."""
        said = self._said
        usage = Usage() if self._reader is None else self._reader.usage
        if said is not None:
            usage = msgspec.structs.replace(usage)
            if said.input_tokens is not None:
                usage.input_tokens = said.input_tokens
            if said.output_tokens is not None:
                usage.output_tokens = said.output_tokens
        return usage

    def _result(self, usage: Usage, sources: list[str], images: int | None) -> Metered:
        reader = self._reader
        known = usage.input_tokens is not None or usage.output_tokens is not None
        if known and not sources:
            sources = ["reported"]
        source: Any = max(sources, key=_STRENGTH.__getitem__) if sources else "unknown"
        return Metered(
            dialect=None if self._dialect is None else self._dialect.name,
            request_model=self.request_model,
            response_model=self._said_model or (None if reader is None else reader.model),
            stream=self.stream,
            error=reader is not None and reader.error,
            usage_source=source,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_input_tokens=usage.cache_read_input_tokens,
            cache_write_input_tokens=usage.cache_write_input_tokens,
            reasoning_output_tokens=usage.reasoning_output_tokens,
            audio_input_tokens=usage.audio_input_tokens,
            audio_output_tokens=usage.audio_output_tokens,
            images=images,
            malformed=self._malformed + (0 if reader is None else reader.malformed),
        )

    def _give_up(self) -> None:
        """Stop reading this exchange: what was not reported by the handler is unknown."""
        self._malformed += 1
        self._drop()
        self._reader = None

    def _drop(self) -> None:
        self._chunks = []
        self._body = b""
        self.response_chunk = _ignore
        self._delivered = None
        if self._reader is not None:
            self._reader.drop()
