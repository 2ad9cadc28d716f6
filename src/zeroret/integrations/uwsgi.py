"""uWSGI: what its C code prints of requests, where no guard of Python's stands.

Its request log has path and query, and so have its lines about a client that hung up. Options of
its own turn them off; https://uwsgi-docs.readthedocs.io/en/latest/Options.html.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SILENCING: Final = {
    "disable-logging": "L",
    "ignore-sigpipe": "",
    "ignore-write-errors": "",
}
"""The options that keep requests out of its lines, and their short forms."""

LOGGING: Final = (
    "log-4xx",
    "log-5xx",
    "log-slow",
    "log-big",
    "log-zero",
    "log-sendfile",
    "log-ioerror",
)
"""The options that have single requests logged all the same."""


def options() -> Mapping[str, object] | None:
    """Return the options that this process's uWSGI runs with; None if there is none."""
    found = getattr(sys.modules.get("uwsgi"), "opt", None)  # a module of uWSGI's own making
    return found if isinstance(found, dict) else None


def problems(given: Mapping[str, object] | None) -> list[str]:
    """Return what has uWSGI print requests, and how to change it."""
    if given is None:
        return []
    names = set(given)
    missing = [name for name, short in SILENCING.items() if not names & {name, short or name}]
    found = [f"uWSGI prints paths and queries: start it with --{name}" for name in missing]
    return found + [
        f"uWSGI prints paths and queries: start it without --{name}"
        for name in LOGGING
        if name in names
    ]
