"""Templates: the literal text of messages, found in the source of the call."""

from __future__ import annotations

import ast
import sys
from types import FrameType
from typing import Any

import pytest

from zeroret.guards import source, templates


def fresh(text: str) -> str:
    """Return an equal text made at run time: a literal would be source, and shown."""
    return text[:1] + text[1:]


def here() -> FrameType:
    """Return the caller's frame."""
    return sys._getframe(1)


def spelled(expression: str) -> str | None:
    """Return the template that an expression spells."""
    found = templates.template(ast.parse(expression, mode="eval").body)
    return None if found is None else found.text


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("f'user {u} took {t:.2f} ms'", "user {…} took {…} ms"),
        ("f'{{{u}}}'", "{{…}}"),
        ("'100%% of %s at %5.2f' % x", "100% of {…} at {…}"),
        ("'a {} b {0!r:>5} {{}}'.format(x)", "a {…} b {…} {}"),
        ("'a ' + x + f' b {y}'", "a {…} b {…}"),
        ("f'{x}'", None),
        ("x + y", None),
        ("'plain'", None),
        ("x % y", None),
        ("'{'.format(x)", None),
    ],
)
def test_what_expressions_spell(expression: str, text: str | None) -> None:
    """Literal text stays, each value is a hole; what has no text or no value is no template."""
    assert spelled(expression) == text


def test_the_running_call_is_found() -> None:
    """Position and source lead to the call, over several lines and with non-ASCII text."""
    word = "x"
    found = templates.template_of("é x and x", wrap(f"é {word} and {word}"))
    assert found is None  # the frame of a call that is over runs another one

    def look(message: str) -> str | None:
        found = templates.template_of(message, here().f_back)
        return None if found is None else found.text

    assert look(f"é {word} and {word}") == "é {…} and {…}"
    assert look(f"é {word} over lines {word}") == "é {…} over lines {…}"


def wrap(message: str) -> FrameType | None:
    """Take a message and return the caller's frame."""
    assert message
    return here().f_back


def test_only_what_fits_the_message_is_used() -> None:
    """A template whose parts do not stand in the message, in order, is not its template."""
    template = templates.Template(("a ", " b ", " c"), "")
    assert template.fits("a 1 b 2 c")
    assert not template.fits("a 1 b")
    assert not template.fits("x a 1 b 2 c")
    assert not template.fits("a  b c")


def test_code_that_stands_in_no_file_is_no_source() -> None:
    """`exec`ed code, also under a module's file name and in its namespace, vouches for nothing."""
    namespaces: list[dict[str, Any]] = [{"__name__": __name__, "here": here}, globals()]
    for namespace in namespaces:
        exec(compile("def made():\n return here(), 'made up text'", __file__, "exec"), namespace)  # noqa: S102 - the case
        frame, text = namespace["made"]()
        assert not source.is_source(frame.f_code, frame.f_globals)
        assert not source.is_constant(text, frame)
        assert source.place(frame) == ""
    del globals()["made"]
    assert source.is_source(here().f_code, here().f_globals)
    assert source.is_constant("a literal of this very function", here())


GREETING = "a greeting that the source assigns"


def test_globals_count_if_the_source_assigns_them() -> None:
    """A global that is a literal of the module counts; one made at run time does not."""
    assert source.is_global_constant(GREETING, here())
    globals()["made_later"] = fresh("made later")
    assert not source.is_global_constant(globals().pop("made_later"), here())
