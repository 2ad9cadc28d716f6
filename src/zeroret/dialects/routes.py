"""Where a wire format is spoken: patterns of paths, and the index that finds them.

A path is known by its end, whatever stands before it: gateways mount what they forward under
prefixes of their own. A trailing slash is tolerated; another case is not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

LONGEST: Final = 4096
"""The longest path that is looked at."""

_USUAL: Final = ("/", "/v1/")
_FIELD: Final = re.compile(r"\{(\w+)(:path)?\}")


class Route:
    """A pattern of the last segments of a path.

    ``chat/completions`` are these two segments; ``{model}`` is any one segment, or the part of one
    that stands before ``:verb``; ``{model:path}`` is any number of them. The more literal text a
    pattern has, the more it weighs.
    """

    __slots__ = ("_rule", "key", "pattern", "weight")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.key = _key(pattern)
        """What a path is looked up by: its last segment, the verb of that, or the one before."""
        self.weight = len(_FIELD.sub("", pattern))
        self._rule: re.Pattern[str] | None = None
        if "{" in pattern:
            rule, at = "", 0
            for field in _FIELD.finditer(pattern):
                some = ".+?" if field[2] else "[^/]+?"
                rule += f"{re.escape(pattern[at : field.start()])}(?P<{field[1]}>{some})"
                at = field.end()
            self._rule = re.compile(f"(?:.*/)?{rule}{re.escape(pattern[at:])}", re.DOTALL)

    def __repr__(self) -> str:
        return f"Route({self.pattern!r})"

    def matches(self, path: str) -> bool:
        """Return whether *path*, without a slash at its end, ends in this pattern."""
        if self._rule is None:
            return path.endswith("/" + self.pattern) or path == self.pattern
        return len(path) <= LONGEST and self._rule.fullmatch(path) is not None

    def value(self, path: str, name: str) -> str | None:
        """Return what *path* has in place of ``{name}``; None if it does not match."""
        if self._rule is None or len(path) > LONGEST:
            return None
        found = self._rule.fullmatch(path.rstrip("/"))
        return None if found is None else found.groupdict().get(name)


class Index(Generic[T]):
    """Finds what is spoken on a path: by its last segment first, so that most paths leave at once.

    Of several patterns that match the one with the most literal text wins, then the one added
    first. A pattern may be added for None, which says that nothing is spoken there.
    """

    __slots__ = ("_by_key", "_usual")

    def __init__(self) -> None:
        self._by_key: dict[str, list[tuple[str, Route, T | None]]] = {}
        self._usual: dict[str, T | None] | None = None
        """What is spoken on the paths that most clients call: no field, no prefix or the usual."""

    def add(self, routes: Iterable[Route], value: T | None) -> None:
        """Add *value* for each of *routes*."""
        for route in routes:
            known = self._by_key.setdefault(route.key, [])
            known.append(("/" + route.pattern, route, value))
            known.sort(key=lambda each: -each[1].weight)
        self._usual = None

    def find(self, path: str) -> T | None:
        """Return what is spoken on *path*; None if nothing is."""
        usual = self._usual
        if usual is None:
            usual = self._usual = self._searched()
        return usual[path] if path in usual else self._search(path)

    def _searched(self) -> dict[str, T | None]:
        known = [route.pattern for each in self._by_key.values() for _, route, _ in each]
        paths = [prefix + each for each in known if "{" not in each for prefix in _USUAL]
        return {path: self._search(path) for path in paths}

    def _search(self, path: str) -> T | None:
        at = path.rfind("/") + 1
        known = self._by_key.get(path[at:])
        if known is None:
            known = self._rarely(path, at)
            if known is None:
                if path[-1:] != "/":
                    return None
                path = path.rstrip("/")
                return self._search(path) if path else None
        for ending, route, value in known:
            if path.endswith(ending) or route.matches(path):
                return value
        return None

    def _rarely(self, path: str, at: int) -> list[tuple[str, Route, T | None]] | None:
        """Return what is known by the segment before the last, which begins at *at*, or a verb."""
        keyed = self._by_key
        known = keyed.get(path[path.rfind("/", 0, at - 1) + 1 : at]) if at > 1 else None
        if known is None and ":" in path:
            known = keyed.get(path[path.rfind(":") :])
        return known


def _key(pattern: str) -> str:
    """Return the last segment of *pattern*, its verb, or the segment before and a slash.

    Raises:
        ValueError: the pattern has no literal text there.
    """
    at = pattern.rfind("/") + 1
    last = pattern[at:]
    if "{" not in last:
        key = last
    elif last.endswith("}"):
        key = pattern[pattern.rfind("/", 0, max(at - 1, 0)) + 1 : at]
    else:
        key = last[last.rfind("}") + 1 :]
        key = key if key.startswith(":") else ""
    if not key or "{" in key:
        raise ValueError(f"the end of {pattern!r} has no literal text to find it by")
    return key
