"""One exchange: what the shells tell it while bytes pass, and the one record it leaves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from zeroret import outcomes
from zeroret.content.flight import CHUNK_BUDGET, CHUNKS_LIMIT, CURRENT, Flight
from zeroret.content.live import LIVE
from zeroret.guards import spools
from zeroret.heads import credential_of
from zeroret.usage.identity import format_id, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from zeroret.runtime import ZeroRetention
    from zeroret.usage.meter import Meter
    from zeroret.usage.metered import Metered
    from zeroret.usage.record import Outcome
    from zeroret.usage.said import Counts

METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
)
"""The request methods a record may name (RFC 9110, 9.3; RFC 5789); a websocket is a GET."""

SWITCHING_PROTOCOLS: Final = 101
"""The status of a websocket that was accepted."""

_CREDENTIAL_HEADERS: Final = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
_ORDINARY_HEADERS: Final = frozenset(
    {b"accept", b"accept-encoding", b"connection", b"content-length", b"content-type", b"host"}
)
_TELLING_NAME: Final = 16  # bytes of a header's name: matching acts from there on
_BODYLESS_STATUSES: Final = frozenset({204, 304})
_HIGHEST_STATUS: Final = 999


class Exchange(Flight):
    """One request and its response, or one websocket connection, from first byte to record.

    A shell opens it, feeds it the bytes that pass, and finishes it once; whatever happens, exactly
    one usage record leaves it. None of its methods raises because of what a client sent.
    """

    __slots__ = (
        "_account",
        "_counted",
        "_find_route",
        "_raw_id",
        "_runtime",
        "_slot",
        "client_host",
        "credential",
        "disconnected",
        "error_type",
        "event",
        "finished",
        "first_byte",
        "journal",
        "meter",
        "request_bytes",
        "response_bytes",
        "status",
        "timed_out",
        "user_agent",
        "wall",
    )

    def __init__(self, runtime: ZeroRetention, method: str, path: str) -> None:
        super().__init__(
            runtime.log_guard,
            enforce=runtime.enforce,
            names=runtime.names,
            boundary=runtime.boundary,
        )
        self._runtime = runtime
        self.wall = time.time()
        self.started = time.perf_counter()
        self._raw_id = new_id(self.wall)
        self.method = method if method in METHODS else ""  # others are text that a client made
        self.meter: Meter | None = runtime.meters.open(path, method)
        self.journal = runtime.journal
        """Where its slot is and its record goes, whatever becomes of the runtime meanwhile."""
        self._slot = self.journal.open_slot(self._raw_id, self.wall)
        self._account: str | None = None
        self.credential: str | None = None
        """The credential as sent: content, only ever compared and hashed."""
        self.disconnected = False
        self._find_route: Callable[[], str | None] | None = None
        self.client_host: object = None
        self.user_agent: bytes | None = None
        self.status: int | None = None
        self.error_type: str | None = None
        self.first_byte: float | None = None
        self.request_bytes = 0
        self.response_bytes = 0
        self.event: Callable[[bytes], bool] | None = None
        """`response_chunk` for all but the last piece of a stream, if they are bytes."""
        self._counted = 0  # how many of the chunks have their bytes counted, while there is one
        self.finished = False
        self.timed_out = False
        # a copy of our own, so that it is wiped
        super().hold(path.encode("utf-8", "surrogatepass"))
        LIVE.enter(self)

    def __repr__(self) -> str:
        return f"<Exchange {self.id}>"

    @property
    def id(self) -> str:
        """The UUIDv7 of this exchange, which is also its record's."""
        return format_id(self._raw_id)

    @property
    def runtime(self) -> ZeroRetention:
        """The runtime whose policy it obeys."""
        return self._runtime

    @property
    def account(self) -> str | None:
        """The account that `identify` vouched for, as the record names it; None if it did not."""
        return self._account

    def report(self, *, model: str | None = None, **counts: Unpack[Counts]) -> None:
        """Say what this exchange used; the handler's own word wins over the upstream's.

        *counts* are those of `UsageRecord`, by its names. What is no count is left out, and counted
        in the posture's failures. Once the reply is complete its record is written, and a later
        report changes nothing.
        """
        if self.meter is None:
            self.meter = self._runtime.meters.bare()
        if not self.meter.report(model=model, **counts):
            self._runtime.failed("report", ValueError())

    def upstream_call(self, metered: Metered | None, host: str, port: int) -> None:
        """Add what a call of an instrumented client used; None for an attempt that failed.

        The sum over all calls wins over what the reply says, since it is what the upstreams bill.
        A model that a named upstream served with usage is known from then on.
        """
        if self.meter is None:
            self.meter = self._runtime.meters.bare()
        self.meter.upstream_call(metered)
        if metered is not None and metered.usage_source == "reported":
            self._runtime.learn(metered.response_model, host, port)

    # What the shells tell.

    def head(self, query: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Take the request's head: names in lower case, values as sent, the last of a name counts.

        Every value a client chooses is content, and so is a name that is long enough to hold any;
        a few ordinary headers are not referenced, since nobody's secret stands in them and every
        log of a server repeats them.
        """
        self.headers = headers
        named = dict(headers)
        for name in _CREDENTIAL_HEADERS:
            value = named.get(name)
            if value:
                self.credential = credential_of(value)
                break
        self.user_agent = named.get(b"user-agent")
        encoding = named.get(b"content-encoding")
        if encoding and self.meter is not None:
            self.meter.request_start(named.get(b"content-type", b""), encoding)
        # Not from the dict: cookies come in several lines over HTTP/2.
        chosen = [value for name, value in headers if name not in _ORDINARY_HEADERS]
        chosen += [name for name, _ in headers if len(name) >= _TELLING_NAME]
        super().hold(b"\n".join(chosen))
        if query:
            super().hold(query)
            if self.meter is not None:
                self.meter.request_query(query)

    def account_is(self, account: str | None) -> None:
        """Note the account that `identify` gave; anything but a string vouches for nobody."""
        if isinstance(account, str) and account:
            self._account = self._runtime.pseudonyms.account(account)

    def routed_by(self, find_route: Callable[[], str | None]) -> None:
        """Ask *find_route* for the router's template when nothing else named it."""
        self._find_route = find_route

    def request_chunk(self, chunk: bytes) -> None:
        """Take a piece of the request body as it passes."""
        if type(chunk) is not bytes:
            chunk = _frozen(chunk)
        self.request_bytes += len(chunk)
        self.hold(chunk)
        if self.meter is not None:
            self.meter.request_chunk(chunk)

    def request_end(self) -> None:
        """Note that the request body is complete."""
        if self.meter is not None:
            self.meter.request_end()

    def response_start(self, status: int, content_type: bytes, content_encoding: bytes) -> None:
        """Note the response's status and the two headers that say how to read its body."""
        if not isinstance(status, int) or not 0 <= status <= _HIGHEST_STATUS:
            return  # the server will say so
        self.status = status
        lasting = status == SWITCHING_PROTOCOLS or content_type.startswith(b"text/event-stream")
        if self.meter is not None:
            self.meter.response_start(status, content_type, content_encoding)
            lasting = lasting or bool(self.meter.stream)
        if lasting:
            self.checkpoint()

    def hold(self, chunk: bytes | str) -> None:
        """Reference *chunk* as content of this exchange, within the budgets."""
        self._end_events()
        super().hold(chunk)

    def response_chunk(self, chunk: bytes) -> bool:
        """Take a piece of the response body; True if it completes the dialect's terminal event."""
        if type(chunk) is not bytes:
            chunk = _frozen(chunk)
        if self.event is not None:
            return self.event(chunk)
        self.response_bytes += len(chunk)
        super().hold(chunk)
        meter = self.meter
        terminal = meter is not None and meter.response_chunk(chunk)
        if self.first_byte is None:
            self.first_byte = time.perf_counter()
            if not terminal and meter is not None and meter.stream:
                self.checkpoint()  # the first event of a stream may tell what its input was
                self._begin_events(meter)
        if terminal and self.status == SWITCHING_PROTOCOLS:
            self.checkpoint()  # an answer on the connection told its usage; others may follow
            return False
        return terminal

    def _begin_events(self, meter: Meter) -> None:
        """Have the meter put what follows straight among the chunks, which are counted later."""
        self._counted = len(self.chunks)
        if not self.truncated and not self.finished:
            self.event = meter.share(self.chunks, self._may_grow)

    def _may_grow(self) -> bool:
        """Count what was put among the chunks; False if there is no room for more."""
        self._count_events()
        if self.held <= CHUNK_BUDGET and len(self.chunks) < CHUNKS_LIMIT:
            return True
        self.event = None
        return False

    def _count_events(self) -> None:
        chunks = self.chunks
        size = sum(map(len, chunks[self._counted :]))
        self._counted = len(chunks)
        self.response_bytes += size
        self.held += size

    def _end_events(self) -> None:
        if self.event is not None:
            self.event = None
            if self.meter is not None:
                self.meter.unshare()
            self._count_events()

    # How it ends.

    def route_template(self) -> str | None:
        """Return the router's template, as far as routing has come; None if there is none."""
        if self.route is None and self._find_route is not None:
            self.route = self._find_route()
        return self.route

    def complete(self) -> None:
        """Write the record of a reply that is about to be whole."""
        if not self.finished:
            aborted = self.disconnected or self.status is None
            self.finish("aborted" if aborted else self._outcome_of_reply())

    def fail(self, error: BaseException) -> None:
        """Write the record of an exchange that an exception ended."""
        self.note_error(error)
        if not self.finished:
            if self.status is None and isinstance(error, Exception):
                self.status = outcomes.SERVER_ERROR
            self.finish(outcomes.of_error(error))

    def note_error(self, error: BaseException) -> None:
        """Remember the class of an exception that the app handled or raised."""
        if self.error_type is None:
            self.error_type = self._runtime.error_type(error)
            self.timed_out = outcomes.is_timeout(error)

    def abort(self) -> None:
        """Write the record of a reply that ended before it was whole."""
        if not self.finished:
            self.finish("aborted")

    def finish(self, outcome: Outcome) -> None:
        """Write the one record; later calls do nothing. Never raises."""
        if self.finished:
            return
        self.finished = True
        self._end_events()
        self._runtime.write(self, outcome)

    def checkpoint(self) -> None:
        """Note in the live slot what is known so far, for the record of a killed exchange."""
        if not self.finished:
            self._end_events()
            self._runtime.checkpoint(self)

    def leave(self) -> None:
        """End the exchange: what it spooled goes now, what is matched when the grace is over."""
        if self.method == "HEAD" or self.status in _BODYLESS_STATUSES:
            self.complete()  # a server need not ask for a body that cannot be there
        self.abort()
        self._find_route = None
        self.credential = self.user_agent = self.client_host = None
        self.meter = None  # what waits for the end of its grace is content, and nothing else
        self.ended = time.perf_counter()
        spools.release(self)
        self._runtime.leave(self)

    # What the record asks.

    @property
    def raw_id(self) -> bytes:
        """The 16 bytes of the record's id."""
        return self._raw_id

    @property
    def slot(self) -> int:
        """The journal's live slot of this exchange."""
        return self._slot

    def key_id(self) -> str | None:
        """Return the credential's pseudonym if someone vouched for it: `identify`, or the app."""
        if self.credential is None:
            return None
        accepted = self.status is not None and self.status < outcomes.CLIENT_ERROR
        if self._account is None and not accepted:
            return None
        return self._runtime.pseudonyms.key_id(self.credential)

    def _outcome_of_reply(self) -> Outcome:
        outcome = outcomes.of_status(self.status or 0, timed_out=self.timed_out)
        failed = outcome == "completed" and self.meter is not None and self.meter.failed
        return "error" if failed else outcome


def current() -> Exchange | None:
    """Return the exchange in which this code runs, or None outside of one."""
    flight = CURRENT.get()
    if flight is None or flight.closed:
        return None
    return flight if isinstance(flight, Exchange) else None


def _frozen(chunk: Any) -> bytes:
    """Return a copy of what apps send instead of bytes, since it may change or be let go."""
    return bytes(memoryview(chunk))
