"""What a request says: its model, whether a stream is asked for, and the prompt to be counted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from zeroret.dialects.encoding import Inflate, coding
from zeroret.dialects.request import FORM, RequestHead, model_name, parse, read_form, read_request
from zeroret.tokens.counting import BYTES_PER_TOKEN
from zeroret.tokens.framing import PromptCount
from zeroret.usage import aside
from zeroret.usage.counting import count_prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.dialects import Dialect
    from zeroret.tokens import TokenCounter
    from zeroret.usage.aside import Job

REQUEST_LIMIT: Final = 32 * 2**20
"""The most bytes of a request body that are referenced; joining them takes as much once more."""

COUNT_LIMIT: Final = 2**20
"""The longest request body whose prompt is counted; a megabyte takes some 50 ms."""

ASIDE: Final = 32 * 2**10
"""The longest request body whose prompt is counted where the exchange runs, in up to 2 ms."""

_PATIENCE: Final = 0.05
"""Seconds that a reply waits for a count that is under way; then the prompt is estimated."""

_silent: Final[set[tuple[str, bool]]] = set()
"""Dialects, and whether as a stream, whose last complete answer reported no input."""


class Asked:
    """The request of one exchange; holds references to its chunks, then to a body to count."""

    __slots__ = (
        "_body",
        "_chunks",
        "_coding",
        "_dialect",
        "_job",
        "_path",
        "_size",
        "head",
        "malformed",
    )

    def __init__(self, dialect: Dialect, path: str) -> None:
        self._dialect = dialect
        self._path = path
        self._chunks: list[bytes] = []
        self._size = 0
        self._coding = ""
        self._body = b""
        self._job: Job[PromptCount | None] | None = None
        self.head: RequestHead | None = None
        """What was read of it; None before its end."""
        self.malformed = 0

    @property
    def held(self) -> int:
        """Bytes referenced here."""
        return sum(map(len, self._chunks)) + len(self._body)

    def start(self, content_encoding: str | bytes) -> None:
        """Take the header that says how to read the body."""
        self._coding = coding(content_encoding)

    def chunk(self, chunk: bytes) -> None:
        """Reference a piece of the body."""
        self._size += len(chunk)
        if self._size <= REQUEST_LIMIT:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    def query(self, query: bytes) -> None:
        """Take what the query of a websocket's address says: there is no body."""
        from urllib.parse import parse_qs

        named = parse_qs(query.decode("latin-1"), max_num_fields=64).get("model", [None])
        self.head = RequestHead(model=model_name(named[0]))

    def names(self, model: str | None) -> None:
        """Take a model that a frame of a websocket asks for; the first one counts."""
        if model is not None and (self.head is None or self.head.model is None):
            self.head = RequestHead(model=model)

    def value(self, field: str) -> str | None:
        """Return what the path has in place of a *field* of the dialect's pattern."""
        return self._dialect.value_in(self._path, field)

    def end(self) -> RequestHead:
        """Read the head of the request."""
        if self.head is None:
            self.head = head = self._read()
            if head.model is None or self._dialect.named_by_path:
                head.model = model_name(self._dialect.model_in(self._path)) or head.model
            self.malformed += head.malformed
        return self.head

    def count_ahead(
        self, counter: TokenCounter, model: Callable[[], str | None], *, reports: bool
    ) -> None:
        """Begin to count a long prompt aside, if the answer is not likely to report its input."""
        head = self.head
        if head is None or self._job is not None or not len(self._body) > ASIDE:
            return
        if reports or not head.stream:
            reports = self._kind not in _silent
        if not reports:
            self._job = self._begin(counter, model())

    def reported(self) -> None:
        """Note that a complete answer of this dialect reported its input."""
        if self._job is not None:
            _silent.discard(self._kind)

    @property
    def _kind(self) -> tuple[str, bool]:
        return self._dialect.name, self.head is not None and self.head.stream

    def prompt(
        self, counter: TokenCounter, model: str | None, *, complete: bool
    ) -> PromptCount | Job[PromptCount | None] | None:
        """Return what the prompt takes; of a long one that nobody waits for, the job that counts.

        One that would hold up the reply is estimated by its size.
        """
        kind = self._dialect.prompt
        if kind is None:
            return None
        if self._size > COUNT_LIMIT:
            return self._estimate()
        if self._job is not None:
            if not complete:
                return self._job
            return self._job.result if self._job.wait(_PATIENCE) else self._estimate()
        if len(self._body) > ASIDE:
            if not complete:
                return self._begin(counter, model) or self._estimate()
            _silent.add(self._kind)
        return _counted(self._body, kind, counter, model)

    def _begin(self, counter: TokenCounter, model: str | None) -> Job[PromptCount | None] | None:
        kind = self._dialect.prompt or ""
        return aside.start(partial(_counted, self._body, kind, counter, model))

    def _estimate(self) -> PromptCount:
        return PromptCount(self._size // BYTES_PER_TOKEN, exact=False, images=0)

    def drop(self) -> None:
        """Let go of everything held."""
        self._chunks = []
        self._body = b""
        self._path = ""

    def _read(self) -> RequestHead:
        chunks, self._chunks = self._chunks, []
        if not self._coding and chunks and chunks[0].startswith(FORM):
            return read_form(b"".join(chunks))
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if self._coding and body:
            inflate = Inflate(self._coding)
            body = inflate.feed(body)
            if not inflate.readable:
                body = b""
                self.malformed += 1
        self._size = len(body)
        if self._dialect.prompt is not None and len(body) <= COUNT_LIMIT:
            self._body = body
        return read_request(body) if body else RequestHead()


def _counted(
    body: bytes, kind: str, counter: TokenCounter, model: str | None
) -> PromptCount | None:
    """Return what the prompt of *body* takes; None if it cannot be read."""
    data: Any = parse(body)
    return None if data is None else count_prompt(kind, data, counter, model)
