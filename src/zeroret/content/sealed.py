"""Sealed values: content that shows nothing until `reveal()` is called, and a pydantic type.

The value stands in a cell, so that nothing that walks attributes, slots or state comes upon it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cached_property
from types import CellType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    NoReturn,
    TypeVar,
    final,
    get_args,
    get_type_hints,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, SerializationInfo
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, ValidationError

MARKER: Final = "[sealed]"
"""What is shown in place of a sealed value, in JSON too; not even its type or length."""

T_co = TypeVar("T_co", covariant=True)


@final
class Sealed(Generic[T_co]):
    """A value that shows nothing in repr, str, format, JSON, dumps, pickles or a traceback.

    ``sealed.reveal()`` is the one way to the value: a word that reviewers can search for, at the
    place where the value is needed. Two sealed values are equal if their values are; nothing else
    equals one. It cannot be hashed, since the keys of dicts, sets and caches are kept.

    As the type of a pydantic field, ``Sealed[str]`` takes what ``str`` takes, constraints included;
    validation errors say what was wrong and where, and hold no input.
    """

    __slots__ = ("__weakref__", "_cell")

    def __init__(self, value: T_co) -> None:
        self._cell = CellType(value)

    def reveal(self) -> T_co:
        """Return the value. From here on it is content in the open: do not keep it in a name."""
        value: T_co = self._cell.cell_contents
        return value

    def __repr__(self) -> str:
        return MARKER

    def __format__(self, spec: str) -> str:
        return MARKER

    def __dir__(self) -> list[str]:
        return ["reveal"]

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Sealed):
            return bool(self.reveal() == other.reveal())
        return NotImplemented

    __hash__ = None  # type: ignore[assignment] # how Python says that a class has no hash

    def __copy__(self) -> Sealed[T_co]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Sealed[T_co]:
        return Sealed(copy.deepcopy(self.reveal(), memo))

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a sealed value is not pickled: reveal() it, or leave it out")

    def __getstate__(self) -> NoReturn:
        self.__reduce_ex__(2)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        annotation = (*get_args(source), Any)[0]
        serialized = core_schema.plain_serializer_function_ser_schema(_dumped, info_arg=True)
        return core_schema.no_info_wrap_validator_function(
            _Validator(annotation), handler.generate_schema(annotation), serialization=serialized
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # What a client sends is the inner type; what it would get back is the marker.
        return {"type": "string"} if handler.mode == "serialization" else handler(schema)


def _dumped(value: object, info: SerializationInfo) -> object:
    """Return what a dump shows: the marker in JSON, in Python what was there, sealed."""
    return MARKER if info.mode_is_json() or not isinstance(value, Sealed) else value


class _Validator:
    """Validates *annotation* and seals the result; its errors hold nothing of the input."""

    __name__ = __qualname__ = "sealed"  # how pydantic calls it in the title and place of an error

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation

    @cached_property
    def _names(self) -> frozenset[str]:
        # Only now: while schemas are made, models may refer to others that are yet to come.
        return _field_names(self._annotation)

    def __call__(self, value: Any, validate: Callable[[Any], Any]) -> Sealed[Any]:
        from pydantic_core import ValidationError

        if isinstance(value, Sealed):
            value = value.reveal()
        try:
            return Sealed(validate(value))
        except ValidationError as error:
            failure = error
        # Raised out here so that Python chains nothing: the original must not be its context.
        raise self._without_input(failure)

    def _without_input(self, error: ValidationError) -> ValidationError:
        from pydantic_core import ValidationError

        lines: list[InitErrorDetails] = []
        for line in error.errors(include_url=False, include_input=False):
            kind, limits = _shown(line["type"], line.get("ctx") or {})
            place = tuple(self._place(part) for part in line["loc"])
            shown: InitErrorDetails = {"type": kind, "loc": place, "input": MARKER}
            lines.append(shown | {"ctx": limits} if limits else shown)
        return ValidationError.from_exception_data("Sealed", lines, hide_input=True)

    def _place(self, part: int | str) -> int | str:
        return part if isinstance(part, int) or part in self._names else MARKER


_LIMITS: Final = frozenset(
    {
        *("gt", "ge", "lt", "le", "multiple_of", "max_digits", "decimal_places", "whole_digits"),
        *("min_length", "max_length", "actual_length", "field_type", "class_name", "class"),
        *("pattern", "expected", "expected_schemes", "expected_version", "discriminator"),
    }
)
"""What of an error's context comes from the schema, or is a length, and may be shown."""


def _shown(name: str, context: dict[str, Any]) -> tuple[str | PydanticCustomError, dict[str, Any]]:
    """Return what may be shown of an error: its name if its message needs the schema alone.

    Other messages quote the input (``uuid_parsing``, ``union_tag_invalid``) or an exception's text
    (``value_error``); and a custom error can be called anything.
    """
    from pydantic_core import PydanticCustomError, PydanticKnownError

    limits = {key: value for key, value in context.items() if key in _LIMITS}
    try:
        PydanticKnownError(name, limits)  # type: ignore[arg-type] # a name that pydantic gave
    except TypeError:  # it needs more than limits
        return PydanticCustomError(name, _WORDLESS), {}
    except Exception:  # noqa: BLE001 - not pydantic's own; and no error here may show the input
        return PydanticCustomError("value_error", _WORDLESS), {}
    return name, limits


_WORDLESS: Final = "Value is not valid"


def _field_names(annotation: Any) -> frozenset[str]:
    """Return the names and aliases of the fields of every model that *annotation* leads to."""
    found: set[str] = set()
    seen: set[int] = set()
    waiting = [annotation]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        waiting += get_args(each)
        fields = getattr(each, "model_fields", None) or getattr(each, "__pydantic_fields__", None)
        if isinstance(fields, Mapping):
            for name, field in fields.items():
                found.update((name, *_aliases(field.validation_alias)))
                waiting.append(field.annotation)
        elif hasattr(each, "__required_keys__") or is_dataclass(each):
            hints = get_type_hints(each)
            found.update(hints)
            waiting += hints.values()
    return frozenset(found)


def _aliases(alias: Any) -> list[str]:
    """Return the first names of a field's alias: itself, a choice of some, or a path's begin."""
    if isinstance(alias, str):
        return [alias]
    paths = getattr(alias, "choices", [alias])
    firsts = [path if isinstance(path, str) else getattr(path, "path", [None])[0] for path in paths]
    return [first for first in firsts if isinstance(first, str)]
