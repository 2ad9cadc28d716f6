"""Sealed values: whatever shows, dumps, copies or validates them, content stays inside."""

from __future__ import annotations

import copy
import dataclasses
import functools
import gc
import inspect
import io
import json
import logging
import marshal
import pickle
import pprint
import reprlib
import secrets
import subprocess
import sys
import traceback
import weakref
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import attrs
import msgspec
import pytest
import rich
import rich.pretty
from fastapi import Body, FastAPI, Form, Header, Query
from fastapi.encoders import jsonable_encoder
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError
from rich.console import Console
from typing_extensions import TypedDict

import zeroret
from zeroret.content.sealed import MARKER, Sealed

SECRET = "the secret words of a client"


@dataclasses.dataclass
class Plain:
    """A dataclass with a sealed field."""

    text: Sealed[str]


@attrs.define
class Attrs:
    """An attrs class with a sealed field."""

    text: Sealed[str]


class Struct(msgspec.Struct):
    """A msgspec struct with a sealed field."""

    text: Any


class Part(BaseModel):
    """A part of a message."""

    text: str = Field(validation_alias=AliasChoices("t", "text"))


class Message(BaseModel):
    """A message that takes no other keys."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["user", "assistant"]
    content: str | list[Part] = Field(alias="body")

    @field_validator("role")
    @classmethod
    def check(cls, role: str, info: ValidationInfo) -> str:
        """Refuse one role with a text that quotes what was sent."""
        if role == "assistant":
            raise ValueError(f"no {role} here: {info.data} {SECRET}")
        return role


class Whole(BaseModel):
    """One of two kinds."""

    kind: Literal["whole"]
    number: int


class Other(BaseModel):
    """The other of two kinds."""

    kind: Literal["other"]
    key: UUID


class Typed(TypedDict):
    """A dict with known keys."""

    number: int


def _custom(value: str) -> str:
    raise PydanticCustomError("own_kind", "no {value}", {"value": value})


class Order(BaseModel):
    """A request model with sealed fields of every kind."""

    prompt: Sealed[Annotated[str, Field(max_length=40)]]
    maybe: Sealed[str] | None = None
    each: list[Sealed[str]] = []
    messages: Sealed[list[Message]] = Sealed([])
    kind: Sealed[Annotated[Whole | Other, Field(discriminator="kind")]] | None = None
    day: Sealed[date] | None = None
    typed: Sealed[Typed] | None = None
    counts: Sealed[dict[str, int]] | None = None
    plain: Sealed[Plain] | None = None
    anything: Sealed[Any] | None = None


def show_rich(value: object) -> str:
    """Return what rich shows of *value*, private attributes, values and all."""
    console = Console(record=True, width=200, file=io.StringIO())
    rich.inspect(value, console=console, all=True, private=True, dunder=True, value=True)
    console.print(rich.pretty.Pretty(value))
    return console.export_text()


def show_locals(value: object) -> str:
    """Return a traceback with the values of all locals."""
    held = [value, {"key": value}]
    try:
        raise ValueError(held)
    except ValueError as error:
        return "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )


def show_log(value: object) -> str:
    """Return a log record, formatted, and all its attributes."""
    record = logging.LogRecord("a", 20, "a.py", 1, "got %s and %r", (value, value), None)
    return record.getMessage() + repr(vars(record))


def _schema_with_default(value: Sealed[str]) -> str:
    class Model(BaseModel):
        prompt: Sealed[str] = Field(default=value, examples=["one of the source"])

    return json.dumps([Model.model_json_schema(), Model.model_json_schema(mode="serialization")])


SHOWN: dict[str, Callable[[Any], object]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": lambda value: format(value, ">40") + f"{value!s:.3} {value:s} {value:d}",
    "%": lambda value: "%s %r %a %40s" % (value, value, value, value),  # noqa: UP031 - what is tried
    "str.format": "{0} {0!r} {0:>9}".format,
    "containers": lambda value: f"{[value]} {(value,)} { {'a': value} }",
    "pprint": pprint.pformat,
    "reprlib": reprlib.repr,
    "json with default=str": lambda value: json.dumps({"a": value}, default=str),
    "json with default=repr": lambda value: json.dumps({"a": value}, default=repr),
    "dir": lambda value: [getattr(value, name) for name in dir(value) if name != "reveal"],
    "getmembers": inspect.getmembers,
    "getmembers_static": inspect.getmembers_static,
    "slots": lambda value: [getattr(value, name, None) for name in type(value).__slots__],
    "rich": show_rich,
    "locals": show_locals,
    "log": show_log,
    "dataclass": lambda value: (
        f"{Plain(value)} {dataclasses.asdict(Plain(value))} {dataclasses.astuple(Plain(value))}"
    ),
    "attrs": lambda value: (
        f"{Attrs(value)} {attrs.asdict(Attrs(value))} {attrs.astuple(Attrs(value))}"
    ),
    "msgspec": lambda value: f"{Struct(value)} {msgspec.structs.asdict(Struct(value))}",
    "msgspec with enc_hook": lambda value: msgspec.json.encode(value, enc_hook=str),
    "pydantic": lambda value: f"{Order(prompt=value)} {Order(prompt=value)!r}",
    "model_dump": lambda value: f"{Order(prompt=value, each=[value]).model_dump()}",
    "model_dump in JSON": lambda value: Order(prompt=value).model_dump(mode="json"),
    "model_dump_json": lambda value: Order(prompt=value).model_dump_json(),
    "model_construct": lambda value: Order.model_construct(prompt=value.reveal()).model_dump_json(),
    "jsonable_encoder": lambda value: jsonable_encoder(Order(prompt=value)),
    "schema": _schema_with_default,
    "copies": lambda value: f"{copy.copy(value)} {copy.deepcopy([value])}",
    "weakref": lambda value: repr(weakref.ref(value)),
    "exception": lambda value: repr(ValueError(value)) + str(KeyError(value)),
}

REFUSED: dict[str, Callable[[Any], object]] = {
    "json": json.dumps,
    "json of a dict": lambda value: json.dumps({"a": [value]}),
    "json of a dump": lambda value: json.dumps(Order(prompt=value).model_dump()),
    "msgspec": msgspec.json.encode,
    "pickle": pickle.dumps,
    "old pickle": lambda value: pickle.dumps(value, 0),
    "pickle of a model": lambda value: pickle.dumps(Order(prompt=value)),
    "reduce": lambda value: value.__reduce__(),
    "state": lambda value: value.__getstate__(),
    "marshal": marshal.dumps,
    "vars": vars,
    "iter": list,
    "len": len,
    "index": lambda value: value[0],
    "in": lambda value: "secret" in value,
    "plus": lambda value: value + "x",
    "join": "".join,
    "bytes": bytes,
    "int": int,
    "%d": lambda value: "%d" % value,  # noqa: UP031 - what is tried
    "hash": hash,
    "cache": functools.cache(lambda _: None),
    "order": lambda value: value < value,  # noqa: PLR0124 - what is tried
}


def seal() -> tuple[str, Sealed[str]]:
    """Return words that stand nowhere in the source, and the same sealed."""
    words = " ".join(secrets.token_hex(4) for _ in range(3))
    return words, Sealed(words)


@pytest.mark.parametrize("way", SHOWN)
def test_nothing_shows_through(way: str) -> None:
    """No way to show a value, alone or as a field, shows a word of what is sealed."""
    words, value = seal()
    shown = SHOWN[way](value)
    text = f"{shown!s} {shown!r}"
    assert not any(word in text for word in words.split())


@pytest.mark.parametrize("way", REFUSED)
def test_what_is_refused_names_nothing(way: str) -> None:
    """What would have to open a sealed value raises, without a word of it."""
    words, value = seal()
    with pytest.raises((TypeError, ValueError)) as caught:
        REFUSED[way](value)
    text = "".join(traceback.format_exception(caught.value))
    assert not any(word in text for word in words.split())


@given(st.one_of(st.text(), st.binary(), st.integers(), st.lists(st.text()), st.none()))
def test_reveal_returns_the_very_value(value: object) -> None:
    """Sealing changes nothing: the same object comes out, and it is as true as it was."""
    sealed = Sealed(value)
    assert sealed.reveal() is value
    assert bool(sealed) is bool(value)
    assert sealed == Sealed(copy.deepcopy(value))
    assert copy.copy(sealed) is sealed


def test_a_sealed_value_equals_sealed_values_only() -> None:
    """A bare value never equals a sealed one, so no comparison passes by accident."""
    assert Sealed("a") == Sealed("a")
    assert Sealed("a") != Sealed("b")
    assert Sealed("a") != "a"
    assert Sealed("a") not in ["a", b"a", None]


def test_deep_copies_are_of_the_inside_too() -> None:
    """A deep copy shares nothing with the original, and is as sealed."""
    inside = ["a"]
    copied = copy.deepcopy(Sealed(inside))
    inside.append("b")
    assert copied.reveal() == ["a"]


def test_it_lets_go() -> None:
    """A sealed value keeps its content alive no longer than itself."""

    class Content:
        pass

    content = Content()
    sealed, gone = Sealed(content), weakref.ref(content)
    del content
    gc.collect()
    assert gone() is not None
    del sealed
    gc.collect()
    assert gone() is None


def test_nobody_derives_from_it() -> None:
    """The class is final for type checkers, and public."""
    assert zeroret.Sealed is Sealed
    assert Sealed.__final__  # type: ignore[attr-defined] # what typing.final sets


BAD: dict[str, dict[str, Any]] = {
    "too long": {"prompt": SECRET * 3},
    "type": {"maybe": 3, "each": [SECRET, 4]},
    "key": {"messages": [{"role": "user", "body": "x", SECRET: 2}]},
    "literal": {"messages": [{"role": SECRET, "body": 1}]},
    "own text": {"messages": [{"role": "assistant", "body": SECRET}]},
    "deep": {"messages": [{"role": "user", "body": [{"x": SECRET}]}]},
    "tag": {"kind": {"kind": SECRET}},
    "no tag": {"kind": {SECRET: SECRET}},
    "uuid": {"kind": {"kind": "other", "key": SECRET}},
    "date": {"day": SECRET},
    "typed": {"typed": {"number": SECRET}},
    "dict": {"counts": {SECRET: SECRET}},
    "dataclass": {"plain": {SECRET: SECRET}},
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("mode", ["python", "json"])
def test_validation_errors_hold_no_input(name: str, mode: str) -> None:
    """No error about a sealed field quotes what was sent: no value, no key, no own text."""
    given = {"prompt": "x", **BAD[name]}
    validate = Order.model_validate if mode == "python" else Order.model_validate_json
    sent: Any = given if mode == "python" else json.dumps(given)
    with pytest.raises(ValidationError) as caught:
        validate(sent)
    error = caught.value
    assert "secret" not in f"{error} {error!r} {error.errors()!r} {error.json()} {error.args}"
    assert error.__cause__ is error.__context__ is None
    assert all(line["input"] == MARKER for line in error.errors())
    assert {line["loc"][0] for line in error.errors()} <= set(BAD[name])


def test_validation_errors_still_help() -> None:
    """Type, limits and the place stay, as far as they come from the schema."""
    with pytest.raises(ValidationError) as caught:
        Order.model_validate(BAD["too long"] | BAD["deep"] | BAD["own text"])
    lines = {line["type"]: line for line in caught.value.errors()}
    assert lines["string_too_long"]["ctx"] == {"max_length": 40}
    assert lines["string_too_long"]["msg"] == "String should have at most 40 characters"
    assert lines["value_error"]["loc"] == ("messages", 0, "role")
    with pytest.raises(ValidationError) as caught:
        Order.model_validate({"prompt": "x"} | BAD["deep"])
    assert ("messages", 0, "body", MARKER, 0, "t") in [one["loc"] for one in caught.value.errors()]


def test_errors_of_other_names_lose_their_words() -> None:
    """A custom error of the application's own becomes a plain one: its words can be anything."""
    adapter = TypeAdapter(Sealed[Annotated[str, AfterValidator(_custom)]])
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(SECRET)
    (line,) = caught.value.errors()
    assert (line["type"], line["msg"]) == ("value_error", "Value is not valid")
    assert "secret" not in repr(caught.value)


def test_it_is_a_pydantic_type() -> None:
    """Models take bare and sealed values, nested, optional, in lists; a dump goes back in."""
    order = Order.model_validate_json(
        json.dumps(
            {
                "prompt": SECRET,
                "each": ["a", "b"],
                "messages": [{"role": "user", "body": [{"t": "x"}]}],
                "kind": {"kind": "whole", "number": 1},
                "day": "2025-01-31",
                "anything": {"a": 1},
            }
        )
    )
    assert order.prompt.reveal() == SECRET
    assert [one.reveal() for one in order.each] == ["a", "b"]
    assert order.messages.reveal()[0].content == [Part(t="x")]  # type: ignore[call-arg] # an alias of choices
    assert order.kind is not None
    assert isinstance(order.kind.reveal(), Whole)
    assert order.day == Sealed(date(2025, 1, 31))
    assert Order(**order.model_dump()) == order
    assert order.model_copy(deep=True) == order
    assert TypeAdapter(Sealed).validate_python([1]) == Sealed([1])  # type: ignore[type-abstract, var-annotated, unused-ignore] # bare
    with pytest.raises(ValidationError):
        TypeAdapter(Sealed[int]).validate_python("1", strict=True)


def test_schemas_are_those_of_the_inside() -> None:
    """Clients read what to send; what would come back is a text."""
    assert TypeAdapter(Sealed[int]).json_schema() == {"type": "integer"}
    assert TypeAdapter(Sealed[int]).json_schema(mode="serialization") == {"type": "string"}
    assert Order.model_json_schema()["properties"]["prompt"]["maxLength"] == 40


class Filter(BaseModel):
    """Parameters of a query, or the fields of a form."""

    q: Sealed[str]
    n: int = 3


class Noted(BaseModel):
    """Headers."""

    x_note: Sealed[str]


app = FastAPI()


@app.post("/model")
def model(order: Order) -> dict[str, Any]:
    """Return the model by accident."""
    return {"length": len(order.prompt.reveal()), "echo": order}


@app.post("/same")
def same(order: Order) -> Order:
    """Return the model, declared."""
    return order


@app.post("/sealed")
def whole(order: Sealed[Order]) -> Sealed[str]:
    """Take a body that is sealed as a whole."""
    return order.reveal().prompt


@app.post("/text")
def text(prompt: Annotated[Sealed[str], Body(embed=True)]) -> int:
    """Take one text."""
    return len(prompt.reveal())


@app.get("/query")
def query(given: Annotated[Filter, Query()]) -> int:
    """Take a query."""
    return len(given.q.reveal())


@app.post("/form")
def form(given: Annotated[Filter, Form()]) -> int:
    """Take a form."""
    return len(given.q.reveal())


@app.get("/header")
def header(given: Annotated[Noted, Header()]) -> int:
    """Take headers."""
    return len(given.x_note.reveal())


@pytest.fixture(scope="module")
def client() -> TestClient:
    """Calls the app."""
    return TestClient(app)


def test_fastapi_takes_sealed_fields(client: TestClient) -> None:
    """Bodies, queries, forms and headers; what a handler returns by accident is the marker."""
    order, size = {"prompt": SECRET}, len(SECRET)
    answer = client.post("/model", json=order).json()
    assert (answer["length"], answer["echo"]["prompt"]) == (size, MARKER)
    assert client.post("/same", json=order).json()["prompt"] == MARKER
    assert client.post("/sealed", json=order).json() == MARKER
    assert client.post("/text", json=order).json() == size
    assert client.get("/query", params={"q": SECRET}).json() == size
    assert client.post("/form", data={"q": SECRET}).json() == size
    assert client.get("/header", headers={"x-note": SECRET}).json() == size
    parameters = client.get("/openapi.json").json()["paths"]["/query"]["get"]["parameters"]
    assert parameters[0]["schema"] == {"type": "string", "title": "Q"}


def test_fastapi_errors_hold_no_input(client: TestClient) -> None:
    """A 422 about a sealed field, and about anything in a sealed body, quotes nothing."""
    for path, body in [
        ("/model", BAD["too long"]),
        ("/model", {"prompt": "x"} | BAD["key"]),
        ("/sealed", {"maybe": SECRET}),
        ("/sealed", SECRET),
    ]:
        answer = client.post(path, json=body)
        assert answer.status_code == 422
        assert "secret" not in answer.text


def test_type_checkers_know_what_is_inside(tmp_path: Path) -> None:
    """Under mypy's strict rules ``reveal`` of a ``Sealed[str]`` is a str; sealing is inferred."""
    program = tmp_path / "typed.py"
    program.write_text(
        "from zeroret import Sealed\n"
        "def open_it(value: Sealed[str]) -> None:\n"
        "    reveal_type(value.reveal())\n"
        "reveal_type(Sealed([1]))\n"
        "seen: Sealed[object] = Sealed('a')\n"
    )
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert 'Revealed type is "str"' in done.stdout.replace("builtins.", "")
    assert "Sealed[" in done.stdout
    assert done.returncode == 0, done.stdout
