"""The runtime: the one place where policy, guards, meter, journal and sinks are put together."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

from zeroret import claims, guarding, writing
from zeroret.content.destinations import known_upstreams
from zeroret.content.live import LIVE
from zeroret.dialects import plugins
from zeroret.environment import from_environment
from zeroret.errors import ConfigurationError
from zeroret.failures import Failures
from zeroret.guards import configuration, exceptions, exits, logs, names, tally, threads
from zeroret.guards.classes import OTHER
from zeroret.guards.modes import MODES
from zeroret.integrations.debugging import Applications
from zeroret.integrations.routing import watch_routers
from zeroret.journal import Journal, MemoryJournal
from zeroret.journal.delivery import Delivery
from zeroret.journal.once import Once
from zeroret.journal.pepper import pepper
from zeroret.journal.place import place
from zeroret.options import Options, checked
from zeroret.recording import Recorder
from zeroret.retention.keeping import Retention
from zeroret.sinks import keeps_tables, open_sink, sink_key
from zeroret.tokens import TokenCounter
from zeroret.usage import aside, client
from zeroret.usage.identity import Pseudonyms
from zeroret.usage.layout import layout
from zeroret.usage.meters import Meters
from zeroret.usage.models import ModelNames
from zeroret.usage.record import TOKEN_COLUMNS

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
        upstreams: hosts that requests may carry content to, such as ``["api.anthropic.com"]``;
            default: the known providers, and this machine.
        stores: databases, caches and queues that may hold content; default: none.
        writable: files and folders that may be written while an exchange runs; default: none.
        children: programs that may be started while an exchange runs; default: none.
        upstream_storage: ``"forbid"`` refuses requests that let the upstream keep them.
        max_body: bytes of a request body past which the client gets a 413; default: no limit.
        fsync: when records are forced to the disk: ``"never"`` (safe against killed processes),
            ``"interval"`` (once a second), ``"always"`` (before a reply's last piece).
        journal_full: what happens while the disk takes no record: ``"memory"``, ``"shed"`` or
            ``"refuse"``, which answers new requests with 503.
        journal_bytes: how much undelivered records of one process may take on the disk.
        prices: what costs are computed by, where the policy keeps them: ``"genai-prices"`` (a
            catalogue in the extra ``prices``, offline), the path of a TOML file or a mapping of
            the operator's own, or a list of these, the first that knows a model wins.
        dialects: routes, as templates or prefixes of paths, and the dialect that is spoken there,
            such as ``{"/my/chat": "openai.chat"}``; None where nothing is to be metered.
        on_violation: ``on_violation(violation)``, told when content tried to leave; it may not
            block, and what it raises is ignored.

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
        self._prices = self.options.prices if "cost" in self.policy.columns else None
        self._layout = layout(self.policy, priced=self._prices is not None)
        stores = any(keeps_tables(sink) for sink in self.options.sinks)
        recorded = self._layout.recorded if stores else self.policy.columns
        if "client" in recorded:
            client.require()
        self._place: Path | Literal["memory"] = place(
            self.options.journal, self.options.sinks, os.environ
        )
        self.log_guard = self.options.log_guard
        self.enforce = self.options.mode == "enforce"
        self.boundary = self.options.boundary
        self._strict = self.enforce and self.log_guard == "strict"
        self._guards_logs = False
        self.identify = self.options.identify
        self.counter = TokenCounter(self.options.encodings)
        self._models = models = ModelNames(self.options.models)
        self.names = models.names
        counts = not recorded.isdisjoint(TOKEN_COLUMNS)
        self.meters = Meters(self.counter, self.options.dialects, counts=counts)
        self._recorder = Recorder(self.policy, models, recorded)
        self._columns = self._layout.columns
        self._lock = threading.Lock()
        self._journal: Journal | MemoryJournal | None = None
        self._delivery: Delivery | None = None
        self.retention = Retention(self.policy, self.options.sinks, self._columns, self._layout)
        """What deletes when."""
        self.pseudonyms = Pseudonyms(pepper("memory"))
        self._failures = Failures()
        self.unread = 0
        """Parts of requests and replies that were no usage, though they stood in its place."""
        self.apps = Applications()
        claims.claim(self._place, self)

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
        self.apps.add(app)
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
            ConfigurationError: the journal's folder, or the process as it is set up, is not safe.
        """
        with self._lock:
            if self._journal is None:
                if self.enforce:
                    configuration.check(self.apps)
                journal: Journal | MemoryJournal = MemoryJournal()
                if self._place != "memory":
                    journal = Journal(
                        self._place,
                        durability=self.options.durability,
                        killed=self._recorder.killed,
                    )
                self._start(journal.open(), pepper(self._place))
        claims.started(self)
        return self

    def _start(self, journal: Journal | MemoryJournal, secret: bytes) -> None:
        self.pseudonyms = Pseudonyms(secret)
        self.meters.marks = Once(self._place, secret)
        specs = self.options.sinks
        sinks = [open_sink(sink, columns=self._columns, layout=self._layout) for sink in specs]
        keys = [sink_key(sink, index) for index, sink in enumerate(specs)]
        prices = self.options.prices
        plugins.load(self.failed)
        self._delivery = Delivery(
            journal,
            list(zip(keys, sinks, strict=True)),
            complete=prices.priced
            if prices is not None and "cost" in self.policy.columns
            else None,
        )
        for sink in sinks:
            observe = getattr(sink, "observe", None)
            if observe is not None:
                observe(self._delivery.counters)
        self.retention.start()
        watch_routers()
        threads.install()
        guarding.install()
        MODES.enter(enforce=self.enforce)
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
        """The open journal; asking for it starts the runtime, unless the configuration is refused.

        Where no lifespan could refuse to start, a journal that cannot be used costs durability and
        not the reply: records wait in memory, the posture counts the failure.
        """
        if self._journal is None:
            try:
                self.start()
            except configuration.RefusedError:
                raise
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
        counted = aside.settle(timeout)
        return (delivery is None or delivery.flush(timeout)) and counted

    def close(self, timeout: float = _DRAIN) -> None:
        """Drain, release everything and uninstall the guards; what is left stays in the journal."""
        aside.settle(timeout)
        with self._lock:
            journal, delivery = self._journal, self._delivery
            self._journal = self._delivery = None
            if journal is not None and delivery is not None:
                delivery.close(timeout)
                self.retention.stop()
                MODES.leave(enforce=self.enforce)
                guarding.uninstall()
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
        self.unread += writing.write(self._recorder, exchange, outcome, self.failed)

    def checkpoint(self, exchange: Exchange) -> None:
        """Note in the exchange's live slot what is known so far."""
        writing.note(self._recorder, exchange, self.failed)

    def learn(self, model: str | None, host: str, port: int) -> None:
        """Know *model* from now on, if it was served by an upstream that content may go to."""
        upstreams = self.options.upstreams or known_upstreams()
        if model is not None and upstreams.grant(host, port) is not None:
            self._models.learn(model)

    def leave(self, exchange: Exchange) -> None:
        """Let go of what *exchange* references once the grace is over."""
        LIVE.leave(exchange, self.options.grace)

    def stand_in(self, error: BaseException) -> BaseException:
        """Return what the server may see of *error*; in report mode the error itself."""
        if not self.enforce:
            return error
        try:
            return exits.leaving(error)
        except Exception as failure:  # noqa: BLE001 - the original must not leave in its place
            self.failed("stand_in", failure)
            return exceptions.StandIn()

    def error_type(self, error: BaseException) -> str:
        """Return the class name that a record may hold for *error*; never raises."""
        try:
            return exceptions.error_type(error)
        except Exception as failure:  # noqa: BLE001 - it would leave with *error* as its context
            self.failed("error_type", failure)
            return OTHER

    def failed(self, place_: str, error: BaseException) -> None:
        """Count an error of our own (or of the operator's hook), and log its type once."""
        self._failures.note(place_, error)

    @property
    def failures(self) -> dict[str, int]:
        """How often each part of ours failed, by place."""
        return self._failures.counts()

    @property
    def delivery(self) -> Delivery | None:
        """The running delivery, or None before the start and after the end."""
        return self._delivery

    @property
    def tally(self) -> dict[str, int]:
        """What the guards of this process withheld so far, by guard and kind."""
        return tally.snapshot()
