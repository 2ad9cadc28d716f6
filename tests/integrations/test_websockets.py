"""websockets: clients in asyncio and in threads, their handshakes and their frames."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import trio
import websockets
from websockets.sync import client, server
from websockets.trio.client import connect as connect_in_trio

from scenes import Scene
from zeroret.errors import RetentionViolation

pytestmark = pytest.mark.usefixtures("guarded")


class Echo:
    """A websocket server in threads that notes what it is told."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.heard: list[Any] = []
        self.paths: list[str] = []
        self._server = server.serve(self._handle, "127.0.0.1", 0, ssl=context)
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def _handle(self, connection: server.ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        for message in connection:
            self.heard.append(message)
            connection.send("heard")

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()


@pytest.fixture
def echo() -> Iterator[Echo]:
    """A server in cleartext."""
    made = Echo()
    yield made
    made.stop()


def test_frames_are_judged_one_by_one(content: str, echo: Echo, scene: Scene) -> None:
    """Also on a connection from before the exchange, which stays usable."""
    with client.connect(f"ws://127.0.0.1:{echo.port}/") as socket:
        for upstreams in ([], [f"127.0.0.1:{echo.port}"]):
            with scene.exchange(upstreams=upstreams):
                socket.send("words of the program's own")
                socket.recv()
                for message in (content, content.encode()):
                    if upstreams:
                        socket.send(message)
                        socket.recv()
                    else:
                        with pytest.raises(RetentionViolation):
                            socket.send(message)
    assert len(echo.heard) == 4


def test_handshakes_are_judged(content: str, echo: Echo, scene: Scene) -> None:
    """Path and headers of a handshake are content's way out like any request's."""
    url = f"ws://127.0.0.1:{echo.port}/"
    with scene.exchange(upstreams=[]):
        with client.connect(url + "plain") as socket:
            socket.send("words of the program's own")
            socket.recv()
        with pytest.raises(RetentionViolation):
            client.connect(url + content.replace(" ", "/"), legacy=True)
        with pytest.raises(RetentionViolation):
            client.connect(url, additional_headers={"X-Note": content}, legacy=True)
    assert echo.paths == ["/plain"]


def test_the_same_in_asyncio(content: str, echo: Echo, scene: Scene) -> None:
    """The asyncio client is judged likewise."""
    url = f"ws://127.0.0.1:{echo.port}/"

    async def work() -> None:
        async with websockets.connect(url) as socket:
            await socket.send("words of the program's own")
            await socket.recv()
            with pytest.raises(RetentionViolation):
                await socket.send(content)
            await socket.send("and it goes on")
            await socket.recv()
        with pytest.raises(RetentionViolation):
            await websockets.connect(url + content.replace(" ", "/"))

    with scene.exchange(upstreams=[]):
        asyncio.run(work())
    assert len(echo.heard) == 2


def test_the_same_in_trio(echo: Echo, scene: Scene) -> None:
    """So is trio's."""
    url = f"ws://127.0.0.1:{echo.port}/"

    async def work() -> None:
        async with connect_in_trio(url) as socket:
            await socket.send("words of the program's own")
            await socket.recv()
            with pytest.raises(RetentionViolation):
                await socket.send(scene.content)
            await socket.send("and it goes on")
            await socket.recv()

    with scene.exchange(upstreams=[]):
        trio.run(work)
    assert len(echo.heard) == 2


def test_tls_must_be_verified(
    content: str, certificate: Any, trusting: ssl.SSLContext, resolved: None, scene: Scene
) -> None:
    """What is no upstream without verified TLS is none over a websocket either."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    lax = ssl._create_unverified_context()  # noqa: S323 - what must be refused
    secure = Echo(context)
    try:
        url = f"wss://llm.test:{secure.port}/"
        with scene.exchange(upstreams=["llm.test"]):
            with client.connect(url, ssl=trusting) as socket:
                socket.send(content)
                socket.recv()
            with pytest.raises(RetentionViolation, match="without TLS"):
                client.connect(url, ssl=lax, legacy=True)
            asyncio.run(send_in_asyncio(url, content, ssl=trusting))
            with pytest.raises(RetentionViolation, match="without TLS"):
                asyncio.run(send_in_asyncio(url, content, ssl=lax))
            trio.run(send_in_trio, url, content, trusting)
            with pytest.raises(RetentionViolation, match="without TLS"):
                trio.run(send_in_trio, url, content, lax)
    finally:
        secure.stop()
    assert secure.heard == [content] * 3


async def send_in_asyncio(url: str, text: str, **options: Any) -> None:
    """Say one thing by the asyncio client."""
    async with websockets.connect(url, **options) as socket:
        await socket.send(text)
        await socket.recv()


async def send_in_trio(url: str, text: str, context: ssl.SSLContext) -> None:
    """Say one thing by trio's."""
    async with connect_in_trio(url, ssl=context) as socket:
        await socket.send(text)
        await socket.recv()


def test_httpx2_is_judged_message_by_message(scene: Scene, echo: Echo) -> None:
    """Its sessions use a connection of the pool's, sync and async."""
    url = f"ws://127.0.0.1:{echo.port}/"

    async def work() -> None:
        async with httpx2.AsyncClient() as client, client.websocket(url) as socket:
            await socket.send_text("words of the program's own")
            await socket.receive_text()
            with pytest.raises(RetentionViolation):
                await socket.send_text(scene.content)

    with scene.exchange(upstreams=[]):
        with httpx2.Client() as session, session.websocket(url) as socket:
            socket.send_bytes(b"words of the program's own")
            socket.receive_text()
            for send in (socket.send_text, socket.send_json):
                with pytest.raises(RetentionViolation):
                    send(scene.content)
        asyncio.run(work())
    assert len(echo.heard) == 2


def test_localhost_has_to_be_reached(
    content: str, echo: Echo, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    """A connection that goes elsewhere than its URI says is none of this machine's."""
    monkeypatch.setattr("socket.socket.getpeername", lambda _: ("10.9.8.7", 80), raising=False)
    with scene.exchange(upstreams=["localhost"]), pytest.raises(RetentionViolation):
        client.connect(f"ws://localhost:{echo.port}/" + content.replace(" ", "/"), legacy=True)
    assert echo.paths == []
