"""psycopg 3: each statement is judged as it will be sent, in cursors of every kind; copies, too."""

from __future__ import annotations

from functools import wraps
from typing import Any, Final

from zeroret.content.destinations import Store
from zeroret.errors import RetentionViolation
from zeroret.guards.stores import PATCHES, is_judged, judge, judge_statement
from zeroret.guards.surfacing import Crossing, surfacing, surfacing_async

_ENDED: Final = "_zeroret_ended"


def watch(module: Any) -> None:
    """Judge what the cursors of *module* (``psycopg``) send; waiting renames no refusal."""
    from psycopg import _cursor_base as cursors
    from psycopg import client_cursor, copy

    PATCHES.replace(module.Connection, "wait", surfacing(is_judged))
    PATCHES.replace(module.AsyncConnection, "wait", surfacing_async(is_judged))
    PATCHES.replace(cursors.BaseCursor, "_execute_send", _sent)
    PATCHES.replace(cursors.BaseCursor, "_send_prepare", _sent_prepared)
    PATCHES.replace(cursors.BaseCursor, "_send_query_prepared", _sent_prepared)
    PATCHES.replace(client_cursor.ClientCursorMixin, "_execute_send", _sent)
    for writer in (copy.LibpqWriter, copy.QueuedLibpqWriter):
        PATCHES.replace(writer, "write", _written)
        PATCHES.replace(writer, "finish", _finished)
    for async_writer in (copy.AsyncLibpqWriter, copy.AsyncQueuedLibpqWriter):
        PATCHES.replace(async_writer, "write", _written_async)
        PATCHES.replace(async_writer, "finish", _finished_async)


def _sent(original: Any) -> Any:
    @wraps(original)
    def send(self: Any, query: Any, **options: Any) -> Any:
        if is_judged():
            judge_statement(lambda: _store(self.connection), query.query, query.params)
        return original(self, query, **options)

    return send


def _sent_prepared(original: Any) -> Any:
    @wraps(original)
    def send(self: Any, name: bytes, query: Any, **options: Any) -> Any:
        if is_judged():
            judge_statement(lambda: _store(self.connection), query.query, query.params)
        return original(self, name, query, **options)

    return send


def _written(original: Any) -> Any:
    @wraps(original)
    def write(self: Any, data: Any) -> None:
        refused = _refusal(self, data)
        if refused is not None:
            self.finish(refused)  # else the connection would wait for the rest of it for ever
            self.__dict__[_ENDED] = True
            raise refused
        original(self, data)

    return write


def _written_async(original: Any) -> Any:
    @wraps(original)
    async def write(self: Any, data: Any) -> None:
        refused = _refusal(self, data)
        if refused is not None:
            await self.finish(refused)  # as above
            self.__dict__[_ENDED] = True
            raise refused
        await original(self, data)

    return write


def _finished(original: Any) -> Any:
    @wraps(original)
    def finish(self: Any, exc: BaseException | None = None) -> None:
        if not self.__dict__.get(_ENDED):
            original(self, _shown(self, exc))

    return finish


def _finished_async(original: Any) -> Any:
    @wraps(original)
    async def finish(self: Any, exc: BaseException | None = None) -> None:
        if not self.__dict__.get(_ENDED):
            await original(self, _shown(self, exc))

    return finish


def _refusal(writer: Any, data: Any) -> BaseException | None:
    if is_judged():
        try:
            judge(lambda: _store(writer.connection), data)
        except (RetentionViolation, Crossing) as refused:
            return refused
    return None


def _shown(writer: Any, error: BaseException | None) -> BaseException | None:
    """Return what the server may be told of *error*, which it writes into its log."""
    if error is None or isinstance(error, RetentionViolation | Crossing):
        return error
    refused = _refusal(writer, str(error))
    return error if refused is None else refused


def _store(connection: Any) -> Store:
    info = connection.info
    host = info.host
    return Store("postgresql", "" if host.startswith("/") else host, info.port, info.dbname)
