"""SQL: whether a statement could write anything, told by its words.

In doubt it could: what is taken for a write is only looked at, and passes if it holds no content.
"""

from __future__ import annotations

import re
from typing import Final

_BLANK: Final = r"(?:\s++|--[^\n]*+(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*+\*/|\()*+"
_READING: Final = re.compile(
    _BLANK + r"(?:select|show|explain|describe|desc|pragma|values|table|with|fetch|begin|start"
    r"|commit|rollback|savepoint|release|end)\b",
    re.IGNORECASE,
)
WRITING: Final = frozenset(
    {
        *("insert", "update", "delete", "merge", "replace", "into", "call", "copy", "create"),
        *("alter", "drop", "truncate", "grant", "do", "exec", "execute", "attach", "load"),
        *("import", "export", "handler", "notify", "pg_notify", "set_config", "load_extension"),
        *("pg_logical_emit_message", "writefile"),
    }
)
"""Words of statements that write, and of functions that do within a `SELECT`."""

_WRITING_PREFIXES: Final = ("lo_", "dblink", "xp_", "utl_", "dbms_")
_WORD: Final = re.compile(r"[a-z_]\w*")
_UPDATE: Final = re.compile(r"(?<!for )(?<!key )\bupdate\b", re.IGNORECASE)
_QUOTED: Final = re.compile(r"'(?:[^']|'')*+'|\"(?:[^\"]|\"\")*+\"|`[^`]*+`")
_TANGLED: Final = re.compile(r"\\|--|/\*|\$\w*\$|#")
_SPOKEN: Final = re.compile(
    r"'(?:[^']|'')*+'|\"(?:[^\"]|\"\")*+\"|--[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/|\$(\w*)\$.*?\$\1\$",
    re.DOTALL,
)


def is_read(statement: str) -> bool:
    """Tell whether *statement* is known to write nothing."""
    if not _READING.match(statement):
        return False
    if not _may_write(statement):
        return True
    # One of those words may stand in a value, where quotes are simple enough to tell.
    if _TANGLED.search(statement):
        return False
    return not _may_write(_QUOTED.sub("''", statement))


def spoken(statement: str) -> list[str]:
    """Return what of *statement* could hold a text: its quoted values, names and comments."""
    return [found[0] for found in _SPOKEN.finditer(statement)]


def _may_write(statement: str) -> bool:
    words = set(_WORD.findall(statement.lower()))
    found = words & WRITING
    if found == {"update"}:  # FOR UPDATE locks what is read
        return _UPDATE.search(statement) is not None
    return bool(found) or any(word.startswith(_WRITING_PREFIXES) for word in words)
