"""Records as Prometheus metrics, to be scraped.

Extra ``zeroret[prometheus]``, by prometheus-client. ``prometheus://127.0.0.1:9464`` serves them at
that address; ``prometheus:`` adds them to the default registry, which the application serves. With
``PROMETHEUS_MULTIPROC_DIR`` set, every worker's figures are served by whichever has the port.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from zeroret.errors import ConfigurationError, MissingExtraError, SinkError
from zeroret.sinks.columns import Restriction
from zeroret.sinks.health import readings
from zeroret.sinks.known import Known
from zeroret.sinks.semconv import FIRST_TOKEN, SECONDS
from zeroret.usage.record import TOKEN_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from zeroret.sinks.health import Counters
    from zeroret.usage.record import UsageRecord

LABELS: Final = ("dialect", "model", "route", "outcome", "usage_source")
"""Labels of the counter of exchanges: closed sets, so that series stay few. Accounts and keys are
never labels."""

_TOKEN_LABELS: Final = ("dialect", "model", "usage_source")
_EXAMPLE: Final = "prometheus://127.0.0.1:9464"
_MULTIPLE: Final = "PROMETHEUS_MULTIPROC_DIR"


class PrometheusSink:
    """Adds each new record to counters and histograms; a process remembers 100,000 ids.

    Metrics are not a ledger: they begin at zero with each process. `write` raises `SinkError` while
    the address cannot be served.
    """

    def __init__(self, uri: str, *, columns: Iterable[str] | None = None) -> None:
        self._address = _parsed(uri)
        self._restriction = Restriction(columns)
        self._known = Known()
        self._registry: Any = None
        self._families: dict[str, Any] = {}
        self._server: Any = None
        self._counters: Counters | None = None
        self._health: Any = None
        self._pid = 0

    @staticmethod
    def check(uri: str) -> None:
        """Raise `ConfigurationError` if *uri* is no address.

        Raises `MissingExtraError` where prometheus-client is not installed.
        """
        _client()
        _parsed(uri)

    def observe(self, counters: Counters) -> None:
        """Show the health of journal and delivery, too; *counters* tells it when asked."""
        self._counters = counters

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Add what is new."""
        if self._registry is None or self._pid != os.getpid():
            self._open()
        for record in self._restriction.apply(self._known.fresh(records)):
            self._add(record)

    def close(self) -> None:
        """Serve no more, and take the metrics out of the registry."""
        server, self._server = self._server, None
        if server is not None and self._pid == os.getpid():
            server[0].shutdown()
            server[0].server_close()
        if self._registry is not None:
            for family in (*self._families.values(), self._health):
                if family is not None:
                    with suppress(KeyError):
                        self._registry.unregister(family)
        self._registry, self._families, self._health = None, {}, None

    def _open(self) -> None:
        client = _client()
        self.close()
        self._pid = os.getpid()
        self._registry = client.CollectorRegistry() if self._address else client.REGISTRY
        self._families = dict(_families(client, self._registry))
        if self._counters is not None:
            self._health = _Health(client, self._counters)
            self._registry.register(self._health)
        if self._address:
            self._serve(client, *self._address)

    def _serve(self, client: Any, host: str, port: int) -> None:
        registry = self._registry
        multiple = bool(os.environ.get(_MULTIPLE))
        if multiple:
            from prometheus_client import multiprocess

            registry = client.CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # untyped there
        try:
            self._server = client.start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            if multiple and error.errno == errno.EADDRINUSE:
                return  # another worker serves everybody's
            self._registry = None
            raise SinkError(
                f"the prometheus: sink cannot serve {host}:{port} ({type(error).__name__}): give "
                f"each process a port of its own, or set {_MULTIPLE} to an empty folder"
            ) from None

    def _add(self, record: UsageRecord) -> None:
        families = self._families
        labels = {name: _label(record, name) for name in LABELS}
        families["exchanges"].labels(**labels).inc()
        few = {name: labels[name] for name in _TOKEN_LABELS}
        for name in TOKEN_COLUMNS:
            value = getattr(record, name)
            if isinstance(value, int):
                families[name].labels(**few).inc(value)
        for name in ("duration", "time_to_first_token"):
            value = getattr(record, name)
            if isinstance(value, float | int):
                families[name].labels(dialect=labels["dialect"], model=labels["model"]).observe(
                    value
                )


class _Health:
    """Collects journal and delivery figures when somebody scrapes."""

    def __init__(self, client: Any, counters: Counters) -> None:
        self._client = client
        self._counters = counters

    def collect(self) -> Iterator[Any]:
        """Give the metric families."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        families: dict[str, Any] = {}
        for each in readings(self._counters()):
            if each.name not in families:
                name = "zeroret_" + each.name.replace(".", "_") + "_seconds" * (each.unit == "s")
                family = CounterMetricFamily if each.grows else GaugeMetricFamily
                labels = ["sink"] if each.sink else []
                families[each.name] = family(name, each.about, labels=labels)
            families[each.name].add_metric([each.sink] if each.sink else [], each.value)
        yield from families.values()


def _families(client: Any, registry: Any) -> Iterator[tuple[str, Any]]:
    yield "exchanges", client.Counter("zeroret_exchanges", "Exchanges", LABELS, registry=registry)
    for name in TOKEN_COLUMNS:
        about = name.replace("_", " ").capitalize()
        yield name, client.Counter(f"zeroret_{name}", about, _TOKEN_LABELS, registry=registry)
    for name, buckets in (("duration", SECONDS), ("time_to_first_token", FIRST_TOKEN)):
        yield (
            name,
            client.Histogram(
                f"zeroret_{name}_seconds",
                name.replace("_", " ").capitalize(),
                ("dialect", "model"),
                buckets=buckets,
                registry=registry,
            ),
        )


def _label(record: UsageRecord, name: str) -> str:
    if name == "model":
        served, asked = record.response_model, record.request_model
        return served if isinstance(served, str) else asked if isinstance(asked, str) else ""
    value = getattr(record, name)
    return value if isinstance(value, str) else ""


def _parsed(uri: str) -> tuple[str, int] | None:
    """Return host and port to serve at, or None for the application's own registry."""
    rest = uri.partition(":")[2]
    if not rest.strip("/"):
        return None
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.path.strip("/") or parts.query or parts.username:
        raise ConfigurationError(
            "the prometheus: sink takes a host and a port to serve at, and nothing else: write "
            f"{_EXAMPLE}, or prometheus: alone if the application serves the default registry"
        )
    return host, port


def _client() -> Any:
    try:
        import prometheus_client
    except ImportError:
        raise MissingExtraError("the prometheus: sink", "prometheus") from None
    return prometheus_client
