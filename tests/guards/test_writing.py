# ruff: noqa: T201, T203 - printing is what is tested
"""Writing: pieces of any size, and what is shown when the guard itself breaks."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pprint
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zeroret.content.boundary import Boundary
from zeroret.content.flight import Flight
from zeroret.guards import owner, records, streams, tally, templates, violations, writing
from zeroret.guards.records import GUARD_ERROR

Printed = Callable[[], str]
Exchange = Callable[[str], AbstractContextManager[Flight]]


@pytest.mark.parametrize("way", ["print", "write", "bytes"])
@pytest.mark.parametrize("size", [1, 4, 15, 200])
def test_matching_finds_content_in_pieces_of_any_size(
    way: str, size: int, matching: Flight, content: str, printed: Printed
) -> None:
    """From sixteen characters on what was printed before it is matched, too."""
    for at in range(0, len(content), size):
        token = content[at : at + size]
        if way == "print":
            print(token, end="", flush=True)
        elif way == "write":
            sys.stdout.write(token)
        else:
            sys.stdout.buffer.write(token.encode())
    print("done with", 3, f"in {1.5:.1f} s")
    text = printed()
    assert "done with 3 in 1.5 s" in text
    assert not any(content[at : at + 16] in text for at in range(len(content) - 15))


@pytest.mark.parametrize("error", [MemoryError, RecursionError, ValueError, KeyError])
@pytest.mark.parametrize(
    "broken",
    [
        (writing.Writing, "text"),
        (writing.Writing, "data"),
        (writing.Writing, "value"),
        (records, "constant"),
        (templates, "site"),
        (violations, "culprit"),
        (streams, "_judged"),
        (owner, "here"),
        (writing, "owner_of_text"),
    ],
    ids=lambda each: each[1] if isinstance(each, tuple) else each.__name__,
)
def test_a_guard_that_fails_shows_nothing(
    broken: tuple[Any, str],
    error: type[Exception],
    content: str,
    printed: Printed,
    exchange: Exchange,
) -> None:
    """Whatever breaks inside, the program goes on, and no content is written."""

    def breaks(*args: Any, **options: Any) -> Any:
        raise error(content)

    with exchange(content), pytest.MonkeyPatch.context() as patched:
        patched.setattr(*broken, breaks)
        print_all(content)
    text = printed()
    assert "withheld" in text
    assert not any(word in text for word in content.split())


def print_all(content: str) -> None:
    """Print in one way for each seam of the guard."""
    print(content, [content], f"asked {content}")
    sys.stdout.write(content + "\n")
    sys.stdout.buffer.write(content.encode())
    os.write(1, content.encode())
    pprint.pprint([content])
    try:
        raise ValueError(content)
    except ValueError:
        traceback.print_exc()
    sys.stdout.flush()


def test_a_failure_is_counted_and_said(content: str, printed: Printed, exchange: Exchange) -> None:
    """The text says so in place of what it would have said."""

    def breaks(*args: Any) -> Any:
        raise RuntimeError(content)

    before = tally.snapshot().get("stdio.failed", 0)
    with exchange(content), pytest.MonkeyPatch.context() as patched:
        patched.setattr(writing.Writing, "text", breaks)
        print(content)
        sys.stdout.write(content)
    assert printed() == f"{GUARD_ERROR}\n{GUARD_ERROR}"
    assert tally.snapshot()["stdio.failed"] == before + 2


def test_printing_inside_of_printing_ends(
    matching: Flight, content: str, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `__str__` that prints, a stream that logs, a callback that prints: each is guarded."""

    class Chatty:
        def __str__(self) -> str:
            print("said", content)
            return content

    class Logging(io.StringIO):
        def write(self, text: str) -> int:
            logging.getLogger("tests.guards.output").info("writing %s", text)
            return stream.write(text)

    def told(violation: violations.Violation) -> None:
        print("violation", violation.kind, content)

    stream = sys.stdout
    print(Chatty(), 3)
    matching.log_guard = "strict"
    matching.boundary = Boundary(on_violation=told)
    violations.VIOLATIONS.renew()
    monkeypatch.setattr(sys, "stdout", Logging())
    print("through a stream that logs", content)
    monkeypatch.undo()
    text = printed()
    assert "said [withheld" in text
    assert "through a stream that logs [withheld" in text
    assert "violation stdio [withheld" in text
    assert not any(word in text for word in content.split())


@given(text=st.text(max_size=200), pieces=st.lists(st.integers(1, 40), max_size=10))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_strictly_no_text_of_no_source_is_shown(
    text: str, pieces: list[int], running: Flight
) -> None:
    """Whatever the text and its pieces: markers, blanks and single marks of punctuation."""
    below = io.BytesIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(below, "utf-8", "surrogateescape")):
        at = 0
        for size in pieces:
            print(made(text[at : at + size]), end=made("\n"))
            sys.stdout.write(made(text[at:]))
            at += size
        print(made(text), {made(text)}, sep=made(text))
        sys.stdout.flush()
    shown = re.sub(rb"\[withheld [^\]]*\]", b"", below.getvalue()).decode()
    assert not re.search(r"\w", shown.replace("_", ""))


def made(text: str) -> str:
    """Return an equal text that is no constant."""
    return "".join(list(text))
