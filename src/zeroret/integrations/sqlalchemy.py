"""SQLAlchemy: each statement is judged before its cursor gets it, whatever the driver."""

from __future__ import annotations

from typing import Any

from zeroret.content.destinations import Store, database_file, kind_of
from zeroret.guards.stores import is_judged, judge_statement, on_uninstall

_EVENT = "before_cursor_execute"


def watch(module: Any) -> None:
    """Listen to every engine of *module* (``sqlalchemy.engine``), those made before included."""
    from sqlalchemy import event

    engine = module.Engine
    before = engine._has_events  # noqa: SLF001 - what listening sets, and removal leaves
    event.listen(engine, _EVENT, _before_cursor_execute)

    def undo() -> None:
        event.remove(engine, _EVENT, _before_cursor_execute)
        engine._has_events = before  # noqa: SLF001 - likewise

    on_uninstall(undo)


def _before_cursor_execute(
    connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any
) -> None:
    if is_judged():
        judge_statement(lambda: _store(connection.engine.url), statement, parameters)


def _store(url: Any) -> Store:
    kind = kind_of(url.drivername)
    if kind == "sqlite":
        return Store(kind, database=database_file(url.database or ""))
    host = url.host or _first(url.query.get("host")) or ""
    return Store(kind, "" if host.startswith("/") else host, url.port, url.database)


def _first(given: Any) -> str:
    return given if isinstance(given, str) else (given or ("",))[0]
