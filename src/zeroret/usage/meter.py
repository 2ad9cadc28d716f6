"""The meter of one exchange: what the readers found, and local counts for what nobody reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroret.dialects.encoding import coding
from zeroret.dialects.request import RequestHead
from zeroret.dialects.socket import SocketReader
from zeroret.dialects.usage import Usage
from zeroret.usage.answered import Answered, ignore
from zeroret.usage.aside import Job
from zeroret.usage.asked import COUNT_LIMIT, REQUEST_LIMIT, Asked
from zeroret.usage.counting import best_model, prepare
from zeroret.usage.metered import Metered, weakest
from zeroret.usage.said import Said
from zeroret.usage.upstream import UpstreamCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Unpack

    from zeroret.dialects import Dialect
    from zeroret.tokens import TokenCounter
    from zeroret.tokens.framing import PromptCount
    from zeroret.usage.meters import Marks
    from zeroret.usage.said import Counts

__all__ = ["COUNT_LIMIT", "REQUEST_LIMIT", "Meter", "Metered"]


class Meter:
    """Meters one exchange; bytes in, one `Metered` out.

    Calls come in the order of the wire: `request_start`, `request_chunk`, `request_end`,
    `response_start`, `response_chunk`, `finish`. None of them raises. Only references to chunks
    are held, and none after `finish`. On a websocket each chunk is one frame.

    The source of each side, strongest first: the handler's own `report`, the sum over the calls of
    instrumented clients, the usage the response carries, a local count of what was delivered (of
    the prompt, for the input). Nothing is counted for a response of status 400 or more, or one this
    dialect does not send. Usage that is told at every retrieval is taken once, as *marks* tell.
    """

    __slots__ = (
        "_answered",
        "_asked",
        "_counter",
        "_dialect",
        "_malformed",
        "_marks",
        "_may_count",
        "_metered",
        "_said",
        "_upstream",
        "owed",
        "response_chunk",
        "stream",
    )

    response_chunk: Callable[[bytes], bool]

    def __init__(  # noqa: PLR0913 - what a runtime says of every exchange
        self,
        dialect: Dialect | None,
        counter: TokenCounter,
        *,
        path: str = "",
        method: str = "POST",
        may_count: bool = True,
        marks: Marks | None = None,
    ) -> None:
        self._dialect = dialect
        self._asked = None if dialect is None else Asked(dialect, path)
        self._answered = (
            None if dialect is None else Answered(dialect, counter, self._model, method)
        )
        self._counter = counter
        self._may_count = may_count
        self._marks = marks
        self._malformed = 0
        self._said: Said | None = None
        self._upstream: UpstreamCalls | None = None
        self._metered: Metered | None = None
        self.owed: Job[PromptCount | None] | None = None
        """After `finish`, the count of a long prompt that is not done yet; nobody waits for it."""
        self.stream: bool | None = None
        """Whether the response is a stream; before it starts, whether one was asked for."""
        # the one call per event goes straight to the reader
        self.response_chunk = ignore
        """``response_chunk(chunk) -> bool``: take a piece of the body; True when it completes the
        dialect's terminal event, and on a websocket when the counts have changed."""

    @property
    def request_model(self) -> str | None:
        """The model the request names, as sent; known after `request_end`."""
        head = None if self._asked is None else self._asked.head
        return None if head is None else head.model

    @property
    def held(self) -> int:
        """Bytes of content referenced now, characters that wait to be counted included."""
        parts = (self._asked, self._answered)
        return sum(part.held for part in parts if part is not None)

    @property
    def failed(self) -> bool:
        """Whether the response said that it is an error. Asking ends the reading, as complete."""
        return self.finish(complete=True).error

    def request_start(self, content_type: str | bytes, content_encoding: str | bytes) -> None:  # noqa: ARG002 - every dialect's request is JSON or a form, whatever its type says
        """Take the two request headers that say how to read the body."""
        if self._asked is not None:
            self._asked.start(content_encoding)

    def request_query(self, query: bytes) -> None:
        """Take the query of a request that may open a websocket, which has no body."""
        if self._asked is None or self._answered is None or self._answered.method != "GET":
            return
        try:
            self._asked.query(query)
        except Exception:  # noqa: BLE001 - a fault of ours must not reach the reply
            self._malformed += 1

    def request_chunk(self, chunk: bytes) -> None:
        """Reference a piece of the request body, or read a frame of a websocket."""
        asked, answered = self._asked, self._answered
        if asked is None or answered is None or self._metered is not None:
            return
        try:
            if isinstance(answered.reader, SocketReader):
                asked.names(answered.reader.came(chunk))
            else:
                asked.chunk(chunk)
        except Exception:  # noqa: BLE001 - as above
            self._give_up()

    def request_end(self) -> None:
        """Read the head of the request; what may be counted is made ready in the background."""
        asked = self._asked
        if asked is None or asked.head is not None or self._metered is not None:
            return
        try:
            self._read_request(asked)
        except Exception:  # noqa: BLE001 - as above
            self._give_up()

    @property
    def reads_headers(self) -> bool:
        """Whether `response_headers` is asked for, before `response_start`."""
        return self._dialect is not None and self._dialect.reads_headers

    def response_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the response's headers, whatever the case of their names."""
        if self._answered is None or self._metered is not None:
            return
        try:
            self._answered.headers(headers)
        except Exception:  # noqa: BLE001 - as above
            self._malformed += 1

    def response_start(
        self, status: int, content_type: str | bytes, content_encoding: str | bytes
    ) -> None:
        """Choose the reader of the response by its status and two of its headers."""
        answered = self._answered
        if answered is None or self._metered is not None:
            return
        try:
            kind = content_type if isinstance(content_type, bytes) else content_type.encode()
            head = (None if self._asked is None else self._asked.head) or RequestHead()
            packed = coding(content_encoding)
            answered.start(status, kind.lower(), packed, head, counts=self._may_count)
            self.stream = answered.stream
            self.response_chunk = answered.feed
        except Exception:  # noqa: BLE001 - as above
            self._give_up()

    def share(
        self, tape: list[Any], may_grow: Callable[[], bool]
    ) -> Callable[[bytes], bool] | None:
        """Return what takes the events of a stream and keeps them on *tape*, which others hold too.

        None if there is no such thing: then `response_chunk` goes on. *may_grow* is asked from time
        to time; once it says False, and after `unshare`, the tape is left alone.
        """
        if self._answered is None or self._metered is not None:
            return None
        return self.response_chunk if self._answered.share(tape, may_grow) else None

    def unshare(self) -> None:
        """Undo `share`."""
        if self._answered is not None:
            self._answered.unshare()

    def report(self, *, model: str | None = None, **counts: Unpack[Counts]) -> bool:
        """Take the handler's own word, which wins; False if something of it cannot be believed."""
        if self._said is None:
            self._said = Said()
        faults = self._said.take(counts, model)
        self._malformed += faults
        return not faults

    def upstream_call(self, metered: Metered | None) -> None:
        """Add a call that the handler made upstream; None for an attempt that failed."""
        if self._upstream is None:
            self._upstream = UpstreamCalls()
        if metered is None:
            self._upstream.fail()
        else:
            self._upstream.add(metered)

    def peek(self) -> Metered:
        """Return what is known so far; of a stream, what its first events reported."""
        if self._metered is not None:
            return self._metered
        if self._answered is not None:
            self._answered.glance()
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

    def _read_request(self, asked: Asked) -> None:
        head = asked.end()
        dialect = self._dialect
        self.stream = head.stream
        reports = head.include_usage or (dialect is not None and dialect.reports)
        if self._may_count:
            if head.stream and not reports:
                prepare(self._counter, head.model)
            asked.count_ahead(self._counter, self._model, reports=reports)

    def _model(self) -> str | None:
        """Return the model whose vocabulary is to count."""
        said = None if self._said is None else self._said.model
        return best_model(self._counter, said, self.request_model, self._response_model())

    def _response_model(self) -> str | None:
        reader = None if self._answered is None else self._answered.reader
        return None if reader is None else reader.model

    def _finish(self, *, complete: bool) -> Metered:
        answered, sources = self._answered, list[str]()
        reader = None if answered is None else answered.reader
        if answered is None or reader is None:
            return self._result(self._reported(), sources, None)
        count = answered.counts and (self._said is None or not self._said.whole)
        reader.finish(complete=complete, count=count)
        self._take_once(answered)
        usage = self._reported()
        if usage.input_tokens is not None or usage.output_tokens is not None:
            sources.append(self._source())
        unreported = answered.unreported() if count else None
        if unreported is not None:
            usage.output_tokens = (usage.output_tokens or 0) + unreported
            sources.append("estimated")
        elif answered.counts and not usage.whole and reader.way is None:
            return self._counted(answered, usage, sources, complete=complete)
        elif complete and self._asked is not None:
            self._asked.reported()
        return self._result(usage, sources, None)

    def _take_once(self, answered: Answered) -> None:
        """Leave out what was taken at an earlier retrieval; note what later ones will tell."""
        reader, marks = answered.reader, self._marks
        if reader is None or reader.way is None or self._asked is None or self._dialect is None:
            return
        key = f"{self._dialect.provider} {reader.key or self._asked.value('id')}"
        if reader.way != "later":
            take = None if marks is None else marks.first if reader.way == "first" else marks.claim
            if take is None or not take(key):
                answered.forget()
        elif marks is not None:
            marks.expect(key)

    def _counted(
        self, answered: Answered, usage: Usage, sources: list[str], *, complete: bool
    ) -> Metered:
        """Count the sides of *usage* that nobody reported."""
        images: int | None = None
        recognised = answered.reader is not None and answered.reader.recognised
        if usage.output_tokens is None and recognised:
            usage.output_tokens, exact = answered.delivered()
            sources.append("counted" if exact else "estimated")
        asked = self._asked
        if usage.input_tokens is None and asked and (recognised or not complete):
            prompt = asked.prompt(self._counter, self._model(), complete=complete)
            if isinstance(prompt, Job):
                self.owed = prompt
            elif prompt is not None:
                images = prompt.images
                usage.input_tokens = prompt.tokens
                sources.append("counted" if prompt.exact else "estimated")
        return self._result(usage, sources, images)

    def _reported(self) -> Usage:
        """Return the reported usage: the handler's word over upstream calls over the response."""
        usage = Usage() if self._answered is None else self._answered.usage
        if self._upstream is not None:
            usage = self._upstream.over(usage)
        return usage if self._said is None else self._said.over(usage)

    def _source(self) -> str:
        """Return where counts that were reported come from: upstream calls may be counted ones."""
        told = self._upstream is None or (self._said is not None and self._said.whole)
        return "reported" if told or self._upstream is None else self._upstream.source

    def _result(self, usage: Usage, sources: list[str], images: int | None) -> Metered:
        said, asked = self._said, self._asked
        reader = None if self._answered is None else self._answered.reader
        if not sources and (usage.input_tokens is not None or usage.output_tokens is not None):
            sources = [self._source()]
        if said is not None and said.images is not None:
            images = said.images
        # written out: this runs for every exchange
        return Metered(
            dialect=None if self._dialect is None else self._dialect.name,
            request_model=None if asked is None or asked.head is None else asked.head.model,
            response_model=self._answering_model(),
            service_tier=self._tier(),
            stream=self.stream,
            error=reader is not None and reader.error,
            usage_source=weakest(sources),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_input_tokens=usage.cache_read_input_tokens,
            cache_write_input_tokens=usage.cache_write_input_tokens,
            reasoning_output_tokens=usage.reasoning_output_tokens,
            audio_input_tokens=usage.audio_input_tokens,
            audio_output_tokens=usage.audio_output_tokens,
            images=images,
            malformed=self._malformed
            + (0 if asked is None else asked.malformed)
            + (0 if reader is None else reader.malformed),
        )

    def _answering_model(self) -> str | None:
        """Return the model that answered: as the handler said, as its call or the response did."""
        if self._said is not None and self._said.model:
            return self._said.model
        if self._upstream is not None and self._upstream.model:
            return self._upstream.model
        return self._response_model()

    def _tier(self) -> str | None:
        """Return the service tier, as the handler's calls were told it or the response tells it."""
        if self._upstream is not None and self._upstream.tier is not None:
            return self._upstream.tier
        reader = None if self._answered is None else self._answered.reader
        return None if reader is None else reader.tier

    def _give_up(self) -> None:
        """Stop reading this exchange: what was not reported by the handler is unknown."""
        self._malformed += 1
        self._drop()
        if self._answered is not None:
            self._answered.reader = None

    def _drop(self) -> None:
        self.response_chunk = ignore
        for part in (self._asked, self._answered):
            if part is not None:
                part.drop()
