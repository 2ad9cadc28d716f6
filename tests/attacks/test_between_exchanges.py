"""One exchange cannot hurt, blank or read another; what comes late shows nothing either."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from zeroret.guards import exceptions
from zeroret.types import Receive, Scope, Send

Answering = Callable[..., Awaitable[None]]
log = logging.getLogger("tests.attacks.between")
BUSY = RuntimeError("one object, raised to everybody")


@pytest.mark.timeout(20)
def test_an_exception_that_two_exchanges_share_ends_only_one(
    server: Any, answering: Answering
) -> None:
    """Who caught a shared exception and still works is not ended by who let it escape."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/crash":
            raise BUSY
        try:
            raise BUSY
        except RuntimeError:
            await asyncio.sleep(0.1)
            await answering(send, b"unhurt")

    async def main() -> None:
        waiting = asyncio.create_task(server.call(app, "/patient"))
        await asyncio.sleep(0.02)
        crash = await server.call(app, "/crash")
        assert isinstance(crash.raised, RuntimeError)
        assert (await waiting).body == b"unhurt"

    asyncio.run(main())


def test_frames_that_ended_are_emptied(server: Any, secret: str) -> None:
    """The frames of functions and coroutines that an escaped exception passed hold no local."""
    kept: list[BaseException] = []

    async def inner(text: str) -> None:
        await asyncio.sleep(0)
        kept.append(ValueError())
        raise kept[0]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        text = (await receive())["body"].decode()
        await inner(text)

    asyncio.run(server.call(app, "/", secret.encode()))
    trace, held = kept[0].__traceback__, []
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == __file__:
            held += [value for value in trace.tb_frame.f_locals.values() if value == secret]
        trace = trace.tb_next
    assert not held


@pytest.mark.timeout(20)
def test_groups_that_share_members_are_stood_in_for_once() -> None:
    """A group of groups of the same member costs its members, not its paths."""
    group: Exception = ValueError()
    for _ in range(40):
        group = ExceptionGroup("", [group] * 4)
    assert isinstance(exceptions.stand_in(group), ExceptionGroup)
    assert exceptions.describe(group)


def test_a_task_whose_error_nobody_saw_tells_no_text(
    server: Any, output: Any, answering: Answering, secret: str
) -> None:
    """The loop's line about it comes with the garbage collector, long after the grace."""
    tasks: list[asyncio.Task[None]] = []

    async def fails(text: str) -> None:
        raise ValueError(text)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.create_task(fails((await receive())["body"].decode())))
        await answering(send)

    async def main() -> None:
        await server.call(app, "/", secret.encode())
        await asyncio.sleep(0.3)
        assert "never retrieved" not in output.text
        tasks.clear()
        gc.collect()

    asyncio.run(main())
    assert "ValueError: [withheld]" in output.text
    assert not output.shows(secret)


def test_the_loops_own_lines_tell_no_text(
    server: Any, output: Any, answering: Answering, secret: str
) -> None:
    """Slow callbacks in debug mode and `call_exception_handler` show no argument."""

    def slow(text: str) -> None:
        threading.Event().wait(0.05)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0.01
        loop.call_soon(slow, secret)
        loop.call_exception_handler(
            {"message": secret, "exception": ValueError(secret), "x": secret}
        )
        await asyncio.sleep(0)
        await answering(send)

    async def main() -> None:
        await server.call(app, "/", secret.encode())
        asyncio.get_running_loop().call_exception_handler({"message": secret})
        await asyncio.sleep(0.1)

    asyncio.run(main(), debug=True)
    assert "asyncio" in output.text
    assert not output.shows(secret)


def test_work_that_outlives_its_exchange_stays_strict(
    server: Any, output: Any, answering: Answering, secret: str
) -> None:
    """Tasks, threads and pools that an exchange started show nothing after the grace either."""
    done = threading.Event()

    def work(text: str) -> None:
        threading.Event().wait(0.3)
        log.info("late %s", text)
        done.set()

    async def late(text: str) -> None:
        await asyncio.sleep(0.3)
        log.info("later %s", text)

    tasks: list[asyncio.Task[None]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        text = (await receive())["body"].decode()
        tasks.append(asyncio.create_task(late(text)))
        threading.Thread(target=work, args=(text,)).start()
        asyncio.get_running_loop().run_in_executor(None, work, text)
        await answering(send)

    async def main() -> None:
        await server.call(app, "/", secret.encode())
        await tasks[0]
        await asyncio.to_thread(done.wait, 5)

    asyncio.run(main())
    assert "later [withheld" in output.text
    assert not output.shows(secret)


def test_a_client_blanks_no_line_of_others(server: Any, output: Any, answering: Answering) -> None:
    """Who sends the text of every log line loses none of another's constants and numbers."""
    line = "the balance of the account was looked up in the replica of the other region, step %d"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] == "/evil":
            await asyncio.sleep(0.1)
        else:
            log.info(
                "the balance of the account was looked up in the replica of the other region, "
                "step %d",
                7,
            )
        await answering(send)

    async def main() -> None:
        evil = asyncio.create_task(server.call(app, "/evil", (line % 7).encode()))
        await asyncio.sleep(0.02)
        await server.call(app, "/good", b"{}")
        await evil

    asyncio.run(main())
    assert line % 7 in output.text


class Meta(type):
    """Answers every question about its classes with an error."""

    def __getattribute__(cls, name: str) -> Any:
        """Refuse."""
        raise KeyError(name)


class Liar(Exception):  # noqa: N818 - a hostile class needs no honest name
    """Shows what it holds by every method that a traceback or a server may call."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def __getattr__(self, name: str) -> str:
        return self.text


class Refusing(Exception, metaclass=Meta):  # noqa: N818 - as above
    """An exception of a class that cannot be asked anything."""


def named(text: str) -> Exception:
    """Return an exception whose class bears the content as its name, in an OSError's layout."""
    kind: type[OSError] = type(text[:40], (OSError,), {"text": text})
    return kind(2, text, text)


RAISED: dict[str, Callable[[str], BaseException]] = {
    "plain": ValueError,
    "liar": Liar,
    "refusing": Refusing,
    "named": named,
    "decoding": lambda text: UnicodeDecodeError("utf-8", text.encode(), 0, 1, text),
    "syntax": lambda text: SyntaxError(text, (text, 1, 1, text)),
    "group": lambda text: ExceptionGroup(text, [KeyError(text), Liar(text)]),
    "mixed group": lambda text: BaseExceptionGroup(
        text, [KeyError(text), asyncio.CancelledError()]
    ),
}


@pytest.mark.parametrize("kind", RAISED)
def test_no_exception_takes_its_text_to_the_server(
    kind: str, server: Any, output: Any, secret: str
) -> None:
    """Of whatever class: neither it, its attributes, its chain nor its record hold a word."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            raise LookupError(secret)
        except LookupError as cause:
            raise RAISED[kind](secret) from cause

    reply = asyncio.run(server.call(app, "/", secret.encode()))
    error = reply.raised
    assert error is not None
    seen = [str(error), repr(error), repr(error.args), repr(getattr(error, "__dict__", None))]
    seen += [type(error).__name__, repr(error.__cause__), repr(error.__context__)]
    seen += [repr(server.records()), output.text]
    assert not any(word in text for text in seen for word in secret.split())
