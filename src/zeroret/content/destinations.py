"""Destinations: the hosts and stores that an operator lets content go to."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, TypeAlias

from zeroret.content import providers
from zeroret.content.addresses import LOCALHOST, Address, common, is_loopback, parsed
from zeroret.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

Grant: TypeAlias = Literal["tls", "cleartext", "local"]
"""How a host may be reached: with verified TLS, as the operator pleases, or on this machine."""

_ORIGIN: Final = {"https": 443, "http": 80}
_BESIDE: Final = re.compile(r"[/?#@\\]")


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The hosts that requests may carry content to.

    Args:
        names: The entries, in their common form, sorted.
        known: Whether every known provider is meant as well.
    """

    names: tuple[str, ...] = ()
    known: bool = False
    _exact: dict[str, tuple[tuple[int | None, Grant], ...]] = field(
        default_factory=dict, compare=False, repr=False
    )
    _wide: tuple[tuple[Address, Grant], ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of(cls, entries: Iterable[Any], *, known: bool = False) -> Self:
        """Return the upstreams that *entries* name.

        An entry is a host (``api.openai.com``, ``*.openai.azure.com``, ``localhost``), with a port
        or without, or an origin: ``https://host:port``, or ``http://vllm:8000`` where cleartext is
        meant.

        Raises:
            ConfigurationError: an entry is none of these; the text says what to write.
        """
        found = {_upstream(entry) for entry in _texts("upstreams", entries)}
        exact: dict[str, tuple[tuple[int | None, Grant], ...]] = {}
        wide: list[tuple[Address, Grant]] = []
        for _, address, grant in sorted(found):
            if address.host == LOCALHOST or address.host.startswith("*."):
                wide.append((address, grant))
            else:
                exact[address.host] = (*exact.get(address.host, ()), (address.port, grant))
        return cls(tuple(sorted(name for name, _, _ in found)), known, exact, tuple(wide))

    def grant(self, host: str, port: int) -> Grant | None:
        """Return how *host* may be reached at *port*; None if content may not go there at all."""
        host = common(host)
        best: Grant | None = "tls" if self.known and providers.is_known(host) else None
        for at, grant in self._exact.get(host, ()):
            if at is None or at == port:
                if grant != "tls":
                    return grant
                best = grant
        for address, grant in self._wide:
            if address.covers(host, port):
                if grant != "tls":
                    return grant
                best = grant
        return best

    @property
    def cleartext(self) -> tuple[str, ...]:
        """The entries that allow cleartext beyond this machine."""
        return tuple(
            name
            for name in self.names
            if name.startswith("http://") and not parsed(name.removeprefix("http://")).local
        )


@cache
def known_upstreams() -> Upstreams:
    """Return what is allowed where an operator names nothing: known providers, and this machine."""
    return Upstreams.of([LOCALHOST], known=True)


class Store(NamedTuple):
    """A database, cache or queue that something is about to be written to.

    Args:
        kind: The scheme of its URL without a driver: ``postgresql``, ``redis``, ``amqp``.
        host: Its name or address; empty for a Unix socket, which is this machine.
        port: Its port; None if it has none.
        database: The database's name or number, or the real path of its file; None if unknown.
    """

    kind: str
    host: str = ""
    port: int | None = None
    database: str | None = None


class _Allowed(NamedTuple):
    name: str
    kind: str | None
    addresses: tuple[Address, ...]
    database: str | None


@dataclass(frozen=True, slots=True)
class Stores:
    """The databases, caches and queues that may hold content.

    Args:
        names: The entries, in their common form, without users, passwords and options.
    """

    names: tuple[str, ...] = ()
    _allowed: tuple[_Allowed, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of(cls, entries: Iterable[Any]) -> Self:
        """Return the stores that *entries* name.

        An entry is a URL as clients take it (``postgresql://host:port/database``,
        ``redis://host``, ``sqlite:///file.db``), of which user, password and options are left
        aside, or a bare host, which means whatever listens there.

        Raises:
            ConfigurationError: an entry is no store's address; the text says what to write.
        """
        found = {_store(entry) for entry in _texts("stores", entries)}
        allowed = tuple(sorted(found, key=lambda entry: entry.name))
        return cls(tuple(entry.name for entry in allowed), allowed)

    def allows(self, store: Store) -> bool:
        """Tell whether *store* may hold content."""
        if not self._allowed:
            return False
        host = common(store.host) if store.host else LOCALHOST
        for entry in self._allowed:
            if entry.kind is not None and entry.kind != store.kind:
                continue
            if entry.database is not None and entry.database != store.database:
                continue
            if not entry.addresses and entry.kind is not None:
                return True
            if any(address.covers(host, store.port) for address in entry.addresses):
                return True
        return False


KINDS: Final = {
    "postgres": "postgresql",
    "mariadb": "mysql",
    "rediss": "redis",
    "valkey": "redis",
    "valkeys": "redis",
    "unix": "redis",
    "amqps": "amqp",
    "pyamqp": "amqp",
    "librabbitmq": "amqp",
    "tls": "nats",
}
"""Other names of kinds of stores, drivers left aside."""

_COMMON_KINDS: Final = ("postgresql", "mysql", "sqlite", "redis", "mongodb", "amqp", "nats")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9]{0,30}")
_MEMORY: Final = ":memory:"


def kind_of(scheme: str) -> str:
    """Return the kind of store that a URL's scheme names, ``postgresql+psycopg`` included."""
    kind = scheme.lower().partition("+")[0]
    return KINDS.get(kind, kind)


def database_file(path: str) -> str:
    """Return how the file of an embedded database compares: its real path, or ``:memory:``."""
    return _MEMORY if path in ("", _MEMORY) else os.path.realpath(path)


def _upstream(text: str) -> tuple[str, Address, Grant]:
    scheme, separator, rest = text.lower().partition("://")
    if not separator:
        scheme, rest = "", text
    beside = _BESIDE.search(rest)
    if beside is not None or (separator and scheme not in _ORIGIN):
        raise ConfigurationError(
            f"upstreams names {_shown(text)}, which is more than a host: write the host alone, "
            "such as 'api.openai.com', or its origin, such as 'https://llm.example.com:8443'; "
            "'http://vllm:8000' allows cleartext"
        )
    try:
        host, port = address = parsed(rest)
    except ValueError as error:
        raise ConfigurationError(f"upstreams names {_shown(text)}, which {error}") from None
    if scheme:
        address = Address(host, port or _ORIGIN[scheme])
    grant: Grant = "local" if is_loopback(host) else "cleartext" if scheme == "http" else "tls"
    return _url(scheme, address), address, grant


def _store(text: str) -> _Allowed:
    scheme, separator, rest = text.partition("://")
    if not separator:
        if _BESIDE.search(text):
            raise ConfigurationError(f"stores names {_shown(text)}, which {_STORE_FORMS}")
        address = _address(text, text)
        return _Allowed(_url("", address), None, (address,), None)
    kind = _kind(text, scheme)
    if kind == "sqlite":
        return _sqlite(text, rest)
    place, _, path = rest.partition("?")[0].partition("#")[0].partition("/")
    hosts = tuple(_address(text, host) for host in place.rpartition("@")[2].split(",") if host)
    # A Unix socket is this machine, and its path no database.
    hosts = hosts or (Address(LOCALHOST, None),)
    database = None if scheme == "unix" else path.strip("/") or None
    shown = ",".join(_url("", host) for host in hosts)
    name = f"{kind}://{shown}" + (f"/{database}" if database else "")
    return _Allowed(name, kind, hosts, database)


def _sqlite(text: str, rest: str) -> _Allowed:
    path = rest.partition("?")[0]
    if path and not path.startswith("/"):
        raise ConfigurationError(
            f"stores names {_shown(text)}: write sqlite:///file.db for a file relative to the "
            "current directory, sqlite:////path/file.db for an absolute one"
        )
    file = database_file(path[1:])
    return _Allowed(f"sqlite:///{file}", "sqlite", (), file)


def _kind(text: str, scheme: str) -> str:
    kind = kind_of(scheme)
    if not _SCHEME.fullmatch(kind):
        raise ConfigurationError(f"stores names {_shown(text)}, which {_STORE_FORMS}")
    close = difflib.get_close_matches(kind, _COMMON_KINDS, 1, cutoff=0.85)
    if close and kind not in _COMMON_KINDS:
        raise ConfigurationError(f"stores names a {kind!r} store; did you mean {close[0]!r}?")
    return kind


def _address(text: str, host: str) -> Address:
    try:
        return parsed(host)
    except ValueError as error:
        raise ConfigurationError(f"stores names {_shown(text)}, which {error}") from None


def _url(scheme: str, address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    place = host if address.port is None else f"{host}:{address.port}"
    return f"{scheme}://{place}" if scheme else place


def _shown(text: str) -> str:
    """Return an entry for an error: a password in it must not stand in a log."""
    return repr(re.sub(r"//[^/@]*@", "//…@", text))


_STORE_FORMS: Final = (
    "is no store's address: write its URL, such as 'postgresql://db.internal/app', "
    "'redis://cache:6379' or 'sqlite:///app.db', or a host alone"
)


def _texts(option: str, entries: Iterable[Any]) -> tuple[str, ...]:
    texts = tuple(entries)
    if not all(isinstance(text, str) and text for text in texts):
        raise ConfigurationError(f"{option} holds something that is not a text")
    return texts
