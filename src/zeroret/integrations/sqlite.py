"""sqlite3: connections whose cursors judge their statements, made by the module's own factory.

The classes are C's own and cannot be patched, so `sqlite3.connect` makes connections of a subclass.
One that a program makes with a factory of its own is left as it is.
"""

from __future__ import annotations

import sqlite3
from functools import wraps
from typing import Any, Final

from zeroret.content.destinations import Store, database_file
from zeroret.content.flight import CURRENT
from zeroret.guards.databases import named
from zeroret.guards.stores import PATCHES, is_judged, judge_statement

_FACTORY: Final = 5
"""The place of the factory among the arguments of `sqlite3.connect`."""


def watch(module: Any) -> None:
    """Judge the statements of connections that *module* (``sqlite3``) makes from now on."""
    PATCHES.replace(module, "connect", _connecting)
    PATCHES.replace(module.dbapi2, "connect", _connecting)


class _Cursor(sqlite3.Cursor):
    """A cursor that judges what it is given."""

    def execute(self, sql: Any, parameters: Any = (), /) -> Any:
        if is_judged():
            self._judge(sql, parameters)
        return super().execute(sql, parameters)

    def executemany(self, sql: Any, seq_of_parameters: Any, /) -> Any:
        if is_judged():
            if hasattr(seq_of_parameters, "__next__"):
                seq_of_parameters = list(seq_of_parameters)
            self._judge(sql, seq_of_parameters)
        return super().executemany(sql, seq_of_parameters)

    def executescript(self, sql_script: Any, /) -> Any:
        if is_judged():
            self._judge(sql_script, ())
        return super().executescript(sql_script)

    def _judge(self, statement: Any, parameters: Any) -> None:
        connection: Any = self.connection
        if not connection.zeroret_is_scratch:
            judge_statement(lambda: connection.zeroret_store, statement, parameters)


class _Connection(sqlite3.Connection):
    """A connection whose cursors judge what they are given; its own methods use such cursors."""

    zeroret_store = Store("sqlite")
    zeroret_is_scratch = False
    """Whether it is one exchange's own, in memory."""

    def cursor(self, factory: Any = None) -> Any:
        """Return a cursor; one of the program's own class is left as it is."""
        return super().cursor(_Cursor if factory is None else factory)

    def execute(self, *args: Any) -> Any:
        """Execute by a cursor of its own."""
        return self.cursor().execute(*args)

    def executemany(self, *args: Any) -> Any:
        """Execute by a cursor of its own, row by row."""
        return self.cursor().executemany(*args)

    def executescript(self, *args: Any) -> Any:
        """Execute by a cursor of its own, statement by statement."""
        return self.cursor().executescript(*args)


for _class, _original in ((_Cursor, sqlite3.Cursor), (_Connection, sqlite3.Connection)):
    # What a program shows of its connections stays what it was.
    _class.__name__, _class.__qualname__ = _original.__name__, _original.__qualname__
    _class.__module__ = _original.__module__


def _connecting(original: Any) -> Any:
    @wraps(original)
    def connect(*args: Any, **options: Any) -> Any:
        if not PATCHES.active or len(args) > _FACTORY or "factory" in options:
            return original(*args, **options)
        connection = original(*args, factory=_Connection, **options)
        found = named(args[0] if args else options.get("database"))
        path = "" if found is None else found.path
        connection.zeroret_store = Store("sqlite", database=database_file(path))
        connection.zeroret_is_scratch = not path and CURRENT.get() is not None
        return connection

    return connect
