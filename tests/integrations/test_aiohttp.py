"""aiohttp: requests are judged at the connector, and websockets message by message."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from scenes import Scene
from zeroret.errors import RetentionViolation
from zeroret.guards import network

pytestmark = pytest.mark.usefixtures("guarded")


async def pieces(content: str) -> AsyncIterator[bytes]:
    """Give a body whose every piece is too short to tell."""
    for at in range(0, len(content), 7):
        yield content[at : at + 7].encode()


def form(content: str) -> aiohttp.FormData:
    """Give a form with a file."""
    data = aiohttp.FormData()
    data.add_field("f", io.BytesIO(content.encode()), filename="a.txt")
    return data


WAYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "json": lambda content: {"json": {"q": content}},
    "text": lambda content: {"data": content},
    "form": lambda content: {"data": {"q": content}},
    "file": lambda content: {"data": io.BytesIO(content.encode())},
    "multipart": lambda content: {"data": form(content)},
    "pieces": lambda content: {"data": pieces(content)},
    "compressed": lambda content: {"data": content, "compress": "deflate"},
    "compressed pieces": lambda content: {"data": pieces(content), "compress": "gzip"},
    "query": lambda content: {"params": {"q": content}},
    "header": lambda content: {"headers": {"X-Note": content}},
    "cookie": lambda content: {"cookies": {"note": content.replace(" ", "_")}},
}


def run(work: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run *work* with a session of its own."""

    async def inside() -> None:
        async with aiohttp.ClientSession(**options) as session:
            await work(session)

    asyncio.run(inside())


async def ask(session: aiohttp.ClientSession, url: str, **options: Any) -> None:
    """Make one request, and read its answer."""
    async with session.post(url, **options) as response:
        await response.read()


@pytest.mark.parametrize("way", WAYS)
def test_content_stays(way: str, content: str, scene: Scene) -> None:
    """On pooled connections too; the refusal is no `ClientError`; the upstream gets it all."""
    refused: list[BaseException] = []

    async def work(session: aiohttp.ClientSession) -> None:
        await ask(session, scene.evil.url, data="words of the program's own")
        with pytest.raises(RetentionViolation) as caught:
            await ask(session, scene.evil.url, **WAYS[way](content))
        refused.append(caught.value)
        await ask(session, scene.upstream.url, **WAYS[way](content))

    with scene.exchange(upstreams=[scene.upstream.name]):
        run(work)
    assert refused[0].__cause__ is refused[0].__context__ is None
    assert "127.0.0.1" not in str(refused[0])
    assert len(scene.evil.requests) == len(scene.upstream.requests) == 1
    assert scene.counted.counts() == {"upstream.refused": 1}


def test_each_hop_of_a_redirect_is_a_request(content: str, scene: Scene) -> None:
    """An upstream cannot hand content on to another host."""
    scene.upstream.redirect = scene.evil.url

    async def work(session: aiohttp.ClientSession) -> None:
        with pytest.raises(RetentionViolation):
            await ask(session, scene.upstream.url, data=content)

    with scene.exchange(upstreams=[scene.upstream.name]):
        run(work)
    assert scene.evil.requests == []


def test_tls_must_be_verified(
    content: str, secure: Any, resolved: None, trusting: ssl.SSLContext, scene: Scene
) -> None:
    """Neither ``ssl=False`` nor a lax context nor another name makes an upstream of a host."""
    url = f"https://llm.test:{secure.port}/"
    lax = ssl._create_unverified_context()  # noqa: S323 - what must be refused

    async def work(session: aiohttp.ClientSession) -> None:
        for options in (
            {"ssl": False},
            {"ssl": lax},
            {"ssl": trusting, "server_hostname": "localhost"},
        ):
            with pytest.raises(RetentionViolation, match="without TLS"):
                await ask(session, url, data=content, **options)
        await ask(session, url, data=content, ssl=trusting)
        with pytest.raises(RetentionViolation, match="without TLS"):
            await ask(session, url.replace("https", "http"), data=content)

    with scene.exchange(upstreams=["llm.test"]):
        run(work)
    assert len(secure.requests) == 1


def test_a_proxy_that_reads_has_to_be_named(content: str, scene: Scene) -> None:
    """What a proxy can read goes only where proxy and host are both named."""

    async def work(session: aiohttp.ClientSession) -> None:
        await ask(session, "http://vllm.test", data=content, proxy=scene.upstream.url)

    with scene.exchange(upstreams=["http://vllm.test"]), pytest.raises(RetentionViolation):
        run(work)
    with scene.exchange(upstreams=["http://vllm.test", scene.upstream.name]):
        run(work)
    assert len(scene.upstream.requests) == 1


def test_report_mode_passes_everything(content: str, scene: Scene) -> None:
    """Where only reports are asked for, every way passes unchanged."""

    async def work(session: aiohttp.ClientSession) -> None:
        for way in WAYS.values():
            await ask(session, scene.evil.url, **way(content))

    with scene.exchange(upstreams=[], enforce=False):
        run(work)
    assert len(scene.evil.requests) == len(WAYS)
    assert scene.counted.counts() == {"upstream.reported": len(WAYS)}


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[int, list[Any]]]:
    """Run a websocket server, and note what it is told."""
    heard: list[Any] = []

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            heard.append(message.data)
            await socket.send_str("heard")
        return socket

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    yield port, heard
    await runner.cleanup()


def test_websockets_are_judged_message_by_message(content: str, scene: Scene) -> None:
    """Also on a socket that was opened before the exchange, and for each exchange anew."""

    async def work() -> None:
        async with echoing() as (port, heard), aiohttp.ClientSession() as session:
            async with session.ws_connect(f"ws://127.0.0.1:{port}/") as socket:
                for upstreams in ([], [f"127.0.0.1:{port}"], []):
                    with scene.exchange(upstreams=upstreams):
                        await socket.send_str("words of the program's own")
                        await socket.receive()
                        for send in (
                            socket.send_str(content),
                            socket.send_bytes(content.encode()),
                            socket.send_json({"q": content}),
                        ):
                            if upstreams:
                                await send
                                await socket.receive()
                            else:
                                with pytest.raises(RetentionViolation):
                                    await send
            assert len(heard) == 6

    asyncio.run(work())


def test_it_leaves_no_trace() -> None:
    """After the last uninstall the classes are as they were."""
    network.uninstall()
    for owner, name in (
        (aiohttp.ClientSession, "_request"),
        (aiohttp.BaseConnector, "connect"),
        (aiohttp.ClientRequest, "write_bytes"),
        (aiohttp.ClientWebSocketResponse, "send_str"),
    ):
        assert not hasattr(getattr(owner, name), "__wrapped__")
    network.install()
