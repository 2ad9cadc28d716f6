"""Exchanges of function calls: workers, batch jobs and commands, outside of any request."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

import wrapt

from zeroret import outcomes
from zeroret.claims import running
from zeroret.content.flight import CURRENT, LAST
from zeroret.exchange import Exchange
from zeroret.sharing import shared

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
    from typing import Unpack

    from zeroret.options import ShellOptions
    from zeroret.runtime import ZeroRetention

Function = TypeVar("Function")


@overload
def metered(function: Function, /) -> Function: ...


@overload
def metered(
    *,
    runtime: ZeroRetention | None = None,
    account: str | None = None,
    **options: Unpack[ShellOptions],
) -> Callable[[Function], Function]: ...


def metered(
    function: Any = None,
    /,
    *,
    runtime: ZeroRetention | None = None,
    account: str | None = None,
    **options: Any,
) -> Any:
    """Make an exchange of every call of a function, coroutine, generator or async generator.

    The call leaves one usage record, whose route is the function's name; its texts are guarded like
    a request's, and `zeroret.current` gives its exchange, with ``report()``. Its exceptions pass as
    they are: they are the caller's own. Inside an exchange the call is part of that one.

    Args:
        function: What to decorate, where no option is given.
        runtime: Whose records they are; default: the runtime of the options, else the one that was
            started last in this process.
        account: Whom the records name.
        options: Those of `zeroret.ZeroRetention`.

    Raises:
        ConfigurationError: at the first call, if no runtime was started and none is given.
    """
    if function is None:
        return partial(_decorated, runtime=runtime, account=account, options=options)
    return _decorated(function, runtime=None, account=None, options={})


def _decorated(
    function: Any, *, runtime: ZeroRetention | None, account: str | None, options: dict[str, Any]
) -> Any:
    def opened(wrapped: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exchange:
        owner = shared(runtime, options) if runtime is not None or options else running()
        exchange = Exchange(owner, "", "")
        exchange.route = f"{wrapped.__module__}.{wrapped.__qualname__}"
        exchange.account_is(account)
        for value in (*args, *kwargs.values()):
            if isinstance(value, bytes | str):
                exchange.hold(value)
        return exchange

    @wrapt.decorator
    def call(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        if CURRENT.get() is not None:
            return wrapped(*args, **kwargs)
        exchange = opened(wrapped, args, kwargs)
        if inspect.iscoroutinefunction(wrapped):
            return _awaited(exchange, partial(wrapped, *args, **kwargs))
        if inspect.isasyncgenfunction(wrapped):
            return _async_steps(exchange, wrapped(*args, **kwargs))
        if inspect.isgeneratorfunction(wrapped):
            return _steps(exchange, wrapped(*args, **kwargs))
        with _whole(exchange):
            return wrapped(*args, **kwargs)

    return call(function)


@contextmanager
def _within(exchange: Exchange) -> Iterator[None]:
    """Run a step of the work inside its exchange."""
    current, last = CURRENT.set(exchange), LAST.set(exchange)
    try:
        yield
    finally:
        LAST.reset(last)
        CURRENT.reset(current)


@contextmanager
def _ending(exchange: Exchange) -> Iterator[None]:
    """Write the exchange's one record when the work ends, however it does."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, GeneratorExit):
            exchange.note_error(error)
        exchange.finish(outcomes.of_error(error))
        raise
    else:
        exchange.finish("completed")
    finally:
        exchange.leave()


@contextmanager
def _whole(exchange: Exchange) -> Iterator[None]:
    with _ending(exchange), _within(exchange):
        yield


async def _awaited(exchange: Exchange, work: Callable[[], Awaitable[Any]]) -> Any:
    with _whole(exchange):
        return await work()


def _steps(exchange: Exchange, work: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Run a generator step by step: between its steps the context is the caller's own."""
    with _ending(exchange):
        step = partial(next, work)
        while True:
            try:
                with _within(exchange):
                    item = step()
            except StopIteration as end:
                return end.value
            try:
                step = partial(work.send, (yield item))
            except GeneratorExit:
                with _within(exchange):
                    work.close()
                raise
            except BaseException as error:  # noqa: BLE001 - thrown in by the caller, for the work to handle
                step = partial(work.throw, error)


async def _async_steps(
    exchange: Exchange, work: AsyncGenerator[Any, Any]
) -> AsyncGenerator[Any, Any]:
    """Run an asynchronous generator step by step, as `_steps` does."""
    with _ending(exchange):
        step: Callable[[], Any] = partial(work.__anext__)
        while True:
            try:
                with _within(exchange):
                    item = await step()
            except StopAsyncIteration:
                return
            try:
                step = partial(work.asend, (yield item))
            except GeneratorExit:
                with _within(exchange):
                    await work.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - as in _steps
                step = partial(work.athrow, error)
