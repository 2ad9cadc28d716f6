"""The guard of event loops: exception handlers get class and places, and nothing else."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anyio
import pytest
import trio
import uvloop

from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.content.live import LIVE
from zeroret.guards import loops, tally

Run = Callable[[Coroutine[Any, Any, Any]], Any]
request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")


@pytest.fixture
def loops_guarded() -> Iterator[None]:
    """The guard of loops, installed for one test."""
    loops.install()
    yield
    loops.uninstall()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, loops_guarded: None) -> Run:
    """Run a coroutine on a new loop of either kind."""
    factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop

    def on_loop(work: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(work)

    return on_loop


def failing(text: str) -> None:
    """Raise an error that holds the text, and one that led to it."""
    local = [text]
    try:
        raise KeyError(local)
    except KeyError as cause:
        raise LookupError(text) from cause


async def never_retrieved(text: str) -> None:
    """End a task and a future whose errors nobody asks for."""

    async def work() -> None:
        failing(text)

    task = asyncio.ensure_future(work())
    task.set_name(text)
    future = asyncio.get_running_loop().create_future()
    future.set_exception(LookupError(text))
    await asyncio.sleep(0.01)
    del task, future
    gc.collect()


async def in_callback(text: str) -> None:
    """Fail in callbacks of the loop."""
    loop = asyncio.get_running_loop()
    loop.call_soon(failing, text)
    loop.call_later(0.001, failing, text)
    loop.call_soon_threadsafe(failing, text)
    await asyncio.sleep(0.02)


async def by_hand(text: str) -> None:
    """Hand the handler whatever there is."""
    asyncio.get_running_loop().call_exception_handler(
        {
            "message": f"failed for {text}",
            "exception": LookupError(text),
            "task": asyncio.current_task(),
            text: text,
            "request": {"body": text},
        }
    )
    asyncio.get_running_loop().call_exception_handler({"message": text})


async def in_protocol(text: str) -> None:
    """Fail in a protocol's callback."""

    class Failing(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            failing(data.decode())

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Failing, "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(text.encode())
        await asyncio.sleep(0.05)
        writer.close()


WAYS: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
    "never retrieved": never_retrieved,
    "callback": in_callback,
    "by hand": by_hand,
    "protocol": in_protocol,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_loops_own_handler_logs_class_and_places(
    way: str, run: Run, running: Flight, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log line says what kind of thing failed, and where; no word of content."""
    with caplog.at_level(logging.ERROR, "asyncio"):
        run(WAYS[way](content))
    text = caplog.text
    assert "LookupError: [withheld]" in text
    assert not any(word in text for word in content.split())
    said = {
        "never retrieved": "Task exception was never retrieved",
        "callback": "Exception in callback",
        "by hand": "ERROR    asyncio:",
        "protocol": "Fatal error",
    }
    assert said[way] in text


@pytest.mark.parametrize("way", WAYS)
def test_a_programs_own_handler_gets_a_stand_in(
    way: str, run: Run, running: Flight, content: str
) -> None:
    """Its context has a message and an exception, and no object that holds content."""
    seen: list[dict[str, Any]] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: seen.append(context))
        await WAYS[way](content)

    before = tally.snapshot().get("exceptions.withheld", 0)
    run(work())
    assert seen
    assert {key for each in seen for key in each} <= {"message", "exception"}
    errors = [each["exception"] for each in seen if "exception" in each]
    assert errors
    assert all(isinstance(each, LookupError) for each in errors)
    text = repr(seen) + repr([(vars(each), each.args, each.__cause__) for each in errors])
    assert not any(word in text for word in content.split())
    assert tally.snapshot()["exceptions.withheld"] == before + len(seen)


def test_the_handler_runs_where_the_work_ran(run: Run, running: Flight, content: str) -> None:
    """A program's context variables, and the exchange itself, are found by its handler."""
    seen: list[Any] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: seen.append((request.get(), CURRENT.get())))
        inside = contextvars.copy_context()
        inside.run(request.set, "the request")
        outside = contextvars.Context()
        loop.call_soon(failing, content, context=inside)
        loop.call_soon(failing, content, context=outside)
        await asyncio.sleep(0.01)

    run(work())
    assert len(seen) == 2
    assert ("the request", running) in seen or all(flight is running for _, flight in seen)


def test_a_callback_that_comes_late_is_its_exchanges(
    loops_guarded: None, running: Flight, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    """When the content was dropped and nothing is live, its context still tells."""
    seen: list[Any] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: seen.append(context))
    loop.call_soon(failing, content)
    token = CURRENT.set(None)
    LAST.set(None)
    LIVE.leave(running, 0)
    try:
        assert not LIVE.busy
        loop.call_soon(loop.stop)
        loop.run_forever()
    finally:
        loop.close()
        CURRENT.reset(token)
    assert [each["message"] for each in seen] == ["Exception in callback"]
    assert content not in repr(seen)


@pytest.mark.parametrize("mode", ["nothing live", "report"])
def test_what_is_not_withheld_passes_whole(
    mode: str, run: Run, request: pytest.FixtureRequest, content: str
) -> None:
    """With nothing in flight, and where a runtime only reports."""
    if mode == "report":
        request.getfixturevalue("running").enforce = False
    seen: list[dict[str, Any]] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: seen.append(context))
        await by_hand(content)

    run(work())
    assert seen[0]["message"] == f"failed for {content}"
    assert seen[0][content] == content
    assert str(seen[0]["exception"]) == content


def test_a_handler_that_fails_is_reported_without_content(
    run: Run, running: Flight, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop says so itself; neither its error nor the first one is quoted."""

    def handler(loop: Any, context: Any) -> None:
        failing(content)

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(handler)
        await by_hand(content)

    with caplog.at_level(logging.ERROR, "asyncio"):
        run(work())
    assert "LookupError: [withheld]" in caplog.text
    assert not any(word in caplog.text for word in content.split())


@pytest.mark.parametrize("broken", ["owner_of_error", "_message", "_context_of"])
def test_a_guard_that_fails_tells_nothing(
    broken: str, run: Run, running: Flight, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The handler is called all the same."""
    seen: list[dict[str, Any]] = []

    def breaks(*args: Any) -> Any:
        raise MemoryError(content)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: seen.append(context))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(loops, broken, breaks)
            await by_hand(content)

    run(work())
    assert [each["message"] for each in seen] == ["[withheld: guard error]"] * 2
    assert content not in repr(seen)


def test_task_groups_raise_what_the_shells_replace(loops_guarded: None, running: Flight) -> None:
    """Groups of trio and anyio reach the application, which may handle them; no hook sees them."""

    async def work() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, failing, "text")

    for backend in ("asyncio", "trio"):
        with pytest.raises(ExceptionGroup) as caught:
            anyio.run(work, backend=backend)
        assert caught.group_contains(LookupError, match="text")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_trio_logs_what_its_finalisers_find(
    loops_guarded: None, running: Flight, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An async generator that fails while it is collected is told by class and places."""

    async def generator() -> Any:
        try:
            yield 1
        finally:
            failing(content)

    async def work() -> None:
        iterator = generator()
        await anext(iterator)
        del iterator
        gc.collect()
        await trio.sleep(0.01)

    trio.run(work)
    assert "LookupError: [withheld]" in caplog.text
    assert not any(word in caplog.text for word in content.split())


def test_uninstall_leaves_the_classes_as_they_were() -> None:
    """After any number of installs."""
    names = (asyncio.BaseEventLoop, uvloop.Loop)
    before = [vars(each).get("call_exception_handler") for each in names]
    for _ in range(2):
        loops.install()
    assert asyncio.BaseEventLoop.call_exception_handler is not before[0]
    loops.uninstall()
    loops.uninstall()
    assert [vars(each).get("call_exception_handler") for each in names] == before
