"""Surfacing: a refusal passes a library's retries and wrapping, and nothing else changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from zeroret.errors import RetentionViolation
from zeroret.guards.surfacing import Crossing, raised, surfacing, surfacing_async


class LibraryError(Exception):
    """What a library makes of everything."""


def library(attempt: Callable[[], Any], tries: list[int]) -> Any:
    """Try three times, and rename the last error."""
    for number in range(3):
        tries.append(number)
        try:
            return attempt()
        except Exception as error:  # noqa: BLE001 - as libraries do
            last = error
    raise LibraryError("at https://host/secret") from last


def refuse() -> None:
    """Refuse."""
    raise raised(RetentionViolation("no"))


def test_a_refusal_is_neither_retried_nor_renamed() -> None:
    """Within, it passes; without, the library does with it what it does."""
    tries: list[int] = []
    with pytest.raises(RetentionViolation) as caught:
        surfacing(lambda: True)(library)(refuse, tries)
    assert tries == [0]
    assert caught.value.__cause__ is caught.value.__context__ is None
    with pytest.raises(LibraryError):
        library(refuse, [])
    with pytest.raises(LibraryError):
        surfacing(lambda: False)(library)(refuse, [])


def test_the_outermost_call_turns_it_back() -> None:
    """Libraries on top of each other count as one."""
    inner = surfacing(lambda: True)(library)
    outer = surfacing(lambda: True)(library)
    tries: list[int] = []
    with pytest.raises(RetentionViolation):
        outer(lambda: inner(refuse, tries), tries)
    assert tries == [0, 0]


def test_results_and_other_errors_pass_unchanged() -> None:
    """What is no refusal is none of its business."""
    assert surfacing(lambda: True)(library)(lambda: 7, []) == 7
    with pytest.raises(LibraryError) as caught:
        surfacing(lambda: True)(library)(lambda: 1 / 0, [])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_the_same_for_coroutines() -> None:
    """Async clients have retries of their own."""
    tries: list[int] = []

    async def fetch() -> Any:
        await asyncio.sleep(0)
        return library(refuse, tries)

    with pytest.raises(RetentionViolation):
        asyncio.run(surfacing_async(lambda: True)(fetch)())  # type: ignore[arg-type] # a coroutine
    assert tries == [0]


def test_tasks_that_outlive_the_call_get_the_refusal_itself() -> None:
    """Nobody is left to turn a crossing back."""
    started: list[asyncio.Task[None]] = []

    async def later() -> None:
        await asyncio.sleep(0.01)
        refuse()

    async def fetch() -> None:
        started.append(asyncio.create_task(later()))

    async def run() -> None:
        await surfacing_async(lambda: True)(fetch)()
        with pytest.raises(RetentionViolation):
            await started[0]

    asyncio.run(run())


def test_a_crossing_says_nothing() -> None:
    """Its text is one and the same."""
    assert "host" not in str(Crossing(RetentionViolation("host")))
