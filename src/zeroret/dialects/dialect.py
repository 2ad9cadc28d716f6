"""One wire format: where it is spoken, and which readers read it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from zeroret.dialects.routes import Route
from zeroret.dialects.unread import Unread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroret.dialects.answer import Buffer, Count, Reader
    from zeroret.dialects.socket import SocketReader
    from zeroret.dialects.streams import StreamReader
    from zeroret.dialects.usage import Usage

Framing: TypeAlias = Literal["sse", "ndjson", "array", "eventstream"]
"""How the events of a stream are told apart."""

_TYPES: Final[Mapping[bytes, Framing]] = {
    b"text/event-stream": "sse",
    b"application/vnd.amazon.eventstream": "eventstream",
    b"application/x-ndjson": "ndjson",
    b"application/ndjson": "ndjson",
    b"application/jsonl": "ndjson",
    b"application/x-jsonl": "ndjson",
    b"application/jsonlines": "ndjson",
    b"application/x-jsonlines": "ndjson",
    b"application/json-lines": "ndjson",
    b"application/stream+json": "ndjson",
}
"""The content types that say it, in lower case and without parameters."""

_BUFFERS: Final[Mapping[Framing, tuple[str, str]]] = {
    "sse": ("zeroret.dialects.sse", "EventBuffer"),
    "ndjson": ("zeroret.dialects.ndjson", "LineBuffer"),
    "array": ("zeroret.dialects.jsonarray", "ObjectBuffer"),
    "eventstream": ("zeroret.dialects.eventstream", "MessageBuffer"),
}
"""What cuts each framing; all of them give its events as server-sent ones."""

_JSON: Final = (b"application/json", b"+json")


class Dialect:
    """One wire format: its name, where it is spoken, and the readers of its responses.

    Args:
        name: the record's ``dialect``; what stands before the first dot is the ``provider``.
        module: the module that holds the readers, imported on first use.
        paths: patterns of the paths it is spoken on, last segments first in weight; see `Route`.
        methods: the request methods; a websocket needs none of them, but a *socket*.
        prompt: the form in which a request holds its prompt, one of ``tokens.framing.FORMS``;
            None where a prompt is never counted.
        body: the class of *module* that reads one answer at its end; None if nothing is to be read.
        stream: the class of *module* that reads a stream; None if there are no streams.
        socket: the class of *module* that reads a websocket; None if it is not spoken on one.
        framings: how streams are framed; the first is taken where the content type says nothing,
            and with ``"array"`` JSON is an array that arrives in pieces.
        streams: True where every answer is a stream, asked for or not.
        reports: True where every complete stream carries usage unasked.
        once: True where the same usage is told at every retrieval; its readers say in which way
            it is taken, and read nothing but a whole answer.
        json_only: True where answers that are not JSON are usual and say nothing, such as sound.
        event_limit: the most bytes of one event of a stream; None for the framing's own limit.
        headers: the function of *module* that reads usage from response headers, by their names in
            lower case; None if they hold none.
    """

    __slots__ = (
        "_body",
        "_family",
        "_headers",
        "_module",
        "_socket",
        "_stream",
        "event_limit",
        "framings",
        "json_only",
        "methods",
        "name",
        "named_by_path",
        "once",
        "prompt",
        "reports",
        "routes",
        "streams",
    )

    def __init__(  # noqa: PLR0913 - a line of the registry says all of them by name
        self,
        name: str,
        module: str,
        paths: tuple[str, ...],
        *,
        methods: tuple[str, ...] = ("POST",),
        prompt: str | None = None,
        body: str | None = "Body",
        stream: str | None = "Stream",
        socket: str | None = None,
        framings: tuple[Framing, ...] = ("sse",),
        streams: bool = False,
        reports: bool = False,
        once: bool = False,
        json_only: bool = False,
        event_limit: int | None = None,
        headers: str | None = None,
    ) -> None:
        self.name = name
        self.routes = tuple(Route(path) for path in paths)
        self.methods = methods
        self.prompt = prompt
        self.framings = framings
        self.streams = streams
        self.reports = reports
        self.once = once
        self.json_only = json_only
        self.event_limit = event_limit
        self._module = module
        self._body = body
        self._headers = headers
        self._stream = stream
        self._socket = socket
        self._family: Any = None
        self.named_by_path = all("{" in path for path in paths)
        """Whether it is the path that says which model answers, whatever the request says."""

    def __repr__(self) -> str:
        return f"Dialect({self.name!r})"

    @property
    def provider(self) -> str:
        """The family this format is of."""
        return self.name.partition(".")[0]

    @property
    def reads_headers(self) -> bool:
        """Whether response headers may hold the usage."""
        return self._headers is not None

    @property
    def speaks_socket(self) -> bool:
        """Whether it is spoken on websockets."""
        return self._socket is not None

    def model_in(self, path: str) -> str | None:
        """Return the model that *path* names; None if it names none."""
        return self.value_in(path, "model")

    def value_in(self, path: str, field: str) -> str | None:
        """Return what *path* has in place of a *field* of its pattern; None if there is none."""
        for route in self.routes:
            value = route.value(path, field)
            if value is not None:
                return value
        return None

    def framing(self, kind: bytes, *, asked: bool) -> Framing | None:
        """Return how a response of content type *kind* is framed; None if it is one answer.

        *kind* is in lower case; *asked* says that the request asks for a stream. What is called
        JSON is one answer even then, since so refusals come.
        """
        if self._stream is None:
            return None
        essence = kind.partition(b";")[0].strip()
        framing = _TYPES.get(essence)
        if framing is not None:
            return framing
        if essence.endswith(_JSON):
            return "array" if "array" in self.framings else None
        return self.framings[0] if asked or self.streams else None

    def header_usage(self, headers: Mapping[bytes, bytes]) -> Usage:
        """Return the usage that response *headers* report, their names in lower case."""
        usage: Usage = getattr(self._load(), self._headers or "")(headers)
        return usage

    def body(self, count: Count | None, kind: bytes = b"application/json") -> Reader:
        """Return a reader of one answer of content type *kind*, in lower case.

        *count* takes its text if it must be counted.
        """
        if self._body is None or (self.json_only and b"json" not in kind):
            return Unread(self.name, count)
        reader: Reader = getattr(self._load(), self._body)(self.name, count)
        return reader

    def stream(self, count: Count | None, *, hold: bool, framing: Framing = "sse") -> StreamReader:
        """Return a reader of one stream of events in *framing*.

        With *hold* the text is counted only if no usage came; else it is counted as it passes.
        """
        reader: StreamReader = getattr(self._load(), self._stream or "")(
            self.name, count, hold=hold
        )
        if framing != "sse" or self.event_limit is not None:
            reader.cut_by(self._buffer(framing), lined=framing in {"sse", "ndjson"})
        return reader

    def socket(self, count: Count | None) -> SocketReader:
        """Return a reader of one websocket; *count* takes text whose usage nobody reported."""
        reader: SocketReader = getattr(self._load(), self._socket or "")(self.name, count)
        return reader

    def _buffer(self, framing: Framing) -> Buffer:
        module, name = _BUFFERS[framing]
        make = getattr(import_module(module), name)
        buffer: Buffer = make() if self.event_limit is None else make(self.event_limit)
        return buffer

    def _load(self) -> Any:
        if self._family is None:
            self._family = import_module(self._module)
        return self._family
