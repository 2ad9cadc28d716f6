"""Source lines: the text of a module's file, read from the file.

`linecache` is open to the whole program: what somebody put there for a module's file would be taken
for its source. While content is in flight, `linecache` gives the files' own lines, too: it is where
libraries that render tracebacks look.
"""

from __future__ import annotations

import os
import tokenize
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.live import LIVE

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.guards.patches import Patches

_CACHED: Final = 4096

_rows: Final[dict[str, list[str]]] = {}


def rows(path: str, namespace: dict[str, Any]) -> list[str]:
    """Return the lines of a module's source, each with its end; nothing if it cannot be read.

    Args:
        path: What its code says of its file.
        namespace: The module's, whose loader is asked where *path* is no file, as in an archive.
    """
    found = _rows.get(path)
    if found is None:
        found = _read(path, namespace)
        if len(_rows) < _CACHED:
            _rows[path] = found
    return found


def watch(module: Any, patches: Patches) -> None:
    """Have *module*, ``linecache``, show of sources that were read here what was read."""

    def make(original: Callable[..., list[str]]) -> Callable[..., list[str]]:
        @wraps(original)
        def getlines(filename: Any, module_globals: Any = None) -> list[str]:
            if patches.active and LIVE.busy and type(filename) is str and filename in _rows:
                return list(_rows[filename])
            return original(filename, module_globals)

        return getlines

    patches.replace(module, "getlines", make)


def _read(path: str, namespace: dict[str, Any]) -> list[str]:
    try:
        if os.path.isfile(path):  # noqa: PTH113 - a text that code carries
            with tokenize.open(path) as file:
                lines = file.readlines()
        else:
            lines = _loaded(namespace).splitlines(keepends=True)
    except Exception:  # noqa: BLE001 - a file, or a loader, that cannot say vouches for nothing
        return []
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return lines


def _loaded(namespace: dict[str, Any]) -> str:
    spec = namespace.get("__spec__")
    text = namespace["__loader__"].get_source(getattr(spec, "name", namespace.get("__name__")))
    return text if type(text) is str else ""
