"""What the attacks share: a secret that stands in no source, all that is logged, a driven app."""

from __future__ import annotations

import asyncio
import io
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator

import pytest

from zeroret import ZeroRetention, testing
from zeroret.types import ASGIApp, Message, Receive, Scope, Send
from zeroret.usage.record import UsageRecord


@pytest.fixture
def secret() -> str:
    """Words that nobody wrote before."""
    return " ".join(secrets.token_hex(5) for _ in range(5))


class Output:
    """A logger of its own, and the root's, and what their handlers wrote, formatted as usual."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.log = logging.getLogger("tests.attacks")
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(
            logging.Formatter(
                "%(levelname)s %(name)s %(threadName)s %(filename)s %(funcName)s %(message)s"
            )
        )

    @property
    def text(self) -> str:
        """Return everything written so far."""
        return self.stream.getvalue()

    def shows(self, secret: str) -> bool:
        """Tell whether a word of *secret* was written."""
        return any(word in self.text for word in secret.split())


@pytest.fixture
def output() -> Iterator[Output]:
    """Whatever reaches the root's handler, from DEBUG on."""
    out, root = Output(), logging.getLogger()
    level = root.level
    root.addHandler(out.handler)
    root.setLevel(logging.DEBUG)
    yield out
    root.removeHandler(out.handler)
    root.setLevel(level)


class Reply:
    """What a server got of one exchange: the messages sent, and what the application raised."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.raised: BaseException | None = None

    @property
    def body(self) -> bytes:
        """Return the reply's body."""
        return b"".join(message.get("body", b"") for message in self.sent)


class Server:
    """Calls applications through the real shell, each in a task of its own, as servers do."""

    def __init__(self, runtime: ZeroRetention) -> None:
        self.runtime = runtime

    async def call(
        self, app: ASGIApp, path: str = "/", *bodies: bytes, headers: dict[str, str] | None = None
    ) -> Reply:
        """Return what one request to *app* gave."""
        return await asyncio.create_task(self._call(app, path, bodies or (b"{}",), headers or {}))

    async def _call(
        self, app: ASGIApp, path: str, bodies: tuple[bytes, ...], headers: dict[str, str]
    ) -> Reply:
        reply, left = Reply(), list(bodies)

        async def receive() -> Message:
            if not left:
                return {"type": "http.disconnect"}
            chunk = left.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(left)}

        async def send(message: Message) -> None:
            reply.sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("192.0.2.7", 4711),
        }
        try:
            await self.runtime.asgi(app)(scope, receive, send)
        except BaseException as error:  # noqa: BLE001 - a server catches all that leaves the app
            reply.raised = error
        return reply

    def records(self) -> list[UsageRecord]:
        """Return the records so far."""
        return testing.usage_records(self.runtime)


@pytest.fixture
def server(output: Output) -> Iterator[Server]:
    """A strict runtime with a short grace, behind a server."""
    with testing.memory_runtime(grace=0.05) as runtime:
        yield Server(runtime)


@pytest.fixture
def inside(server: Server, secret: str) -> Callable[[Callable[[], object]], None]:
    """Run a function inside an exchange that carries the secret."""

    def run(work: Callable[[], object]) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            work()
            await answer(send)

        reply = asyncio.run(server.call(app, "/", secret.encode()))
        assert reply.body == b"fine"

    return run


async def answer(send: Send, body: bytes = b"fine") -> None:
    """Send a whole reply."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def answering() -> Callable[..., Awaitable[None]]:
    """Give what sends a whole reply."""
    return answer
