"""The arguments of a message: each as it may be shown, arity and keys kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zeroret.guards.values import NUMBERS, Values, number_of

if TYPE_CHECKING:
    from zeroret.guards import formats

_NUMERIC: Final = "diouxXeEfFgGc"


def shown(args: object, format_: formats.Format | None, values: Values) -> tuple[Any, set[int]]:
    """Return the arguments as shown, and which conversions must become ``%s`` for them.

    Args:
        args: What a record holds: a tuple, a mapping, or nothing.
        format_: The message they are for, taken apart; None if that is not shown.
        values: Decides about each of them.
    """
    conversions = format_.conversions if format_ is not None else ()
    if args is None or (type(args) is tuple and not args):
        return args, set()
    if isinstance(args, dict):
        return _named(args, conversions, values)
    if type(args) is not tuple:
        return (values.mark(args),), set(range(len(conversions)))
    taking = [index for index, each in enumerate(conversions) for _ in range(each.stars + 1)]
    made: list[object] = []
    texts: set[int] = set()
    for position, value in enumerate(args):
        index = taking[position] if position < len(taking) else None
        kind = conversions[index].type if index is not None else "s"
        made.append(_one(value, kind, values))
        if index is not None and (isinstance(made[-1], str) or kind == "c"):
            texts.add(index)
    return tuple(made), texts


def _named(
    args: dict[Any, Any], conversions: tuple[formats.Conversion, ...], values: Values
) -> tuple[Any, set[int]]:
    """Return the mapping with the keys that the message itself names, or a marker for it."""
    if any(each.key is None for each in conversions) or not conversions:
        return (values.mark(args),), set(range(len(conversions)))
    shown: dict[str, object] = {}
    texts: set[int] = set()
    for index, each in enumerate(conversions):
        key = each.key or ""
        if key not in shown:
            shown[key] = (
                _one(dict.__getitem__(args, key), each.type, values)
                if dict.__contains__(args, key)
                else values.mark(args)
            )
        if isinstance(shown[key], str) or each.type == "c":
            texts.add(index)
    return shown, texts


def _one(value: object, kind: str, values: Values) -> object:
    """Return one argument as shown; an enum's number where the conversion asks for a number."""
    if kind == "c":
        return values.mark(value)
    if kind in _NUMERIC and type(value) not in NUMBERS:
        number = number_of(value)
        if number is not None:
            return values.show(number)
    shown = values.show(value)
    # `%d` of None raises where `%s` shows it.
    return "None" if shown is None and kind in _NUMERIC else shown
