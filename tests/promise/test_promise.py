"""The whole promise: careless apps on real servers with trackers; not one canary is found after it.

Pairwise by default; ``ZERORET_PRODUCT=1`` runs every combination, and each of them bare as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from promise.calls import CHATS, Call
from promise.known import known
from promise.running import Run, run
from promise.stacks import COMPARED, PAIRWISE, PRODUCT, WSGI, Stack

EVERY: Final = os.environ.get("ZERORET_PRODUCT") == "1"
TOLD: Final = {"output.txt", "prompts.txt", "prompts.db", "child.txt"}
"""Surfaces on which every bare stack leaves content."""

CARRIED: Final = {
    *("prompt", "system prompt", "tool", "arguments", "tool result", "user", "metadata", "model"),
    *("key", "query", "query key", "path", "header", "header name", "agent", "referer"),
    *("request id", "idempotency key", "forwarded for", "cookie", "file name"),
}
"""Fields that every bare app gives away."""


class Runs:
    """The runs of this session, three at a time; a stack's two runs get the same calls."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(3)
        self._runs: dict[tuple[Stack, bool], Future[Run]] = {}
        self._calls: dict[Stack, dict[str, Call]] = {}

    def start(self, stack: Stack, *, bare: bool) -> None:
        """Have *stack* run, once."""
        if (stack, bare) in self._runs:
            return
        place = self._folder / f"{len(self._runs)}-{'bare' if bare else 'wrapped'}"
        calls = self._calls.setdefault(stack, Call.all())
        self._runs[stack, bare] = self._pool.submit(
            run, stack, calls, place, bare=bare, thorough=EVERY
        )

    def get(self, stack: Stack, *, bare: bool) -> Run:
        """Return the run of *stack* when it is done."""
        return self._runs[stack, bare].result()

    def stop(self) -> None:
        """Begin no further run, and wait for those that have begun."""
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    """Give the runs that the tests of this session need: they have been started."""
    all_runs = Runs(tmp_path_factory.mktemp("promise"))
    for item in request.session.items:
        stack = getattr(item, "callspec", None) and item.callspec.params.get("stack")  # type: ignore[attr-defined] # a test function's
        if not isinstance(stack, Stack) or any(item.iter_markers("skip")):
            continue
        all_runs.start(stack, bare=False)
        if item.name.startswith(("test_bare", "test_answers")):
            all_runs.start(stack, bare=True)
    yield all_runs
    all_runs.stop()


def over(stacks: tuple[Stack, ...]) -> pytest.MarkDecorator:
    """Parametrize by *stacks*, and by all of them where every one is asked for."""
    return pytest.mark.parametrize("stack", PRODUCT if EVERY else stacks, ids=str)


@over(PAIRWISE)
def test_nothing_is_found(stack: Stack, runs: Runs) -> None:
    """Success, 4xx, 5xx, invalid, timeout, hang-up, crash, upload, websocket: no canary anywhere.

    What is a known gap must be found, so that its entry goes when it is closed.
    """
    wrapped = runs.get(stack, bare=False)
    expected, gaps = known(stack, wrapped.leaks)
    assert wrapped.leaks == expected, f"searched {wrapped.folder}; known gaps: {gaps}"


@over(COMPARED)
def test_bare_stacks_leak(stack: Stack, runs: Runs) -> None:
    """Without zeroret the same calls to the same app leave content of every kind: this can fail."""
    bare = runs.get(stack, bare=True)
    assert bare.leaks.keys() >= {*TOLD, "analytics", "unlinked files"}, bare.folder
    # Litestar configures logging anew, and may take the app's own handlers off.
    assert stack.framework == "litestar" or {"app.log", "log.jsonl"} <= bare.leaks.keys()
    assert stack.attached == "loggers" or stack.attached in bare.leaks
    assert {place.partition(": ")[2] for place in bare.leaked} >= CARRIED
    told = {place.partition(": ")[0] for place in bare.leaked}
    assert told >= {*CHATS, "endless", "hold", "upload", "upload.boom"}
    assert not stack.talks or {"talk", "talk crash", "talk left"} <= told


@over(COMPARED)
def test_answers_are_the_same(stack: Stack, runs: Runs) -> None:
    """Status, headers and body of every answer are those of the bare app, byte for byte."""
    assert runs.get(stack, bare=False).answers == runs.get(stack, bare=True).answers


def test_every_pair_is_tried() -> None:
    """Each two things that can go together do so in one of the stacks that run by default."""
    for choose in ((0, 1), (0, 2), (1, 2)):
        possible = {tuple(stack[each] for each in choose) for stack in PRODUCT}
        assert possible == {tuple(stack[each] for each in choose) for stack in PAIRWISE}
    assert {stack.framework for stack in COMPARED} == {stack.framework for stack in PRODUCT}
    assert {stack.server for stack in COMPARED} == {stack.server for stack in PRODUCT}
    assert set(WSGI) < {stack.framework for stack in COMPARED}
