"""Caches of the standard library and of frameworks that keep what clients sent: emptied.

Paths, queries, cookies and forms go as soon as the grace of an exchange is over. Caches that cost
more to fill again, and those that only can be overwritten, go a few seconds later.
"""

from __future__ import annotations

import encodings
import gc
import re
import sys
import time
from contextlib import suppress
from functools import cache, wraps
from itertools import compress, count, repeat
from math import inf
from operator import attrgetter, eq
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import msgspec

from zeroret.content.live import LIVE
from zeroret.guards.patches import Patches
from zeroret.guards.tiers import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from zeroret.content.boundary import Boundary

PERIOD: Final = 10.0
"""Seconds between two rounds over the caches that cost more."""

BY_REQUEST: Final[Mapping[str, tuple[str, ...]]] = {
    "urllib.parse": ("urlsplit",),
    "ipaddress": (
        *("IPv4Address.is_private.fget", "IPv4Address.is_global.fget"),
        "IPv6Address.is_private.fget",
    ),
    "yarl._parse": ("split_netloc", "make_netloc"),
    "yarl._url": (
        *("encode_url", "pre_encoded_url", "build_pre_encoded_url", "from_parts"),
        *("_idna_decode", "_idna_encode", "_encode_host"),
    ),
    "aiohttp.helpers": ("parse_mimetype", "parse_content_type"),
    "litestar._parsers": (
        *("parse_url_encoded_form_data", "parse_query_string", "parse_cookie_string"),
    ),
    "litestar._kwargs.extractors": ("create_query_default_dict",),
    "litestar._asgi.routing_trie.traversal": ("parse_path_params",),
    "litestar.datastructures.url": ("URL._new", "URL.from_components"),
    "django.utils.translation.trans_real": (
        *("_parse_accept_lang_header", "_get_supported_language_variant"),
        "translation_catalog_exists",
    ),
}
"""Functions that keep what requests bring, by module; those a version lacks are passed over."""

BY_ROUND: Final[Mapping[str, tuple[str, ...]]] = {
    "fnmatch": ("_compile_pattern",),
    "pathlib": ("_compile_pattern", "_make_selector"),
    "glob": ("_compile_pattern",),
    "rich.cells": ("cached_cell_len",),
    "rich.segment": ("Segment._split_cells",),
}
"""Functions that keep patterns and texts, most of them an application's own."""

_PATCHES: Final = Patches("caches")
_methods: Final[WeakSet[Any]] = WeakSet()
"""Cached methods that single objects have of their own."""


@_PATCHES.when_imported("litestar._asgi.asgi_router")
def _litestar(module: Any) -> None:
    _watch(module.ASGIRouter, "handle_routing")


@_PATCHES.when_imported("uvicorn.middleware.proxy_headers")
def _uvicorn(module: Any) -> None:
    _watch(module._TrustedHosts, "_trusts")  # noqa: SLF001 - what X-Forwarded-For names


def install() -> None:
    """Empty the caches from now on whenever content was dropped; each call is counted."""
    _PATCHES.install()
    if _PATCHES.count == 1:
        LIVE.follow(_follow)


def uninstall() -> None:
    """Undo one `install`."""
    if _PATCHES.count == 1:
        LIVE.unfollow(_follow)
    _PATCHES.uninstall()


def tiers(_: Boundary) -> dict[str, Tier]:
    """Return what the posture says of caches."""
    how = "known caches of requests are emptied when the grace is over, others within seconds"
    return {"caches": Tier("watched", how)}


def clear() -> None:
    """Empty the caches of what requests bring: paths, queries, headers, cookies, forms, keys."""
    _empty(BY_REQUEST)
    for method in list(_methods):
        method.cache_clear()
    jiter = sys.modules.get("jiter")
    if jiter is not None:
        jiter.cache_clear()
    with suppress(Exception):  # another version's shape is no reason to leave the others
        msgspec.json.decode(_places_of_msgspec())
    # Names of encodings that do not exist, which clients put into Content-Type.
    known = encodings._cache  # noqa: SLF001 - it has no other way in
    for name in [name for name, found in list(known.items()) if found is None]:
        known.pop(name, None)


def rounds() -> Iterator[None]:
    """Empty the caches that cost more, in steps of about a millisecond."""
    re.purge()  # multipart boundaries, and patterns made of what users search for
    _empty(BY_ROUND)
    yield
    with suppress(Exception):  # as in `clear`
        yield from _overwrite_pydantic()


def _empty(caches: Mapping[str, Iterable[str]]) -> None:
    for module, names in caches.items():
        loaded = sys.modules.get(module)
        if loaded is None:
            continue
        for name in names:
            with suppress(AttributeError):  # not in this version
                attrgetter(name)(loaded).cache_clear()


def _watch(owner: Any, name: str) -> None:
    """Note the cached method *name* of every instance of *owner*, those to come included."""
    for each in gc.get_referrers(owner):
        if type(each) is owner:
            _methods.add(getattr(each, name))

    def make(init: Callable[..., None]) -> Callable[..., None]:
        @wraps(init)
        def noting(self: Any, *args: Any, **options: Any) -> None:
            init(self, *args, **options)
            _methods.add(getattr(self, name))

        return noting

    _PATCHES.replace(owner, "__init__", make)


# Parsers of JSON keep short strings, to make equal ones once: keys, and pydantic's the values too.
# Both can only be emptied by other strings in their place.

_STRINGS: Final = 8192
"""Strings that one step puts in place of what was there: about a millisecond."""

_STEPS: Final = 24
"""Steps over the 16,384 places of pydantic's: each is missed with a chance of e to the -12."""

_NUMBER: Final = b"########"
_steps: Final = count()


@cache
def _strings() -> bytes:
    """Return strings, with quotes and commas between them; `_NUMBER` stands in each."""
    return b'","'.join([b"%b-%x" % (_NUMBER, each) for each in range(_STRINGS)])


@cache
def _places_of_msgspec() -> bytes:
    """Return an object with one key for each place of msgspec's cache: those that it kept of many.

    What is kept has one reference more than the others.
    """
    keys = list(msgspec.json.decode(b'{"' + _strings().replace(b",", b":0,") + b'":0}'))
    counts = list(map(sys.getrefcount, keys))
    kept = compress(keys, map(eq, counts, repeat(max(counts))))
    return msgspec.json.encode(dict.fromkeys(kept, 0))


def _overwrite_pydantic() -> Iterator[None]:
    import pydantic_core

    for _ in range(_STEPS):
        fresh = _strings().replace(_NUMBER, b"%08x" % next(_steps))
        pydantic_core.from_json(b'["' + fresh + b'"]')
        yield


class _Follower:
    """Empties the caches after drops: those of requests at once, the others in rounds."""

    def __init__(self) -> None:
        self._round: Iterator[None] | None = None
        self._drops = 0
        self._next = 0.0

    def __call__(self) -> float:
        """Do what is due; return the seconds until more is."""
        clear()
        now = time.monotonic()
        if self._round is None:
            if self._drops == LIVE.drops:
                return inf
            if now < self._next:
                return self._next - now
            self._drops = LIVE.drops
            self._round = rounds()
        for _ in self._round:
            return 0.0
        self._round = None
        self._next = now + PERIOD
        return inf if self._drops == LIVE.drops else PERIOD


_follow: Final = _Follower()
