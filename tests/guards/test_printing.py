# ruff: noqa: T201, T203 - printing is what is tested
"""Printing: `print`, `pprint` and `traceback` know values, errors and objects, not only text."""

from __future__ import annotations

import enum
import inspect
import io
import pprint
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import zeroret
from zeroret.content.flight import Flight

Printed = Callable[[], str]


class Colour(enum.Enum):
    """A closed set whose members show more than their names."""

    RED = 1

    def __str__(self) -> str:
        return "anything"


def test_values_are_judged_one_by_one(running: Flight, content: str, printed: Printed) -> None:
    """Numbers within bounds, names of members and classes, what the server vouches for."""
    print(2**60, 2**40, -1.5, True, None)
    print(Colour.RED, ValueError, zeroret.server_made("job-17"), str(3))
    print(*range(10))
    print(content[:3], 4111)
    one, two, three, four = (line.split(" ") for line in printed().splitlines())
    assert one[:2] == ["[withheld", "int"]
    assert one[3:] == [str(2**40), "-1.5", "True", "None"]
    assert two[:3] == ["RED", "ValueError", "job-17"]
    assert two[3] == "[withheld"
    assert three[:8] == [str(number) for number in range(8)]
    assert three[8] == "[withheld"
    assert (four[0], four[-1]) == ("[withheld", "4111")


def test_print_looks_like_print(streams_guarded: None) -> None:
    """Its name, its documentation and its signature are those of the original."""
    assert print.__name__ == "print"
    assert "file" in inspect.signature(print).parameters
    assert print.__doc__


def test_a_file_of_the_programs_own_is_not_the_output(running: Flight, content: str) -> None:
    """What is printed elsewhere is for other guards."""
    own = io.BytesIO()
    stream = io.TextIOWrapper(own, "utf-8")
    print(content, file=stream, flush=True)
    assert own.getvalue().decode() == f"{content}\n"


def test_flush_and_end_work(running: Flight, content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for a line of which nothing is shown."""
    flushed: list[int] = []

    class Counting(io.BytesIO):
        def flush(self) -> None:
            flushed.append(1)

    below = Counting()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(below, "utf-8"))
    flushed.clear()
    for _ in range(3):
        print(content, end="", flush=True)
    monkeypatch.undo()
    assert len(flushed) == 3
    assert below.getvalue().count(b"withheld") == 1


def test_errors_are_described(running: Flight, content: str, printed: Printed) -> None:
    """A traceback has its places and classes, however it comes to be printed."""
    try:
        raise ValueError(content)
    except ValueError as error:
        traceback.print_exc(limit=1)
        traceback.print_exception(error, chain=False, file=sys.stdout)
        traceback.print_tb(error.__traceback__)
        print(traceback.format_exc())
        sys.stderr.write(traceback.format_exc())
        print("failed:", error)
    text = printed()
    assert text.count("Traceback (most recent call last):\n") == 4
    assert text.count("ValueError: [withheld]\n") == 4
    assert text.count("in test_errors_are_described\n    raise ValueError(content)\n") == 5
    assert "failed: [withheld ValueError test_printing.py:" in text
    assert not any(word in text for word in content.split())


def test_a_stack_is_printed_without_ours(running: Flight, printed: Printed) -> None:
    """It ends with the line that asks for it."""
    traceback.print_stack()
    traceback.print_stack(sys._getframe())
    lines = printed().splitlines()
    assert lines[-1] == "    traceback.print_stack(sys._getframe())"
    assert "    traceback.print_stack()" in lines
    assert "zeroret" not in "".join(line for line in lines if "File" in line and "guards/p" in line)


@pytest.mark.usefixtures("streams_guarded")
def test_with_nothing_in_flight_they_are_as_ever(content: str, printed: Printed) -> None:
    """Stacks, errors and objects are printed whole."""
    traceback.print_stack()
    try:
        raise ValueError(content)
    except ValueError as error:
        traceback.print_exc()
        traceback.print_tb(error.__traceback__)
    pprint.pprint({"a": content}, width=300)
    text = printed()
    assert text.count(content) == 2
    assert "    traceback.print_stack()\n" in text


def test_objects_are_judged_whole(running: Flight, content: str, printed: Printed) -> None:
    """`pprint` writes an object piece by piece: it is one marker."""
    pprint.pprint({"a": [content] * 20})
    pprint.PrettyPrinter(stream=sys.stderr).pprint([content])
    pprint.pprint(3)
    own = io.StringIO()
    pprint.pprint([content], stream=own, width=200)
    text = printed()
    assert text.count("[withheld dict test_printing.py:") == 1
    assert text.count("[withheld list test_printing.py:") == 1
    assert text.count("withheld") == 2
    assert "\n3\n" in text
    assert own.getvalue() == f"['{content}']\n"


@pytest.mark.parametrize("hostile", ["__class__", "__len__", "__eq__", "__hash__", "__repr__"])
def test_no_code_of_an_object_runs(hostile: str, running: Flight, printed: Printed) -> None:
    """In strict mode nothing of it is asked, not even what it is."""

    def refuse(*args: Any) -> Any:
        raise AssertionError(hostile)

    made = refuse if hostile != "__class__" else property(refuse)
    thing = type("Hostile", (), {hostile: made, "__str__": refuse, "__format__": refuse})()
    print(thing)
    assert printed().startswith("[withheld")
