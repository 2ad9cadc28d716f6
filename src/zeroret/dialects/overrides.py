"""Dialects by route: what an operator states wins over what a path looks like."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from zeroret.dialects import Dialect, detect, every, named, plugins
from zeroret.dialects.routes import LONGEST
from zeroret.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELD: Final = re.compile(r"\{\w+(?::(\w+))?\}|<(?:(\w+):)?\w+>")


class Overrides:
    """Route templates or path prefixes, and the dialect that is spoken there; None for no dialect.

    ``/v1/chat`` is this path and all below it; ``{name}`` or ``<name>`` is one segment,
    ``{name:path}`` or ``<path:name>`` any number. The most literal text wins.

    Raises:
        ConfigurationError: a route does not begin with a slash, or a dialect is unknown.
    """

    __slots__ = ("_rules", "key")

    def __init__(self, stated: Mapping[str, str | None]) -> None:
        rules = [(*_compiled(route), _dialect(route, name)) for route, name in stated.items()]
        self._rules = sorted(rules, key=lambda rule: -rule[0])
        self.key = tuple(sorted((route, name or "") for route, name in stated.items()))
        """What tells these overrides from others."""

    def detect(self, path: str, method: str = "POST") -> Dialect | None:
        """Return the dialect that is spoken on *path*, as `zeroret.dialects.detect` does."""
        if len(path) <= LONGEST:
            for _, rule, dialect in self._rules:
                if rule.fullmatch(path) is None:
                    continue
                speaks = dialect is not None and (
                    method in dialect.methods or (method == "GET" and dialect.speaks_socket)
                )
                return dialect if speaks else None
        return detect(path, method)


def _compiled(route: str) -> tuple[int, re.Pattern[str]]:
    """Return how much literal text *route* has, and what it matches."""
    if not isinstance(route, str) or not route.startswith("/"):
        raise ConfigurationError(f"dialects names the route {route!r}, which begins with no slash")
    rule, at, weight = "", 0, 0
    for field in _FIELD.finditer(route):
        literal = route[at : field.start()]
        rule += re.escape(literal) + (".+?" if "path" in field.groups() else "[^/]+")
        at, weight = field.end(), weight + len(literal)
    rest = route[at:].rstrip("/")
    rule += re.escape(rest) + "(?:/.*)?"
    return weight + len(rest), re.compile(rule, re.DOTALL)


def _leave(place: str, error: BaseException) -> None:
    """Leave it to the start of the runtime to tell of a broken plug-in."""


def _dialect(route: str, name: str | None) -> Dialect | None:
    if name is None:
        return None
    try:
        return named(name)
    except (KeyError, TypeError):
        plugins.load(_leave)  # a third party's, perhaps
    try:
        return named(name)
    except (KeyError, TypeError):
        known = sorted(dialect.name for dialect in every())
        close = difflib.get_close_matches(str(name), known, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigurationError(
            f"dialects[{route!r}]={name!r}: {hint}Allowed are None, {', '.join(known)}"
        ) from None
