"""SQLite databases: files that are opened by a C library, whose events tell only their names.

Inside an exchange a database must be in memory, opened read-only, or named in ``writable=[…]``;
its journal files are then allowed with it. A connection that an exchange opens can attach no other
database and keeps its temporary tables in memory. Connections from before are as they were.
"""

from __future__ import annotations

import threading
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

from zeroret.content.flight import CURRENT
from zeroret.guards.acting import exempt
from zeroret.guards.crossings import judged
from zeroret.guards.patches import Patches
from zeroret.guards.paths import resolved, text, within

if TYPE_CHECKING:
    from types import ModuleType

    from zeroret.content.flight import Flight

PATCHES: Final = Patches("databases")
"""`sqlite3.connect`, by the two names it has."""

_URI_ARGUMENT: Final = 7  # of sqlite3.connect, by position
_MEMORY: Final = ":memory:"
_URI: Final = "file:"
_local: Final = threading.local()


class Database(NamedTuple):
    """What the first argument of `sqlite3.connect` names.

    Args:
        path: The file; empty for a database in memory.
        read_only: Whether a URI asks that nothing can be written.
    """

    path: str
    read_only: bool = False


def named(database: object) -> Database | None:
    """Return what *database* names, a URI read as one (https://www.sqlite.org/uri.html).

    None for what cannot be told, and for the nameless database that SQLite keeps in a temporary
    file.
    """
    name = text(database)
    if not name:
        return None
    if name == _MEMORY:
        return Database("")
    return _of_uri(name.removeprefix(_URI)) if name.startswith(_URI) else Database(name)


def _of_uri(rest: str) -> Database | None:
    path, _, query = rest.partition("#")[0].partition("?")
    if path.startswith("//"):
        authority, slash, path = path[2:].partition("/")
        if authority not in ("", "localhost"):
            return None
        path = slash + path
    path = unquote(path)
    options = [option.partition("=") for option in query.split("&") if option]
    modes = [unquote(value) for name, _, value in options if unquote(name) == "mode"]
    if len(modes) > 1 or "\0" in path:
        return None
    if path == _MEMORY or modes == ["memory"]:
        return Database("")
    return Database(path, read_only=modes == ["ro"]) if path else None


def _connect_allowed(args: tuple[Any, ...], flight: Flight) -> bool:
    name, uri = text(args[0]), getattr(_local, "uri", None)
    if name is None or not name.startswith(_URI):
        return _allowed(named(args[0]), flight)
    if uri is None:  # whoever calls what `connect` was before our start: it must hold either way
        return _allowed(named(name), flight) and _allowed(Database(name), flight)
    return _allowed(named(name) if uri else Database(name), flight)


def _allowed(database: Database | None, flight: Flight) -> bool:
    if database is None:
        return False
    if database.read_only or not database.path:
        return True
    return within(resolved(database.path), flight.boundary.writable)


EVENTS: Final = {"sqlite3.connect": judged("file", _connect_allowed)}
"""The audit events of `sqlite3` that are judged."""


@PATCHES.when_imported("sqlite3")
def _connect(module: ModuleType) -> None:
    """Bind connections as they are made: the audit event comes before they can be used."""

    def make(original: Any) -> Any:
        @wraps(original)
        def connect(*args: Any, **options: Any) -> Any:
            flight = CURRENT.get()
            if not PATCHES.active or flight is None or not flight.boundary.enforce:
                return original(*args, **options)
            uri = args[_URI_ARGUMENT] if len(args) > _URI_ARGUMENT else options.get("uri", False)
            before = getattr(_local, "uri", None)
            _local.uri = bool(uri)
            try:
                connection = original(*args, **options)
            finally:
                _local.uri = before
            if not exempt():
                _bind(connection)
            return connection

        return connect

    for owner in (module, module.dbapi2):
        PATCHES.replace(owner, "connect", make)


def _bind(connection: Any) -> None:
    """Keep what *connection* writes in its one database; closed if that cannot be done."""
    import sqlite3

    try:
        # Not its own methods, which a factory may have replaced.
        sqlite3.Connection.setlimit(connection, sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        cursor = sqlite3.Cursor(connection)
        cursor.execute("PRAGMA temp_store = MEMORY")
        cursor.close()
    except BaseException:
        sqlite3.Connection.close(connection)
        raise
