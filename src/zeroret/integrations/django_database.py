"""Django's ORM: each statement is judged at the cursor that all its database backends share."""

from __future__ import annotations

from functools import wraps
from typing import Any

from zeroret.content.destinations import Store, database_file
from zeroret.guards.stores import PATCHES, is_judged, judge_statement


def watch(module: Any) -> None:
    """Judge the statements of *module* (``django.db.backends.utils``)."""
    for name in ("execute", "executemany", "callproc"):
        PATCHES.replace(module.CursorWrapper, name, _judged)


def _judged(original: Any) -> Any:
    @wraps(original)
    def execute(self: Any, statement: Any, params: Any = None, *args: Any, **options: Any) -> Any:
        if is_judged():
            params = _read_once(params)
            judge_statement(lambda: _store(self.db), statement, (params, args, options))
        return original(self, statement, params, *args, **options)

    return execute


def _read_once(params: Any) -> Any:
    """Return *params* so that they can be looked at: executemany takes iterators, too."""
    return list(params) if hasattr(params, "__next__") else params


def _store(connection: Any) -> Store:
    settings = connection.settings_dict
    kind, name = connection.vendor, str(settings.get("NAME") or "")
    if kind == "sqlite":
        return Store(kind, database=database_file(name))
    host = str(settings.get("HOST") or "")
    port = str(settings.get("PORT") or "")
    return Store(
        kind, "" if host.startswith("/") else host, int(port) if port.isdecimal() else None, name
    )
