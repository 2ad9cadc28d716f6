"""What is wrong with a policy file, said so that its author can mend it.

A policy is the operator's own text, so here, unlike anywhere else, a message quotes what was given.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MOST_QUOTED: Final = 80
_TYPES: Final = {
    "bool_type": "true or false",
    "float_type": "a number",
    "model_type": "a table",
    "string_type": "text in quotes",
    "tuple_type": "a list",
}
"""What TOML calls the types that pydantic asks for."""
_QUOTED: Final = re.compile(r"'([^']*)'")


def explain(error: ValidationError, model: type[BaseModel], place: str) -> str:
    """Return one line for each thing that is wrong: key path, what was given, what is allowed."""
    lines = _without_repeats(error.errors(include_url=False), model)
    if len(lines) == 1:
        return f"{place}: {lines[0]}"
    return "\n".join([f"{place}: {len(lines)} things are wrong", *(f"  {line}" for line in lines)])


def key_path(location: tuple[str | int, ...]) -> str:
    """Return ``usage.columns[3]`` for ``("usage", "columns", 3)``."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _without_repeats(errors: list[ErrorDetails], model: type[BaseModel]) -> list[str]:
    """Return the lines in order; members of a union complain of one value once each."""
    allowed: dict[str, set[str]] = {}
    for detail in errors:
        if detail["type"] == "literal_error":
            path = key_path(_real(detail["loc"]))
            allowed.setdefault(path, set()).update(_QUOTED.findall(detail["ctx"]["expected"]))
    return list(dict.fromkeys(_line(detail, model, allowed) for detail in errors))


def _real(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return *location* without the labels pydantic adds for a member of a union."""
    return tuple(part for part in location if isinstance(part, int) or "[" not in part)


def _line(detail: ErrorDetails, model: type[BaseModel], allowed: dict[str, set[str]]) -> str:
    location = _real(detail["loc"])
    path, given = key_path(location), _given(detail["input"])
    match detail["type"]:
        case "extra_forbidden":
            keys = _keys(model, location[:-1])
            problem = f"unknown key{_hint(location[-1], keys)}; allowed: {', '.join(keys)}"
        case "missing":
            problem = "missing"
        case "literal_error":
            words = sorted(allowed[path])
            shown = ", ".join(repr(word) for word in words)
            problem = f"given {given}{_hint(detail['input'], words)}; allowed: {shown}"
        case "string_pattern_mismatch":
            problem = f"given {given}; allowed: text that matches {detail['ctx']['pattern']}"
        case kind if kind in _TYPES:
            problem = f"given {given}; allowed: {_TYPES[kind]}"
        case "contradiction" | "twice":
            problem = detail["msg"]
        case _:
            problem = f"given {given}; {detail['msg'][:1].lower()}{detail['msg'][1:]}"
    return f"{path}: {problem}" if path else problem


def _keys(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Return the keys allowed at *location*, walking the annotations down from *model*."""
    for part in location:
        if isinstance(part, str):
            model = _model_in(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in get_args(annotation))
    return next((model for model in found if model is not None), None)


def _given(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}…"


def _hint(given: object, words: list[str]) -> str:
    close = get_close_matches(given, words, n=1) if isinstance(given, str) else []
    return f" (did you mean {close[0]!r}?)" if close else ""
