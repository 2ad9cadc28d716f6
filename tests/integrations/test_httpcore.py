"""httpx and httpx2: requests are judged at the pool, whatever they hold and wherever they go."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from typing import Any

import httpx
import httpx2
import pytest

from scenes import Listener, Scene
from zeroret.errors import RetentionViolation
from zeroret.guards import network

pytestmark = pytest.mark.usefixtures("guarded")

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


def pieces(content: str) -> Iterator[bytes]:
    """Give a body whose every piece is too short to tell."""
    data = content.encode()
    for at in range(0, len(data), 7):
        yield data[at : at + 7]


async def apieces(content: str) -> AsyncIterator[bytes]:
    """Give the same, asynchronously."""
    for piece in pieces(content):
        yield piece


WAYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "json": lambda content: {"json": {"messages": [{"content": content}]}},
    "text": lambda content: {"content": content},
    "bytes": lambda content: {"content": content.encode()},
    "form": lambda content: {"data": {"q": content}},
    "file": lambda content: {"files": {"f": ("a.txt", BytesIO(content.encode()))}},
    "file name": lambda content: {"files": {"f": (content, b"x")}},
    "query": lambda content: {"params": {"q": content}},
    "header": lambda content: {"headers": {"x-note": content}},
    "cookie": lambda content: {"headers": {"cookie": f"note={content}"}},
    "agent": lambda content: {"headers": {"user-agent": content}},
    "accept": lambda content: {"headers": {"accept": content}},
    "header name": lambda content: {"headers": {"x-" + content.replace(" ", "-"): "1"}},
    "base64": lambda content: {"content": __import__("base64").b64encode(content.encode())},
    "gzip": lambda content: {
        "content": __import__("gzip").compress(content.encode()),
        "headers": {"content-encoding": "gzip"},
    },
    "unreadable": lambda _: {"content": b"\1", "headers": {"content-encoding": "br"}},
}


@LIBRARIES
@pytest.mark.parametrize("way", WAYS)
def test_content_stays_from_hosts_that_are_no_upstreams(
    library: Any, way: str, content: str, scene: Scene
) -> None:
    """Whatever part of a request holds it, nothing is sent, and the caller learns of it plainly."""
    with (
        scene.exchange(upstreams=["llm.internal"]),
        library.Client() as client,
        pytest.raises(RetentionViolation, match=r"upstreams=\[…\] does not name") as caught,
    ):
        client.post(scene.evil.url, **WAYS[way](content))
    assert scene.evil.requests == []
    assert scene.evil.connections <= (way in ("file", "file name"))  # these come in pieces
    assert "127.0.0.1" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert scene.counted.counts() == {"upstream.refused": 1}


@LIBRARIES
def test_the_same_asynchronously(library: Any, content: str, scene: Scene) -> None:
    """Async clients are judged likewise, in memory and in pieces, on pooled connections too."""

    async def run() -> None:
        async with library.AsyncClient() as client:
            await client.get(scene.evil.url)  # from here on there is a pooled connection
            for body in (content, apieces(content)):
                with pytest.raises(RetentionViolation):
                    await client.post(scene.evil.url, content=body)
            for body in (content, apieces(content)):
                await client.post(scene.upstream.url, content=body)

    with scene.exchange(upstreams=[scene.upstream.name]):
        asyncio.run(run())
    assert [noted.body for noted in scene.evil.requests] == [b""]
    assert [noted.body.decode() for noted in scene.upstream.requests] == [content, content]


@LIBRARIES
def test_pieces_are_stopped_where_content_begins_to_show(
    library: Any, content: str, scene: Scene
) -> None:
    """A body that comes in pieces is looked at across their joints, and ends unfinished."""
    with scene.exchange(upstreams=[]), library.Client() as client:
        client.post(scene.evil.url, content=pieces("words of the program's own, and many of them"))
        with pytest.raises(RetentionViolation):
            client.post(scene.evil.url, content=pieces(content))
    assert len(scene.evil.requests) == 1


@LIBRARIES
def test_upstreams_take_everything(library: Any, content: str, scene: Scene) -> None:
    """To a host that is named the request goes as it is, streams, files and headers alike."""
    with scene.exchange(upstreams=[scene.upstream.name]), library.Client() as client:
        for way in WAYS.values():
            client.post(scene.upstream.url, **way(content))
        client.post(scene.upstream.url, content=pieces(content))
    assert len(scene.upstream.requests) == len(WAYS) + 1
    assert scene.upstream.requests[-1].body.decode() == content
    assert scene.counted.counts() == {}


@LIBRARIES
def test_what_shares_no_content_may_go_anywhere(library: Any, content: str, scene: Scene) -> None:
    """Metrics, health checks and usage reports pass, though libraries and APIs have one wording."""
    asked = json.dumps({"model": "gpt-test-1-2026-01-31", "messages": [{"content": content}]})
    answered = '{"usage":{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17}}'
    headers = ((b"user-agent", f"python-{library.__name__}/{library.__version__}".encode()),)
    names = frozenset({"gpt-test-1-2026-01-31"})
    with (
        scene.exchange(
            asked + answered + "application/json", headers, upstreams=[], names=names
        ) as flight,
        library.Client() as client,
    ):
        flight.hold("/v1/chat/completions")
        flight.route = "/v1/chat/completions"
        client.get(scene.evil.url + "/health")
        client.post(scene.evil.url, json=json.loads(answered))
        client.post(scene.evil.url, json={"model": "gpt-test-1-2026-01-31", "total": 17})
        client.post(scene.evil.url + "/v1/chat/completions/count", json={"n": 1})
    assert len(scene.evil.requests) == 4
    assert scene.counted.counts() == {}


@LIBRARIES
def test_another_exchanges_content_stays_too(library: Any, content: str, scene: Scene) -> None:
    """Content of another exchange in flight is known from 64 bytes on."""
    with (
        scene.exchange(upstreams=[]),
        scene.exchange("other words", upstreams=[]),
        library.Client() as client,
    ):
        client.post(scene.evil.url, content=content[:40])
        with pytest.raises(RetentionViolation):
            client.post(scene.evil.url, content=content)
    assert len(scene.evil.requests) == 1


@LIBRARIES
def test_each_hop_of_a_redirect_is_a_request(library: Any, content: str, scene: Scene) -> None:
    """An upstream cannot hand content on to another host."""
    scene.upstream.redirect = scene.evil.url + "/next"
    with (
        scene.exchange(upstreams=[scene.upstream.name]),
        library.Client(follow_redirects=True) as client,
        pytest.raises(RetentionViolation),
    ):
        client.post(scene.upstream.url, content=content)
    assert (len(scene.upstream.requests), scene.evil.requests) == (1, [])


@LIBRARIES
def test_a_body_that_cannot_be_told_stays(library: Any, content: str, scene: Scene) -> None:
    """Of an exchange whose content is not all known any more, no body leaves but to upstreams."""
    with scene.exchange(upstreams=[]) as flight, library.Client() as client:
        flight.truncated = True
        client.get(scene.evil.url)
        for body in (b"anything", iter([b"anything"])):
            with pytest.raises(RetentionViolation):
                client.post(scene.evil.url, content=body)
        flight.truncated = False
        with pytest.raises(RetentionViolation):
            client.post(scene.evil.url, content=b"." * (2**20 + 1))
    assert [noted.method for noted in scene.evil.requests] == ["GET"]


@LIBRARIES
def test_nothing_is_refused_where_only_reports_are_asked_for(
    library: Any, content: str, scene: Scene
) -> None:
    """In report mode everything passes, unchanged, and is counted once."""
    with scene.exchange(upstreams=[], enforce=False), library.Client() as client:
        client.post(scene.evil.url, content=content)
        client.post(scene.evil.url, content=pieces(content))
    assert [noted.body.decode() for noted in scene.evil.requests] == [content, content]
    assert scene.counted.counts() == {"upstream.reported": 2}


@LIBRARIES
def test_code_of_no_exchange_is_counted_and_passes(
    library: Any, content: str, scene: Scene
) -> None:
    """Where nothing says whose it is, content in flight is reported; to its upstreams it may go."""
    with (
        scene.exchange(upstreams=[scene.upstream.name]),
        scene.outside(),
        library.Client() as client,
    ):
        client.post(scene.evil.url, content="nobody's words, and nothing to report")
        client.post(scene.upstream.url, content=content)
        assert scene.counted.counts() == {}
        client.post(scene.evil.url, content=content)
    assert len(scene.evil.requests) == 2
    assert scene.counted.counts() == {"upstream.reported": 1}


@LIBRARIES
@pytest.mark.parametrize("error", [RuntimeError("secret"), MemoryError()])
def test_it_fails_closed(
    library: Any, error: Exception, content: str, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    """An error of the guard's own refuses what it was asked about, and says nothing of it."""

    def fail(*_: Any, **__: Any) -> bool:
        raise error

    monkeypatch.setattr("zeroret.guards.egress.shares", fail)
    with scene.exchange(upstreams=[]), library.Client() as client:
        with pytest.raises(RetentionViolation) as caught:
            client.get(scene.evil.url)
        assert "secret" not in repr(caught.value)
        assert caught.value.__context__ is None
    with scene.exchange(upstreams=[], enforce=False), library.Client() as client:
        client.get(scene.evil.url)
    assert len(scene.evil.requests) == 1


@LIBRARIES
def test_transports_within_the_process_are_no_way_out(
    library: Any, content: str, scene: Scene
) -> None:
    """A mock, or an application called in place, is sent everything."""

    def reply(request: Any) -> Any:
        return library.Response(200, text=request.read().decode())

    with (
        scene.exchange(upstreams=[]),
        library.Client(transport=library.MockTransport(reply)) as client,
    ):
        assert client.post("https://api.example.com", content=content).text == content


@LIBRARIES
@pytest.mark.parametrize("verify", [False, "no names"])
@pytest.mark.usefixtures("resolved")
def test_tls_must_be_verified(
    library: Any, verify: Any, secure: Listener, trusting: ssl.SSLContext, scene: Scene
) -> None:
    """An upstream beyond this machine is one only if its certificate and its name are checked."""
    content = scene.content
    url = f"https://llm.test:{secure.port}/"
    if verify:
        verify = ssl.create_default_context(cafile=None)
        verify.check_hostname = False
    with scene.exchange(upstreams=["llm.test"]):
        with library.Client(verify=trusting) as client:
            client.post(url, content=content)
        with (
            library.Client(verify=verify) as client,
            pytest.raises(RetentionViolation, match="without TLS"),
        ):
            client.post(url, content=content)
        with library.Client() as client, pytest.raises(RetentionViolation, match="without TLS"):
            client.post(url.replace("https", "http"), content=content)
        with (
            library.Client(verify=trusting) as client,
            pytest.raises(RetentionViolation, match="without TLS"),
        ):
            client.post(url, content=content, extensions={"sni_hostname": "localhost"})
    assert len(secure.requests) == 1
    assert scene.counted.counts() == {"cleartext.refused": 3}


@LIBRARIES
def test_cleartext_is_allowed_where_an_origin_says_so(
    library: Any, content: str, resolved: None, scene: Scene
) -> None:
    """``http://host:port`` is an upstream as it stands; the same host elsewhere is none."""
    with (
        scene.exchange(upstreams=[f"http://llm.test:{scene.upstream.port}"]),
        library.Client() as client,
    ):
        client.post(f"http://llm.test:{scene.upstream.port}/", content=content)
        with pytest.raises(RetentionViolation, match="does not name"):
            client.post("http://llm.test:1/", content=content)
    assert len(scene.upstream.requests) == 1


@LIBRARIES
def test_a_proxy_that_reads_has_to_be_named(library: Any, content: str, scene: Scene) -> None:
    """What a proxy can read goes only where proxy and host are both named."""
    allowed = "http://vllm.test:8000"
    for names, passes in (([allowed], False), ([allowed, scene.upstream.name], True)):
        with scene.exchange(upstreams=names), library.Client(proxy=scene.upstream.url) as client:
            if passes:
                client.post(f"{allowed}/v1", content=content)
            else:
                with pytest.raises(RetentionViolation, match="does not name"):
                    client.post(f"{allowed}/v1", content=content)
    assert [noted.path for noted in scene.upstream.requests] == [f"{allowed}/v1"]


@LIBRARIES
def test_through_a_proxy_localhost_is_another_machine(
    library: Any, content: str, scene: Scene
) -> None:
    """This machine needs no TLS, but a proxy's is not this one."""
    with (
        scene.exchange(upstreams=["localhost"]),
        library.Client(proxy=scene.upstream.url) as client,
        pytest.raises(RetentionViolation, match="without TLS"),
    ):
        client.post("http://localhost:8000/v1", content=content)
    assert scene.upstream.requests == []


@LIBRARIES
def test_it_leaves_no_trace(library: Any) -> None:
    """After the last uninstall the libraries are as they were."""
    core = __import__(library.__name__.replace("httpx", "httpcore"))
    assert hasattr(core.ConnectionPool.handle_request, "__wrapped__")
    network.uninstall()
    assert not hasattr(core.ConnectionPool.handle_request, "__wrapped__")
    assert not hasattr(core.AsyncConnectionPool.handle_async_request, "__wrapped__")
    network.install()
