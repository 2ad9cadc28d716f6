# ruff: noqa: T201, T203 - printing is what is tested
"""The guard of standard output and error: whatever way a program prints, no word of content."""

from __future__ import annotations

import builtins
import codecs
import contextlib
import functools
import http.server
import io
import logging
import os
import pprint
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager

import click
import pytest
import rich.console
import tqdm  # type: ignore[import-untyped] # no stubs

from zeroret.content.boundary import Boundary
from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.content.live import LIVE
from zeroret.guards import tally, violations

Printed = Callable[[], str]
Exchange = Callable[[str], AbstractContextManager[Flight]]


class Held:
    """What a program took before any guard was there."""

    def __init__(self) -> None:
        self.print = builtins.print
        self.write = sys.stdout.write
        self.lines = sys.stderr.writelines
        self.stream = sys.stdout
        self.handler = logging.StreamHandler(sys.stdout)
        self.os_write = os.write


class Evil:
    """Shows what it holds however it is asked."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


class Printing(logging.Handler):
    """A handler that prints what it was not given."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the text beside the record."""
        print(self.text, self.format(record))


def handling(text: str) -> None:
    """Log a constant through a handler that prints the content."""
    handler = Printing()
    handler.text = text
    own = logging.Logger("tests.guards.stdio")  # noqa: LOG001 - it lives as long as the test
    own.addHandler(handler)
    own.warning("hello")


def failing(text: str) -> None:
    """Print an error in every way that `traceback` has."""
    try:
        try:
            raise KeyError(text)
        except KeyError as cause:
            error = type(text[:30], (ValueError,), {})(text)
            error.add_note(text)
            raise ExceptionGroup(text, [error]) from cause
    except ExceptionGroup as error:
        traceback.print_exc()
        traceback.print_exception(error, file=sys.stdout)
        traceback.print_exception(type(error), error, error.__traceback__, None, sys.stdout)
        traceback.print_tb(error.__traceback__, file=sys.stdout)
        traceback.TracebackException.from_exception(error, capture_locals=True).print()
        print(traceback.format_exc())
        print("failed:", error, repr(error))
        sys.stderr.write(f"{error}\n{text}\n")


def access_line(text: str) -> None:
    """Have the standard library's server log a request line."""
    handler = http.server.BaseHTTPRequestHandler.__new__(http.server.BaseHTTPRequestHandler)
    handler.client_address = ("192.0.2.7", 4711)
    handler.log_message('"%s" %s', text, "200")


def redirected(text: str) -> None:
    """Print into the other stream."""
    with contextlib.redirect_stdout(sys.stderr):
        print(text)


def rewrapped(text: str) -> None:
    """Write through streams of one's own on the guarded buffer."""
    codecs.getwriter("utf-8")(sys.stdout.buffer).write(text)
    own = io.TextIOWrapper(sys.stdout.buffer, "utf-8")
    own.write(text)
    own.flush()
    own.detach()


def raw(text: str) -> None:
    """Write below the text."""
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.writelines([bytearray(text.encode()), memoryview(text.encode())])
    sys.stdout.buffer.write(text.encode("utf-16"))
    sys.stdout.flush()


WAYS: dict[str, Callable[[str], object]] = {
    "print": print,
    "two values": lambda text: print("a constant", text, 3, text),
    "separator": lambda text: print("one", "two", sep=text, end=text),
    "f-string": lambda text: print(f"asked {text} and {text!r:>99}"),
    "object": lambda text: print(Evil(text), [text], {text: 1}, text.encode()),
    "class": lambda text: print(type(text, (), {})),
    "to stderr": lambda text: print(text, file=sys.stderr, flush=True),
    "write": lambda text: sys.stderr.write(text[:30]),
    "write a line": lambda text: sys.stderr.write(text + "\n"),
    "writelines": lambda text: sys.stdout.writelines([text, f"{text}\n"]),
    "bytes": raw,
    "original stream": lambda text: sys.__stdout__.write(text[:50]),  # type: ignore[union-attr] # it is there
    "original error": lambda text: print(text, file=sys.__stderr__),
    "unbound": lambda text: io.TextIOWrapper.write(sys.stdout, text),  # type: ignore[arg-type] # it is one
    "partial": lambda text: functools.partial(print, text, end="")(),
    "number of a text": lambda text: print(int.from_bytes(text.encode())),
    "pprint": lambda text: pprint.pprint({"a": [text]}),
    "errors": failing,
    "click": lambda text: click.echo(text, err=True),
    "rich": lambda text: rich.console.Console().print(text, {"a": text}),
    "tqdm": lambda text: tqdm.tqdm.write(text, file=sys.stderr),
    "handler": handling,
    "access line": access_line,
    "redirected": redirected,
    "rewrapped": rewrapped,
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_to_print_a_prompt_shows_a_word_of_it(
    way: str, running: Flight, content: str, printed: Printed
) -> None:
    """Whatever the call, something is written, no word of the prompt, and it is counted."""
    before = tally.snapshot().get("stdio.withheld", 0)
    WAYS[way](content)
    sys.stdout.flush()
    text = printed()
    assert text.strip()
    assert not any(word in text for word in content.split())
    assert tally.snapshot()["stdio.withheld"] > before


HELD: dict[str, Callable[[Held, str], object]] = {
    "print": lambda held, text: held.print(text),
    "write": lambda held, text: held.write(text + "\n"),
    "writelines": lambda held, text: held.lines([text]),
    "stream": lambda held, text: held.stream.write(text),
    "buffer": lambda held, text: held.stream.buffer.write(text.encode()),
    "handler": lambda held, text: held.handler.stream.write(text),
}


@pytest.mark.parametrize("way", HELD)
def test_references_from_before_the_guard_are_guarded(
    way: str, content: str, printed: Printed, exchange: Exchange
) -> None:
    """What a program, a logger or a default argument took before the start is no way around."""
    held = Held()
    with exchange(content):
        HELD[way](held, content)
        sys.stdout.flush()
    text = printed()
    assert "withheld" in text
    assert not any(word in text for word in content.split())


def test_ordinary_prints_stay_readable(running: Flight, printed: Printed) -> None:
    """Constants, numbers and templates of a server are shown as they are."""
    started, ms, tokens = True, 12.34, 421
    print("starting worker", 3)
    print("ready:", started, None, ms, sep=" | ", end=".\n")
    print(f"took {ms:.1f} ms")
    print("%d tokens" % tokens)  # noqa: UP031 - the template
    print("model", "gpt-test-1", "POST", ValueError)
    sys.stdout.write("a constant line\n")
    sys.stderr.write(f"counted {tokens} tokens\n")
    sys.stdout.writelines(["one\n", "two\n"])
    sys.stdout.buffer.write(b"a bytes literal\n")
    sys.stdout.flush()
    pprint.pprint(7)
    assert printed() == textwrap.dedent("""\
        starting worker 3
        ready: | True | None | 12.34.
        took {…} ms
        {…} tokens
        model gpt-test-1 POST ValueError
        a constant line
        one
        two
        a bytes literal
        7
        counted {…} tokens
        """)


def test_a_marker_says_how_much_and_where(running: Flight, content: str, printed: Printed) -> None:
    """Length and place stand in it, line ends stay, and a line's other pieces are shown."""
    print("asked", content, 3)
    sys.stdout.write(content + "\n")
    sys.stdout.write(content + "\n")
    one, two, three = printed().splitlines()
    place = "test_stdio.py:"
    assert one.startswith(f"asked [withheld {len(content)} chars {place}")
    assert one.endswith("] 3")
    assert two.startswith(f"[withheld {len(content) + 1} chars {place}")
    assert three.startswith(f"[withheld {len(content) + 1} chars {place}")


def test_an_answer_printed_token_by_token_is_one_marker_a_line(
    running: Flight, content: str, printed: Printed
) -> None:
    """Not one for each token, and nothing of any of them."""
    for token in content.split():
        print(token, end="", flush=True)
        print(" ", end="")
    print()
    for letter in content:
        sys.stdout.write(letter)
    sys.stdout.write("\n")
    print("done")
    one, two, three = printed().splitlines()
    assert one.count("withheld") == 1
    assert two.count("withheld") == 1
    assert three == "done"


def test_matching_shows_what_is_no_content(
    matching: Flight, content: str, printed: Printed
) -> None:
    """Values and f-strings are whole in match mode, but for errors."""
    print("user", "someone", f"has {[1, 2]}", {"a": 1}, sep="-")
    print("failed:", ValueError("anything"))
    print(f"asked: {content}!")
    assert printed() == (
        "user-someone-has [1, 2]-{'a': 1}\nfailed: [withheld ValueError]\n"
        f"asked: [withheld {len(content)} chars]!\n"
    )


def test_text_of_no_exchange_is_matched(background: Flight, content: str, printed: Printed) -> None:
    """A thread that no exchange started prints freely, but no content that is in flight."""
    name = content[:3]

    def work() -> None:
        print("batch", name, 3)
        print("got", content)
        for token in content.split():
            print(token, end=" ")
        print()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    one, two, three = printed().splitlines()
    assert one == f"batch {name} 3"
    assert two == f"got [withheld {len(content)} chars]"
    assert not any(content[at : at + 22] in three for at in range(len(content) - 21))


def test_report_mode_counts_and_shows(running: Flight, content: str, printed: Printed) -> None:
    """Nothing is changed, whatever is counted."""
    running.enforce = False
    before = violations.VIOLATIONS.counts().get("stdio.reported", 0)
    print("asked", content, sep=": ", end="!\n")
    sys.stdout.write(content)
    sys.stdout.buffer.write(content.encode())
    pprint.pprint(content, width=300)
    os.write(2, content.encode())
    with contextlib.suppress(ValueError):
        try:
            raise ValueError(content)
        except ValueError:
            traceback.print_exc()
            raise
    text = printed()
    assert f"asked: {content}!\n{content}{content}'{content}'" in text
    assert text.count(content) == 6
    assert violations.VIOLATIONS.counts()["stdio.reported"] > before


def test_without_a_log_guard_streams_are_left_alone(
    running: Flight, content: str, printed: Printed
) -> None:
    """``log_guard="none"`` is for all text."""
    running.log_guard = "none"
    before = tally.snapshot()
    print(content, file=sys.stderr)
    print(content)
    assert printed() == f"{content}\n{content}\n"
    assert tally.snapshot() == before


@pytest.mark.usefixtures("streams_guarded")
def test_with_nothing_in_flight_everything_passes(content: str, printed: Printed) -> None:
    """A program that serves nobody prints as ever."""
    print(content, [1], sep="-", end="")
    sys.stdout.write(content)
    os.write(1, content.encode())
    assert printed() == f"{content}-[1]{content}{content}"


def test_memory_is_no_way_out(running: Flight, content: str) -> None:
    """What a program captures for itself, such as a tool's output, is whole."""
    with contextlib.redirect_stdout(io.StringIO()) as captured:
        print(content)
        sys.stdout.write(content)
    assert captured.getvalue() == f"{content}\n{content}"


def test_what_is_guarded_by_the_log_guard_is_not_judged_again(
    running: Flight, content: str, printed: Printed
) -> None:
    """Handlers write the guarded record whole, whichever stream they took, and however."""
    own = logging.Logger("tests.guards.stdio")  # noqa: LOG001 - it lives as long as the test
    form = logging.Formatter("%(levelname)s %(message)s")

    class Writing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sys.stdout.write("line: " + self.format(record) + "\n")
            print(self.format(record))

    for handler in (logging.StreamHandler(sys.stdout), Writing()):
        handler.setFormatter(form)
        own.addHandler(handler)
    own.warning("took %d ms for %s", 3, content)
    lines = printed().splitlines()
    text = "WARNING took 3 ms for [withheld"
    assert lines[0].startswith(text)
    assert lines[1] == "line: " + lines[0]
    assert lines[2] == lines[0]


def test_a_violation_names_the_place(running: Flight, content: str) -> None:
    """The operator finds the line that printed, and each place is told once in a while."""
    told: list[violations.Violation] = []
    running.boundary = Boundary(on_violation=told.append)
    violations.VIOLATIONS.renew()
    for _ in range(3):
        print(content)
    print("a constant", 3, f"took {1.5:.1f} ms")
    assert [(each.kind, each.action) for each in told] == [("stdio", "withheld")]
    assert told[0].place.startswith("test_stdio.py:")
    assert violations.VIOLATIONS.counts() == {"stdio.withheld": 3}


def test_a_servers_thread_counts_as_the_exchanges_for_a_while(
    running: Flight, content: str, printed: Printed
) -> None:
    """What a server writes to standard error about a request that has just ended is strict."""
    token = CURRENT.set(None)
    LAST.set(running)
    running.ended = running.started = time.perf_counter()
    LIVE.leave(running, 0)
    access_line(content)
    running.ended -= 10
    print(content)
    CURRENT.reset(token)
    LIVE.enter(running)
    assert printed().count(content) == 1
