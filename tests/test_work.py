"""Exchanges of function calls: one record each, whatever kind of function, however it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import zeroret
from zeroret import ZeroRetention, testing
from zeroret.errors import ConfigurationError
from zeroret.usage.record import UsageRecord


@zeroret.metered
def summarise(text: str) -> int:
    """Report what the work used."""
    exchange = zeroret.current()
    assert exchange is not None
    exchange.report(input_tokens=len(text), output_tokens=2, model="gpt-4o")
    if text == "fail":
        raise LookupError(text)
    return len(text)


@zeroret.metered
async def summarise_soon(text: str) -> int:
    """Do the same, asynchronously."""
    await asyncio.sleep(0)
    exchange = zeroret.current()
    assert exchange is not None
    exchange.report(output_tokens=3)
    return len(text)


@zeroret.metered
def words(text: str) -> Iterator[str]:
    """Give words, and take what is sent in."""
    for word in text.split():
        assert zeroret.current() is not None
        try:
            said = yield word
        except ValueError:
            said = "caught"
        if said is not None:
            yield f"said {said}"


@zeroret.metered
async def words_soon(text: str) -> AsyncIterator[str]:
    """Give words, asynchronously."""
    for word in text.split():
        await asyncio.sleep(0)
        assert zeroret.current() is not None
        yield word


def only(runtime: ZeroRetention) -> UsageRecord:
    """Return the one record."""
    (record,) = testing.usage_records(runtime)
    return record


def test_a_function(runtime: ZeroRetention) -> None:
    """Its record names the function, and says what it reported."""
    assert summarise("seven..") == 7
    record = only(runtime)
    assert (record.input_tokens, record.output_tokens, record.response_model) == (7, 2, "gpt-4o")
    assert (record.outcome, record.usage_source) == ("completed", "reported")
    assert str(record.route).endswith("test_work.summarise")
    assert zeroret.current() is None
    assert summarise.__name__ == "summarise"


def test_an_error_passes_and_is_recorded(runtime: ZeroRetention) -> None:
    """The caller gets its own exception, the record its class."""
    with pytest.raises(LookupError, match="fail"):
        summarise("fail")
    record = only(runtime)
    assert (record.outcome, record.error_type, record.status) == ("error", "LookupError", None)


def test_a_coroutine(runtime: ZeroRetention) -> None:
    """Calls at once have a record each, and their contexts do not mix."""

    async def both() -> tuple[int, int]:
        return await asyncio.gather(summarise_soon("a"), summarise_soon("bb"))

    assert list(asyncio.run(both())) == [1, 2]
    records = testing.usage_records(runtime)
    assert [record.output_tokens for record in records] == [3, 3]
    assert len({record.id for record in records}) == 2


def test_a_cancelled_coroutine_is_aborted(runtime: ZeroRetention) -> None:
    """Nobody waits any more: that is no error."""

    @zeroret.metered
    async def forever() -> None:
        await asyncio.sleep(3600)

    async def cancel() -> None:
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancel())
    assert only(runtime).outcome == "aborted"


def test_a_generator(runtime: ZeroRetention) -> None:
    """Between its steps the context is the caller's; what is sent and thrown arrives."""
    work: Any = words("one two three")
    assert next(work) == "one"
    assert zeroret.current() is None
    assert work.send("this") == "said this"
    assert next(work) == "two"
    assert work.throw(ValueError()) == "said caught"
    assert list(work) == ["three"]
    assert only(runtime).outcome == "completed"


def test_a_generator_that_is_left(runtime: ZeroRetention) -> None:
    """Closing it half way is an abort, and its own clean-up runs."""
    work: Any = words("one two")
    next(work)
    work.close()
    assert only(runtime).outcome == "aborted"


def test_an_async_generator(runtime: ZeroRetention) -> None:
    """Its steps run inside, and one that is left is aborted."""

    async def use() -> list[str]:
        left: Any = words_soon("one two")
        assert await anext(left) == "one"
        assert zeroret.current() is None
        await left.aclose()
        return [word async for word in words_soon("three four")]

    assert asyncio.run(use()) == ["three", "four"]
    assert [record.outcome for record in testing.usage_records(runtime)] == ["aborted", "completed"]


def test_methods(runtime: ZeroRetention) -> None:
    """Methods, static and class methods are functions like any other."""

    class Job:
        factor = 2

        @zeroret.metered
        def own(self, number: int) -> int:
            return number * self.factor

        @classmethod
        @zeroret.metered
        def klass(cls, number: int) -> int:
            return number * cls.factor

    assert (Job().own(1), Job.klass(2)) == (2, 4)
    assert len(testing.usage_records(runtime)) == 2


def test_inside_an_exchange_it_is_part_of_it(runtime: ZeroRetention) -> None:
    """A metered function that calls another leaves one record."""

    @zeroret.metered
    def outer() -> int:
        return summarise("abc")

    assert outer() == 3
    record = only(runtime)
    assert str(record.route).endswith("outer")
    assert record.input_tokens == 3


def test_its_logs_are_guarded(runtime: ZeroRetention, caplog: pytest.LogCaptureFixture) -> None:
    """What the work logs of its arguments is withheld, as in a request."""

    @zeroret.metered
    def careless(prompt: str) -> None:
        logging.getLogger("work").warning("got %s", prompt)

    careless(f"{chr(97)} secret that nobody reads")
    assert "got [withheld" in caplog.text
    assert "a secret" not in caplog.text
    assert only(runtime).outcome == "completed"


def test_whose_records_they_are() -> None:
    """A runtime and an account can be given; without any runtime the call says what to do."""
    with testing.memory_runtime() as first, testing.memory_runtime() as second:

        @zeroret.metered(runtime=first, account="acme")
        def mine() -> None:
            pass

        @zeroret.metered
        def last() -> None:
            pass

        mine()
        last()
        assert only(first).account == "acme"
        assert only(second).account is None
    with pytest.raises(ConfigurationError, match="no runtime was started"):
        last()
