"""The runtime: the one place where policy, guards, meter, journal and sinks are put together."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

from zeroret.content.live import LIVE
from zeroret.environment import from_environment
from zeroret.errors import ConfigurationError
from zeroret.guards import exceptions, logs, names, tally, threads
from zeroret.integrations.routing import watch_routers
from zeroret.journal import Journal, MemoryJournal
from zeroret.journal.delivery import Delivery
from zeroret.journal.pepper import pepper
from zeroret.journal.place import place
from zeroret.options import Options, checked
from zeroret.recording import NOTHING, Recorder
from zeroret.sinks import open_sink, sink_key
from zeroret.tokens import TokenCounter
from zeroret.usage import client
from zeroret.usage.identity import Pseudonyms
from zeroret.usage.models import ModelNames
from zeroret.usage.record import COLUMNS, TOKEN_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Unpack

    from zeroret.exchange import Exchange
    from zeroret.policy import Policy
    from zeroret.types import ASGIApp, WSGIApp
    from zeroret.usage.record import Outcome

App = TypeVar("App")

_log: Final = logging.getLogger("zeroret")
_DRAIN: Final = 5.0  # seconds that close, exit and lifespan shutdown give the sinks


class ZeroRetention:
    """The runtime of one policy: wrap an application with it, and its promise is kept.

    Args:
        policy: the name of a built-in policy, the path of a TOML file, or a `Policy`.
        sinks: where usage records go: URIs (``"sqlite:///usage.db"``), callables that take a list
            of records, or objects with ``write`` and ``close``.
        mode: ``"enforce"``, or ``"report"``, which counts what it would withhold and lets it pass.
        log_guard: ``"strict"`` shows only what is provably not content; ``"match"`` redacts what
            matches live content; ``"none"`` leaves log records alone.
        models: model names that records may show beside the catalogued ones, or a mapping from
            such names to the vocabulary that counts them.
        identify: ``identify(credential) -> account | None``, sync or async.
        journal: the folder of the durable queue before the sinks, or ``"memory"``, which loses
            undelivered records with the process. Default: systemd's state directory, else beside
            the first file sink.
        grace: seconds for which content stays matchable after the reply; a policy may say less.

    Raises:
        ConfigurationError: an option is unknown or not allowed; the text says what to write.
        MissingExtraError: the policy keeps a column that needs a package of an extra.
    """

    def __init__(
        self,
        policy: str | os.PathLike[str] | Policy = "usage-only",
        sinks: Iterable[Any] = (),
        **options: Unpack[Options],
    ) -> None:
        self.options = checked(policy, sinks, options)
        self.policy = self.options.policy
        if "client" in self.policy.columns:
            client.require()
        self._place: Path | Literal["memory"] = place(
            self.options.journal, self.options.sinks, os.environ
        )
        self.log_guard = self.options.log_guard
        self.enforce = self.options.mode == "enforce"
        self._strict = self.enforce and self.log_guard == "strict"
        self._guards_logs = False
        self.identify = self.options.identify
        self.counter = TokenCounter(self.options.encodings)
        models = ModelNames(self.options.models)
        self.names = models.names
        self.keeps_counts = not self.policy.columns.isdisjoint(TOKEN_COLUMNS)
        self._recorder = Recorder(self.policy, models)
        self._columns = tuple(name for name in COLUMNS if name in self.policy.columns)
        self._lock = threading.Lock()
        self._journal: Journal | MemoryJournal | None = None
        self._delivery: Delivery | None = None
        self.pseudonyms = Pseudonyms(pepper("memory"))
        self._failures: Counter[str] = Counter()
        _claim(self._place, self)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Return a runtime from ``ZERORET_*`` variables and Django's ``settings.ZERORET``."""
        return cls(**from_environment(environ))

    def __repr__(self) -> str:
        return f"<ZeroRetention {self.policy.stamp} {self.options.mode}>"

    # Wrapping applications.

    def install(self, app: App) -> App:
        """Wrap *app* (FastAPI, Starlette, Litestar, Flask) from within, and return the same app.

        Raises:
            ConfigurationError: *app* is of no framework that has a way in; use `asgi` or `wsgi`.
        """
        from zeroret.integrations.installing import install

        install(app, self)
        return app

    def asgi(self, app: ASGIApp) -> ASGIApp:
        """Return *app*, an ASGI 3 application, wrapped."""
        from zeroret.asgi import ZeroRetentionMiddleware

        return ZeroRetentionMiddleware(app, runtime=self)

    def wsgi(self, app: WSGIApp) -> WSGIApp:
        """Return *app*, a WSGI application, wrapped."""
        from zeroret.wsgi import ZeroRetentionWSGIMiddleware

        return ZeroRetentionWSGIMiddleware(app, runtime=self)

    # Its life.

    def start(self) -> Self:
        """Open journal and sinks, adopt what dead processes left, install the guards; idempotent.

        The shells call it at lifespan startup, else before the first exchange.

        Raises:
            ConfigurationError: the journal's folder cannot be used safely.
        """
        with self._lock:
            if self._journal is None:
                journal: Journal | MemoryJournal = MemoryJournal()
                if self._place != "memory":
                    journal = Journal(self._place, killed=self._recorder.killed)
                self._start(journal.open(), pepper(self._place))
        return self

    def _start(self, journal: Journal | MemoryJournal, secret: bytes) -> None:
        self.pseudonyms = Pseudonyms(secret)
        specs = self.options.sinks
        sinks = [open_sink(sink, columns=self._columns) for sink in specs]
        keys = [sink_key(sink, index) for index, sink in enumerate(specs)]
        self._delivery = Delivery(journal, list(zip(keys, sinks, strict=True)))
        watch_routers()
        threads.install()
        self.guard_logs()
        if not LIVE.busy:
            names.learn()  # what was named since the application was wrapped
        self._journal = journal
        try:
            journal.adopt()
        except OSError as error:  # delivery tries again
            self.failed("adoption", error)
        self._delivery.start()

    def guard_logs(self) -> None:
        """Install the log guard, if there is to be one; idempotent.

        `start` does, and the WSGI shell as soon as it wraps: with no lifespan, a server may log
        requests that it refuses before the first one that it hands on.
        """
        if self.log_guard != "none" and not self._guards_logs:
            self._guards_logs = True
            logs.install(outside=self._strict)

    @property
    def journal(self) -> Journal | MemoryJournal:
        """The open journal; asking for it starts the runtime and never raises.

        Where no lifespan could refuse to start, a journal that cannot be used costs durability and
        not the reply: records wait in memory, the posture counts the failure.
        """
        if self._journal is None:
            try:
                self.start()
            except (ConfigurationError, OSError) as error:
                self.failed("journal", error)
                with self._lock:
                    if self._journal is None:
                        self._start(MemoryJournal(), pepper("memory"))
        assert self._journal is not None  # started in one way or the other
        return self._journal

    def flush(self, timeout: float = _DRAIN) -> bool:
        """Wait until every sink holds every record so far; False after *timeout* seconds."""
        delivery = self._delivery
        return delivery is None or delivery.flush(timeout)

    def close(self, timeout: float = _DRAIN) -> None:
        """Drain, release everything and uninstall the guards; what is left stays in the journal."""
        with self._lock:
            journal, delivery = self._journal, self._delivery
            self._journal = self._delivery = None
            if journal is not None and delivery is not None:
                delivery.close(timeout)
                threads.uninstall()
            if self._guards_logs:
                self._guards_logs = False
                logs.uninstall(outside=self._strict)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def posture(self) -> dict[str, Any]:
        """Return what is guarded, in which tier, and how the journal does, right now."""
        from zeroret.posture import posture

        return posture(self)

    # What the shells and exchanges ask.

    def write(self, exchange: Exchange, outcome: Outcome) -> None:
        """Write the one record of *exchange*; an error of ours costs details, not the record."""
        try:
            meter = exchange.meter
            metered = NOTHING if meter is None else meter.finish(complete=outcome != "aborted")
            record = self._recorder.record(exchange, metered, outcome)
        except Exception as error:  # noqa: BLE001 - the reply must go on
            self.failed("record", error)
            record = self._recorder.minimal(exchange, outcome)
        exchange.journal.record(record, exchange.slot)

    def checkpoint(self, exchange: Exchange) -> None:
        """Note in the exchange's live slot what is known so far."""
        try:
            meter = exchange.meter
            metered = NOTHING if meter is None else meter.peek()
            record = self._recorder.record(exchange, metered, "killed")
            exchange.journal.note(exchange.slot, record)
        except Exception as error:  # noqa: BLE001 - the reply must go on
            self.failed("checkpoint", error)

    def leave(self, exchange: Exchange) -> None:
        """Let go of what *exchange* references once the grace is over."""
        LIVE.leave(exchange, self.options.grace)

    def stand_in(self, error: BaseException) -> BaseException:
        """Return what the server may see of *error*; in report mode the error itself."""
        if not self.enforce:
            return error
        try:
            exceptions.clear(error)
            return exceptions.stand_in(error)
        except Exception as failure:  # noqa: BLE001 - the original must not leave in its place
            self.failed("stand_in", failure)
            return exceptions.StandIn()

    def error_type(self, error: BaseException) -> str:
        """Return the class name that a record may hold for *error*."""
        return exceptions.error_type(error)

    def failed(self, place_: str, error: BaseException) -> None:
        """Count an error of our own (or of the operator's hook), and log its type once."""
        self._failures[place_] += 1
        if self._failures[place_] == 1:
            _log.warning("%s failed: %s", place_, exceptions.error_type(error))

    @property
    def failures(self) -> dict[str, int]:
        """How often each part of ours failed, by place."""
        return dict(self._failures)

    @property
    def delivery(self) -> Delivery | None:
        """The running delivery, or None before the start and after the end."""
        return self._delivery

    @property
    def tally(self) -> dict[str, int]:
        """What the guards of this process withheld so far, by guard and kind."""
        return tally.snapshot()


_shared: dict[tuple[object, ...], ZeroRetention] = {}
_by_place: weakref.WeakValueDictionary[str, ZeroRetention] = weakref.WeakValueDictionary()


def shared(runtime: ZeroRetention | None, options: dict[str, Any]) -> ZeroRetention:
    """Return *runtime*, or the one runtime of these *options* in this process.

    Raises:
        ConfigurationError: both were given, or an option is not allowed.
    """
    if runtime is not None:
        if options:
            raise ConfigurationError(
                f"runtime= was given together with {', '.join(sorted(options))}; "
                "a runtime has its options already"
            )
        return runtime
    rest = dict(options)
    key = checked(rest.pop("policy", "usage-only"), rest.pop("sinks", ()), rest).key()
    if key not in _shared:
        _shared[key] = ZeroRetention(**options)
    return _shared[key]


def forget_shared() -> None:
    """Close the runtimes that middlewares share, so that the next one starts afresh."""
    while _shared:
        _shared.popitem()[1].close()


def _claim(place_: Any, runtime: ZeroRetention) -> None:
    """Refuse a second policy on one journal: its killed exchanges could not say which they obey."""
    if place_ == "memory":
        return
    owner = _by_place.setdefault(os.path.realpath(place_), runtime)
    if owner.policy.stamp != runtime.policy.stamp:
        raise ConfigurationError(
            f"the journal {place_} belongs to policy {owner.policy.stamp} in this process; "
            f"give {runtime.policy.stamp} a folder of its own with journal="
        )
