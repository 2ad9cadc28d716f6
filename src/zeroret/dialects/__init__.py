"""The wire formats of LLM APIs: request and response bytes in; model, usage and text out.

One file per API family or endpoint, found through the literal registry below and imported on first
use; third parties add theirs by the entry point group ``zeroret.dialects``. Every reader is
sans-I/O and tolerant: it never raises on what it is fed, and never changes a byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zeroret.dialects.dialect import Dialect
from zeroret.dialects.openai_table import ANTHROPIC, OPENAI
from zeroret.dialects.routes import Index, Route
from zeroret.dialects.vendors import VENDORS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DIALECTS", "Dialect", "add", "detect", "every", "named"]

DIALECTS: Final[tuple[Dialect, ...]] = (
    *OPENAI,
    *ANTHROPIC,
    *VENDORS,
)
"""Every dialect that this package reads."""

_NOT_OURS: Final = (
    "channels/{id}/messages",
    "chats/{id}/messages",
    "conversations/{id}/messages",
    "rooms/{id}/messages",
    "sessions/{id}/messages",
    "threads/{id}/messages",
)
"""Paths of APIs that only look like one of these, OpenAI's assistants first."""

_added: Final[dict[str, Dialect]] = {}
_index: Final[Index[Dialect]] = Index()
for _dialect in DIALECTS:
    _index.add(_dialect.routes, _dialect)
_index.add([Route(_path) for _path in _NOT_OURS], None)
_by_name: Final = {dialect.name: dialect for dialect in DIALECTS}


def detect(path: str, method: str = "POST") -> Dialect | None:
    """Return the dialect whose endpoint *path* is, by its last segments; None for any other path.

    Prefixes (``/openai/deployments/x``) and a trailing slash are tolerated; the case is not. A GET
    may open a websocket.
    """
    dialect = _index.find(path)
    if dialect is None or method in dialect.methods:
        return dialect
    return dialect if method == "GET" and dialect.speaks_socket else None


def named(name: str) -> Dialect:
    """Return the dialect of that name, this package's or one that was added.

    Raises:
        KeyError: there is none.
    """
    return _by_name[name] if name in _by_name else _added[name]


def every() -> Iterator[Dialect]:
    """Give every dialect, those of third parties last."""
    yield from DIALECTS
    yield from _added.values()


def add(dialect: Dialect) -> None:
    """Take up a third party's dialect; on a path that both know, this package's own wins.

    Raises:
        ValueError: there is another one of that name.
    """
    if dialect.name in _by_name or _added.get(dialect.name, dialect) is not dialect:
        raise ValueError(f"there is a dialect of the name {dialect.name!r} already")
    if dialect.name not in _added:
        _added[dialect.name] = dialect
        _index.add(dialect.routes, dialect)
