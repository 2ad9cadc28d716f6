"""Caches of libraries that keep what clients sent: each is filled, and then found empty."""

from __future__ import annotations

import asyncio
import codecs
import encodings
import fnmatch
import gc
import json
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from math import inf
from operator import attrgetter
from typing import Any
from urllib.parse import urlsplit

import jiter
import msgspec
import pydantic_core
import pytest
from litestar import Litestar, Request, get
from litestar.params import FromPath
from litestar.testing import TestClient
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from zeroret import testing
from zeroret.content.boundary import OPEN
from zeroret.content.live import LIVE
from zeroret.guards import caches
from zeroret.guards.caches import BY_REQUEST, BY_ROUND
from zeroret.types import Receive, Scope, Send

OURS = [
    (module, name)
    for module, names in {**BY_REQUEST, **BY_ROUND}.items()
    for name in names
    if module.partition(".")[0] not in sys.stdlib_module_names
]


def secret() -> str:
    """Return a text that nobody made before."""
    return "cnry-" + secrets.token_hex(8)


@pytest.fixture
def installed() -> Iterator[None]:
    """The guard, installed for one test."""
    caches.install()
    yield
    caches.uninstall()


def done() -> None:
    """Do a whole round."""
    for _ in caches.rounds():
        pass


@pytest.mark.parametrize(("module", "name"), OURS)
def test_what_is_listed_is_there(module: str, name: str) -> None:
    """Every cache of a library that is installed exists under the name that we know it by."""
    assert attrgetter(name)(import_module(module)).cache_info() is not None


@pytest.mark.parametrize("name", BY_REQUEST["urllib.parse"] + BY_REQUEST["ipaddress"])
def test_what_is_listed_of_the_standard_library_is_there(name: str) -> None:
    """Likewise those of every Python version."""
    module = "urllib.parse" if name in BY_REQUEST["urllib.parse"] else "ipaddress"
    assert attrgetter(name)(import_module(module)).cache_info() is not None


FILLING: dict[str, Callable[[str], object]] = {
    "urllib.parse.urlsplit": lambda text: urlsplit(f"http://h/{text}?q={text}"),
    "yarl._url.encode_url": lambda text: import_module("yarl").URL(f"http://h/{text}"),
    "yarl._parse.split_netloc": lambda text: import_module("yarl").URL(f"http://{text}:1/").host,
    "aiohttp.helpers.parse_mimetype": lambda text: import_module("aiohttp.helpers").parse_mimetype(
        f"text/{text}"
    ),
    "litestar._parsers.parse_query_string": lambda text: import_module(
        "litestar._parsers"
    ).parse_query_string(f"q={text}".encode()),
    "litestar._parsers.parse_url_encoded_form_data": lambda text: import_module(
        "litestar._parsers"
    ).parse_url_encoded_form_data(f"q={text}".encode()),
    "django.utils.translation.trans_real._parse_accept_lang_header": lambda text: import_module(
        "django.utils.translation.trans_real"
    )._parse_accept_lang_header(f"{text},de;q=0.5"),
}


@pytest.mark.parametrize("name", FILLING)
def test_caches_of_requests_are_emptied(name: str) -> None:
    """What a request put there is gone, and the function works as before."""
    text = secret()
    module, _, function = name.rpartition(".")
    FILLING[name](text)
    cached = attrgetter(function)(import_module(module))
    assert cached.cache_info().currsize > 0
    caches.clear()
    assert cached.cache_info().currsize == 0
    FILLING[name](text)


def test_names_of_encodings_that_do_not_exist_are_forgotten() -> None:
    """A charset that a client made up is not kept; those that exist are."""
    name = secret().replace("-", "_")
    with pytest.raises(LookupError):
        codecs.lookup(name)
    known = encodings._cache  # type: ignore[attr-defined, unused-ignore] # what is to be emptied
    assert name in known
    codecs.lookup("utf-8")
    caches.clear()
    assert name not in known
    assert None not in known.values()
    assert codecs.lookup("utf-8").name == "utf-8"


def kept(texts: list[str]) -> int:
    """Return how many of *texts* somebody else refers to."""
    return sum(count > 2 for count in map(sys.getrefcount, texts))


def test_keys_that_msgspec_keeps_are_overwritten() -> None:
    """Every JSON key of a client is let go, at whatever place of the cache it stands."""
    keys = list(msgspec.json.decode(json.dumps(dict.fromkeys([secret() for _ in range(2000)]))))
    assert kept(keys) > 100
    caches.clear()
    assert kept(keys) == 0


def test_strings_that_jiter_keeps_are_let_go() -> None:
    """Its cache is emptied by its own function."""
    jiter.from_json(json.dumps([secret()]).encode())
    assert jiter.cache_usage() > 0
    caches.clear()
    assert jiter.cache_usage() == 0


def test_strings_that_pydantic_keeps_are_overwritten_in_a_round() -> None:
    """Short values of JSON, which it keeps for ever otherwise, are let go."""
    values: list[str] = pydantic_core.from_json(json.dumps([secret() for _ in range(1000)]))
    assert kept(values) > 500
    caches.clear()
    assert kept(values) > 500
    done()
    assert kept(values) == 0


def test_patterns_are_let_go_in_a_round() -> None:
    """Those that were compiled, or translated, from what a client sent."""
    text = secret()
    re.compile(text)
    fnmatch.fnmatch("a", f"{text}*")
    assert any(text in str(key) for key in re._cache)  # type: ignore[attr-defined] # what is emptied
    done()
    assert not any(text in str(key) for key in re._cache)  # type: ignore[attr-defined] # likewise
    assert fnmatch._compile_pattern.cache_info().currsize == 0  # type: ignore[attr-defined] # likewise


@get("/p/{name:str}")
async def named(name: FromPath[str], request: Request[Any, Any, Any]) -> str:
    """Look at everything that is cached when it is looked at."""
    return f"{request.url}{request.query_params.dict()}{request.cookies}"[:0]


def test_routers_of_litestar_forget_paths() -> None:
    """Those that were there before the guard, and those made after."""
    before = Litestar([named])
    caches.install()
    try:
        for app in (before, Litestar([named])):
            router = app.asgi_router
            with TestClient(app) as client:
                assert client.get(f"/p/{secret()}?q={secret()}").status_code == 200
            assert router.handle_routing.cache_info().currsize > 0  # type: ignore[attr-defined, unused-ignore] # its cache
            caches.clear()
            assert router.handle_routing.cache_info().currsize == 0  # type: ignore[attr-defined, unused-ignore] # as above
    finally:
        caches.uninstall()


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """Do nothing."""


def test_uvicorn_forgets_forwarded_addresses(installed: None) -> None:
    """What stood in X-Forwarded-For, addresses or not, is not kept."""
    hosts = ProxyHeadersMiddleware(nothing).trusted_hosts
    assert secret() not in hosts
    assert hosts._trusts.cache_info().currsize == 1  # its own cache
    caches.clear()
    assert hosts._trusts.cache_info().currsize == 0


def test_it_is_counted_and_leaves_everything_as_it_was() -> None:
    """After the last uninstall nothing is patched and nothing follows drops."""
    from litestar._asgi.asgi_router import ASGIRouter

    init, followers = ASGIRouter.__init__, LIVE._followers
    caches.install()
    caches.install()
    assert len(LIVE._followers) == len(followers) + 1
    caches.uninstall()
    assert ASGIRouter.__init__ is not init
    caches.uninstall()
    caches.uninstall()
    assert ASGIRouter.__init__ is init
    assert LIVE._followers == followers


@pytest.mark.parametrize("grace", [0, 0.05])
@pytest.mark.usefixtures("every_object")
def test_an_exchange_leaves_nothing_in_caches(grace: float) -> None:
    """When its grace is over, soon and without any further traffic."""
    text = secret()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        urlsplit(f"http://h{scope['path']}")
        msgspec.json.decode((await receive())["body"])
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps({text: 1}).encode()}

    async def send(message: Any) -> None:
        pass

    with testing.memory_runtime(grace=grace) as runtime:
        assert runtime.posture()["guards"]["caches"]["tier"] == "watched"
        scope = {"type": "http", "method": "POST", "path": f"/{text}", "headers": []}
        asyncio.run(runtime.asgi(app)(scope, receive, send))  # type: ignore[arg-type] # a coroutine
        end = time.monotonic() + 5
        while urlsplit.cache_info().currsize and time.monotonic() < end:  # type: ignore[attr-defined] # its cache
            time.sleep(0.02)
        assert urlsplit.cache_info().currsize == 0  # type: ignore[attr-defined] # likewise
        del scope
        gc.collect()
        assert not [each for each in gc.get_objects() if type(each) is dict and text in each]


def test_rounds_come_when_something_was_dropped_and_not_too_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once after a drop, then once a period at most, and not at all without drops."""
    now, rounds = 1000.0, 0
    monkeypatch.setattr("time.monotonic", lambda: now)

    def round_() -> Iterator[None]:
        nonlocal rounds
        rounds += 1
        yield
        yield

    monkeypatch.setattr(caches, "rounds", round_)
    monkeypatch.setattr(LIVE, "drops", 0)
    follow = caches._Follower()
    assert follow() == inf  # nothing was dropped
    LIVE.drops = 1
    assert [follow(), follow(), follow()] == [0, 0, inf]
    assert rounds == 1
    LIVE.drops = 2
    now += 3
    assert follow() == caches.PERIOD - 3
    now += caches.PERIOD
    assert follow() == 0
    LIVE.drops = 3  # while the round runs: what it kept may be behind us
    assert [follow(), follow()] == [0, caches.PERIOD]
    assert rounds == 2


def test_one_cache_that_fails_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that has other functions, or whose functions raise, leaves the rest emptied."""

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(msgspec.json, "decode", fail)
    monkeypatch.setattr(pydantic_core, "from_json", fail)
    monkeypatch.setitem(sys.modules, "yarl._url", object())
    name = secret().replace("-", "_")
    with pytest.raises(LookupError):
        codecs.lookup(name)
    urlsplit(f"http://h/{name}")
    re.compile(name)
    caches.clear()
    done()
    assert name not in encodings._cache  # type: ignore[attr-defined, unused-ignore] # what is emptied
    assert urlsplit.cache_info().currsize == 0  # type: ignore[attr-defined] # likewise
    assert not any(name in str(key) for key in re._cache)  # type: ignore[attr-defined] # likewise


def test_the_posture_claims_no_more_than_it_does() -> None:
    """Known caches are watched: there may be others."""
    assert caches.tiers(OPEN)["caches"].grade == "watched"
