"""The address of a PostgreSQL store: what its URI says, and what an error of the server means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from zeroret.errors import ConfigurationError, MissingExtraError
from zeroret.sinks.location import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_COMMITS: Final = ("on", "off", "local", "remote_write", "remote_apply")
_EXAMPLE: Final = "postgresql://user@db.internal/billing?sslmode=verify-full"
_REFUSED_USER: Final = "28"
_SENTENCES: Final = {
    "3D000": "has no such database: create it, or write another in the URI",
    "42501": "lets this user do too little: it needs CREATE on the database, or on the schema",
    "53300": "has too many connections: raise max_connections, or start fewer workers",
}
"""What a server's SQLSTATE means; https://www.postgresql.org/docs/current/errcodes-appendix.html."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the store is.

    Args:
        conninfo: what libpq connects with; holds the password, so it is never shown.
        place: host and port, for messages.
        schema: the schema that holds the tables.
        synchronous_commit: ``off`` is faster; records of the server's last instants are lost with
            it if the server crashes, since they count as delivered.
    """

    conninfo: str
    place: str
    schema: str = "zeroret"
    synchronous_commit: str = "on"

    def __repr__(self) -> str:
        return f"<Address {self.place} {self.schema}>"

    @classmethod
    def of(cls, uri: str) -> Self:
        """Return the address that *uri* writes.

        Raises:
            ConfigurationError: it is none, or one that sends records without verified TLS.
        """
        try:
            parts = urlsplit(uri)
            given = (
                dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
                if (parts.query)
                else {}
            )
        except ValueError:
            raise ConfigurationError(
                f"the postgresql: sink's URI cannot be read: write one like {_EXAMPLE}"
            ) from None
        schema = given.pop("zeroret_schema", "zeroret")
        commit = given.pop("synchronous_commit", "on")
        if not _NAME.fullmatch(schema):
            raise ConfigurationError(
                f"zeroret_schema={schema!r} is no schema's name: lower-case letters, digits and _"
            )
        if commit not in _COMMITS:
            raise ConfigurationError(
                f"synchronous_commit={commit!r} is not one of {', '.join(_COMMITS)}"
            )
        conninfo = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(given), ""))
        known = _parsed(conninfo)
        _require_tls(known)
        host, port = known.get("host") or known.get("hostaddr") or "", known.get("port", "5432")
        return cls(conninfo, f"{host or 'the local socket'}:{port}", schema, commit)

    def explain(self, error: Any) -> str | None:
        """Return a sentence for an error of the server's that an operator can mend, else None."""
        state = getattr(error, "sqlstate", None)
        if state is None:
            kind = type(error).__name__
            if kind == "OperationalError":
                return (
                    f"PostgreSQL at {self.place} cannot be reached, or refused the connection: "
                    "check that it runs, the database, the user, the password and the certificate"
                )
            return f"PostgreSQL at {self.place}: {kind}" if "Timeout" in kind else None
        if state.startswith(_REFUSED_USER):
            return f"PostgreSQL at {self.place} refused the user or the password: check the URI"
        sentence = _SENTENCES.get(state)
        return None if sentence is None else f"PostgreSQL at {self.place} {sentence}"


def _parsed(conninfo: str) -> Mapping[str, Any]:
    try:
        from psycopg import Error
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise MissingExtraError("the postgresql: sink", "postgresql") from None
    try:
        return conninfo_to_dict(conninfo)
    except Error:
        raise ConfigurationError(
            "the postgresql: sink's URI has a parameter that libpq does not know, or no host: "
            f"write one like {_EXAMPLE}"
        ) from None


def _require_tls(known: Mapping[str, Any]) -> None:
    hosts = str(known.get("host") or known.get("hostaddr") or "").split(",")
    local = all(not host or host.startswith("/") or is_loopback(host) for host in hosts)
    if not local and known.get("sslmode") != "verify-full":
        raise ConfigurationError(
            "the postgresql: sink would send records to another machine without verified TLS: "
            f"add sslmode=verify-full (and sslrootcert=…), as in {_EXAMPLE}"
        )
