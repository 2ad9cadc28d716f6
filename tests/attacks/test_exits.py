"""Exits: errors that derive from BaseException alone show no content, and end what they ended."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from zeroret.types import Receive, Scope, Send


class Abort(BaseException):
    """An application's own signal to stop."""


class Interrupt(KeyboardInterrupt):
    """An application's own interrupt."""


class Shutdown(SystemExit):
    """An application's own exit."""


EXITS: dict[str, Callable[[str], BaseException]] = {
    "own": Abort,
    "plain": BaseException,
    "interrupt": KeyboardInterrupt,
    "own interrupt": Interrupt,
    "exit": SystemExit,
    "own exit": Shutdown,
    "group": lambda text: BaseExceptionGroup(text, [Abort(text), Interrupt(text)]),
    "mixed group": lambda text: BaseExceptionGroup(text, [Abort(text), ValueError(text)]),
}
FREE = ("own", "plain")
"""What event loops keep, instead of ending with it."""


def _everything(error: BaseException | None) -> str:
    """Return all that anybody can print of *error*."""
    if error is None:
        return ""
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    parts = [str(error), repr(error), repr(error.args), repr(vars(error))]
    parts += traceback.format_exception(error)
    parts += [_everything(each) for each in (error.__cause__, error.__context__, *members)]
    return " ".join(parts)


def _is_free_of(secret: str, *texts: str) -> bool:
    return not any(word in text for word in secret.split() for text in texts)


async def _receiving(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("after", ["nothing", "the reply"])
def test_an_exit_reaches_an_asgi_server_without_its_text(
    kind: str, after: str, server: Any, output: Any, secret: str
) -> None:
    """The server gets one of the same class, with nothing of what the application said."""
    error = EXITS[kind](secret)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if after == "the reply":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"fine"})
        raise error

    async def call() -> Any:
        receive, sent = _request(secret), []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
        try:
            await server.runtime.asgi(app)(scope, receive, send)
        except BaseException as raised:  # noqa: BLE001 - it is what is asked for
            return raised, sent
        return None, sent

    raised, sent = _driven(call())
    assert isinstance(raised, type(error))
    assert _is_free_of(secret, _everything(raised), output.text)
    assert len(sent) == (2 if after == "the reply" else 0)
    if isinstance(error, SystemExit):
        assert isinstance(raised, SystemExit)
        assert raised.code == 1
    assert len(server.records()) == 1


def _request(secret: str) -> Any:
    async def receive() -> Any:
        return {"type": "http.request", "body": secret.encode()}

    return receive


def _driven(call: Any) -> Any:
    """Run a coroutine that waits for nothing, without a loop that tells exits from errors."""
    try:
        call.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError


@pytest.mark.parametrize("code", [None, 0, 3])
def test_the_status_of_an_exit_stays(code: int | None, server: Any) -> None:
    """`sys.exit(3)` ends a server with 3."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        sys.exit(code)

    async def call() -> Any:
        scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
        try:
            await server.runtime.asgi(app)(scope, _request("x"), _request("x"))
        except SystemExit as raised:
            return raised.code
        return "none"

    assert _driven(call()) == code


def test_cancellations_pass_as_they_are(server: Any, secret: str) -> None:
    """Event loops and cancel scopes tell a cancellation by identity."""
    error = asyncio.CancelledError()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    async def call() -> Any:
        try:
            await server.runtime.asgi(app)({"type": "http", "path": "/"}, _receiving, _receiving)
        except BaseException as raised:  # noqa: BLE001 - it is what is asked for
            return raised
        return None

    assert _driven(call()) is error


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("when", ["called", "iterated", "closed"])
def test_an_exit_reaches_a_wsgi_server_without_its_text(
    kind: str, when: str, server: Any, output: Any, secret: str
) -> None:
    """Likewise where a response is made, sent or closed."""
    error = EXITS[kind](secret)

    class Body:
        def __iter__(self) -> Any:
            return self

        def __next__(self) -> bytes:
            if when == "iterated":
                raise error
            raise StopIteration

        def close(self) -> None:
            if when == "closed":
                raise error

    def app(environ: Any, start_response: Any) -> Any:
        environ["wsgi.input"].read()
        start_response("200 OK", [])
        if when == "called":
            raise error
        return Body()

    environ = {"wsgi.input": io.BytesIO(secret.encode()), "CONTENT_LENGTH": str(len(secret))}
    environ |= {"REQUEST_METHOD": "POST", "PATH_INFO": "/"}
    raised: BaseException | None = None
    try:
        body = server.runtime.wsgi(app)(environ, lambda *_: lambda _: None)
        try:
            list(body)
        finally:
            body.close()
    except BaseException as caught:  # noqa: BLE001 - it is what is asked for
        raised = caught
    assert isinstance(raised, type(error))
    assert _is_free_of(secret, _everything(raised), output.text)
    assert len(server.records()) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("kind", FREE)
def test_an_exit_in_the_background_is_told_without_its_text(
    kind: str, server: Any, output: Any, secret: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Background tasks, tasks that nobody awaits, callbacks and threads: nothing is shown."""

    def fail() -> None:
        raise EXITS[kind](secret)

    async def task() -> None:
        fail()

    async def endpoint(request: Request) -> Response:
        await request.body()
        kept = asyncio.create_task(task())
        asyncio.get_running_loop().call_soon(fail)
        thread = threading.Thread(target=fail)
        thread.start()
        await asyncio.to_thread(thread.join)
        await asyncio.wait([kept])
        del kept
        return PlainTextResponse("fine", background=BackgroundTask(fail))

    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
    reply = asyncio.run(server.call(app, "/", secret.encode()))
    captured = capfd.readouterr()
    assert reply.body == b"fine"
    assert isinstance(reply.raised, BaseException)
    assert _is_free_of(secret, output.text, captured.out, captured.err, _everything(reply.raised))
    assert "Task exception was never retrieved" in output.text
    assert [record.outcome for record in server.records()] == ["completed"]
