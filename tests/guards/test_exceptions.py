"""Stand-ins: everything of an exception but its class and its places is gone."""

from __future__ import annotations

import abc
import asyncio
import gc
import traceback
from typing import Any, Self

import pydantic
import pytest

from zeroret.guards.exceptions import StandIn, clear, describe, error_type, stand_in


class NeedyError(Exception):
    """Demands arguments and keeps them."""

    def __init__(self, message: str, *, body: object) -> None:
        super().__init__(message)
        self.body = body

    def __str__(self) -> str:
        return f"{self.body}"


class SlottedError(ValueError):
    """Keeps what it is given in slots."""

    __slots__ = ("body",)


class RefusingError(Exception):
    """Refuses to be made or derived from."""

    def __new__(cls, *_: object) -> Self:
        """Refuse."""
        raise RuntimeError("never")

    def __init_subclass__(cls, **_: object) -> None:
        raise RuntimeError("never")


class Meta(type):
    """A metaclass with a will of its own."""

    def __call__(cls, *_: object) -> Any:
        """Refuse."""
        raise RuntimeError("never")


class StrangeError(Exception, metaclass=Meta):
    """Has a metaclass."""


class PosingError(Exception):
    """Answers for its own traceback."""

    @property
    def __traceback__(self) -> Any:  # type: ignore[override] # hostile on purpose
        """Fail."""
        raise RuntimeError("never")


class Mixin:
    """Brings attributes to whatever it is mixed into."""


class MixedError(Mixin, ValueError):
    """Has more than one base."""


class AbstractError(Exception, abc.ABC):
    """Has the metaclass that the standard library brings."""


class Many(ExceptionGroup[Exception]):
    """A group of one's own that rebuilds itself in its own way."""

    def derive(self, excs: Any) -> Any:
        """Fail where an attribute of the original is missing."""
        return Many(self.extra, excs)  # type: ignore[attr-defined] # lost on purpose


def raised(error: BaseException) -> BaseException:
    """Return *error* with a traceback, a cause, a context and a note."""
    try:
        try:
            raise KeyError(str(error))
        except KeyError as cause:
            error.add_note(str(error))
            raise error from cause
    except BaseException as caught:  # noqa: BLE001 - of every kind
        return caught


def everything(error: BaseException) -> str:
    """Return all that a tracker could find out about an exception."""
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)]
    members = [everything(each) for each in getattr(error, "exceptions", ())]
    notes = getattr(error, "__notes__", None)
    return "\n".join(
        (
            *(str(error), repr(error), str(error.args), str(getattr(error, "__dict__", {}))),
            *("".join(traceback.format_exception(error)), str(frames), str(notes), *members),
            *(type(error).__name__, type(error).__qualname__, type(error).__module__),
        )
    )


def made(content: str) -> list[BaseException]:
    """Return exceptions of every awkward kind, each holding *content*."""
    slotted = SlottedError(content)
    slotted.body = content  # type: ignore[attr-defined] # its slot
    strange = BaseException.__new__(StrangeError, content)
    refusing = BaseException.__new__(RefusingError, content)
    try:
        pydantic.TypeAdapter(int).validate_python(content)
    except pydantic.ValidationError as error:
        invalid = error
    return [
        *(
            ValueError(content),
            NeedyError(content, body=content),
            slotted,
            strange,
            refusing,
            invalid,
        ),
        UnicodeDecodeError("utf-8", content.encode(), 0, 1, content),
        *(OSError(999, content, content), FileNotFoundError(2, content), KeyError(content)),
        *(StopIteration(content), ImportError(content, name=content, path=content)),
        *(
            PosingError(content),
            MixedError(content),
            AbstractError(content),
            SyntaxError(content),
            type(content, (ValueError,), {})(content),
        ),
        type(content, (Exception,), {"__module__": content})(content),
        ExceptionGroup(content, [ValueError(content), ExceptionGroup(content, [OSError(content)])]),
        Many(content, [KeyError(content)]),
    ]


def test_nothing_of_any_exception_remains(content: str) -> None:
    """Whatever its kind: no text, argument, attribute, note, cause, local or class name."""
    for error in made(content):
        substitute = stand_in(raised(error))
        assert content not in everything(substitute), type(error)
        assert substitute.__cause__ is None
        assert substitute.__context__ is None
        assert substitute.__suppress_context__
        assert not hasattr(substitute, "__notes__")
        assert content not in describe(error)


def test_the_class_is_kept_where_it_can_be(content: str) -> None:
    """`isinstance`, name and module hold for ordinary classes; others become a plain stand-in."""
    for kind in (
        ValueError,
        NeedyError,
        SlottedError,
        MixedError,
        OSError,
        FileNotFoundError,
        UnicodeDecodeError,
    ):
        error = next(each for each in made(content) if type(each) is kind)
        substitute = stand_in(raised(error))
        assert isinstance(substitute, kind)
        assert type(substitute).__name__ == kind.__name__
        assert type(substitute).__module__ == kind.__module__
        assert type(substitute) is type(stand_in(error))
    plain: tuple[type, ...] = (RefusingError, PosingError, StrangeError, pydantic.ValidationError)
    for cls in plain:
        refusing = next(each for each in made(content) if type(each) is cls)
        assert type(stand_in(raised(refusing))) is StandIn
    nameless = type(content, (ValueError,), {})("x")
    assert isinstance(stand_in(nameless), ValueError)
    assert type(stand_in(nameless)).__name__ == "ValueError"


def test_groups_are_rebuilt(content: str) -> None:
    """`except*` finds the members' classes, and they are stand-ins."""
    caught: list[BaseException] = []
    for each in made(content)[-2:]:
        try:
            raise stand_in(raised(each))
        except* ValueError as group:
            caught += group.exceptions
        except* (OSError, KeyError) as group:
            caught.append(group)
    assert len(caught) == 3
    texts = [*map(str, caught), *map(repr, caught), *(str(each.args) for each in caught)]
    assert content not in "".join(texts)


def test_exits_and_cancellations_are_returned_as_they_are() -> None:
    """What is no `Exception` is nobody's to replace."""
    for kind in (asyncio.CancelledError, SystemExit, KeyboardInterrupt, GeneratorExit):
        error = kind("x")
        assert stand_in(error) is error


def test_the_traceback_leads_to_the_bug(content: str) -> None:
    """Places and source lines of the frames stand in the stand-in's traceback."""
    substitute = stand_in(raised(ValueError(content)))
    text = "".join(traceback.format_exception(substitute))
    line = raised.__code__.co_firstlineno + 7
    assert f'File "{__file__}", line {line}, in raised\n    raise error from cause\n' in text
    assert f"test_exceptions.py:{line} in raised, text withheld" in text


def test_the_traceback_leads_nowhere_else(content: str) -> None:
    """From a stand-in no frame that ran can be reached, so it keeps nothing alive."""
    substitute = stand_in(raised(ValueError(content)))
    for frame, _ in traceback.walk_tb(substitute.__traceback__):
        assert frame.f_back is None
        assert not frame.f_locals
        assert set(frame.f_globals) <= {"__name__", "__builtins__"}


def test_clear_empties_locals_over_chain_and_groups(content: str) -> None:
    """After `clear` the exception's frames hold no value of the app's."""

    class Held:
        pass

    def fails() -> None:
        held = Held()
        raise ValueError(held.__class__)

    try:
        try:
            fails()
        except ValueError as error:
            raise ExceptionGroup("x", [error])  # noqa: B904 - the implicit context is wanted
    except ExceptionGroup as group:
        clear(group)
        gc.collect()
        assert not [each for each in gc.get_objects() if type(each) is Held]


def test_long_and_circular_things_are_bounded() -> None:
    """Deep recursion, circular chains and deep groups are described, and soon."""

    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        raise ValueError(left)

    try:
        deep(500)
    except ValueError as error:
        text = describe(error)
        frames = list(traceback.walk_tb(stand_in(error).__traceback__))
    assert "more frames]" in text
    assert len(frames) == 64
    one, other = ValueError(), KeyError()
    one.__context__, other.__context__ = other, one
    assert describe(one).count("[withheld]") == 2
    nested: Exception = ValueError()
    for _ in range(200):
        nested = ExceptionGroup("x", [nested])
    assert isinstance(stand_in(nested), ExceptionGroup)
    assert len(describe(nested).splitlines()) < 200


def test_error_type_names_only_classes_that_modules_hold(content: str) -> None:
    """A record's class name is one that a loaded module holds, or ``other``."""
    assert error_type(ValueError()) == "ValueError"
    assert error_type(NeedyError("x", body=1)) == "NeedyError"
    assert error_type(type(content, (Exception,), {})()) == "other"
    spoofed = type("ValueError", (Exception,), {"__module__": "builtins"})
    assert error_type(spoofed()) == "other"
    long = "E" * 65
    globals()[long] = type(long, (Exception,), {"__module__": __name__})
    assert error_type(globals().pop(long)()) == "other"


def test_chains_groups_and_notes_are_told_in_order(content: str) -> None:
    """A description shows what caused what, how groups nest, and how many notes there were."""
    text = describe(raised(ExceptionGroup(content, [ValueError(content)])))
    assert text.index("KeyError: [withheld]") < text.index("direct cause")
    assert "ExceptionGroup: [withheld] (1 notes withheld)" in text
    assert "  | ValueError: [withheld]" in text


@pytest.mark.parametrize("kind", [ValueError, NeedyError])
def test_a_stand_in_can_be_raised_again(kind: type[Exception], content: str) -> None:
    """Servers raise, catch and log it like any other exception."""
    error = next(each for each in made(content) if type(each) is kind)
    with pytest.raises(kind) as caught:
        raise stand_in(raised(error))
    assert content not in "".join(traceback.format_exception(caught.value))


def test_a_stand_in_still_leads_to_the_bug_when_it_is_logged(content: str) -> None:
    """What a server logs of a stand-in names file, line, function and source line of the bug."""
    text = describe(stand_in(raised(ValueError(content))))
    assert content not in text
    assert "[withheld]" not in text.partition("Traceback")[2].rpartition("\n")[0]
    assert "test_exceptions.py" in text
    assert "raise error" in text
