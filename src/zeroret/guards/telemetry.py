"""Telemetry: what of a tracker's event may leave, as a tree of rules over a tree of values.

A shape says what an event of a tracker may consist of. Whatever a shape does not name is dropped,
so a field that a new version adds stays here. The walk goes no deeper than the shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from zeroret.guards import tally
from zeroret.guards.judging import DROPPED, MOST_MEMBERS, Dropped

if TYPE_CHECKING:
    from zeroret.guards.judging import Judge
    from zeroret.guards.rules import Rule


@dataclass(frozen=True, slots=True)
class Each:
    """A list whose members all have one shape.

    Args:
        shape: What each member may be.
        most: Members that are shown; the first ones go.
    """

    shape: Shape
    most: int = MOST_MEMBERS


Shape: TypeAlias = "Rule | Mapping[str, Shape] | Each"
"""A rule for a value, the shapes of a mapping's fields, or the shape of a list's members."""

NOTHING: Final = None
"""What is left of an event whose judging failed: it is not sent."""


def allowed(tree: Any, shape: Shape, judge: Judge) -> Any:
    """Return of *tree* what *shape* allows and *judge* shows, or `DROPPED`."""
    if isinstance(shape, Mapping):
        return _fields(tree, shape, judge)
    if isinstance(shape, Each):
        return _members(tree, shape, judge)
    return shape(judge, tree)


def _fields(tree: Any, shape: Mapping[str, Any], judge: Judge) -> Any:
    if not isinstance(tree, dict):
        return DROPPED if tree is None else judge.drop()
    judge.withheld += sum(1 for key, value in tree.items() if key not in shape and value)
    shown: dict[str, Any] = {}
    for key, inner in shape.items():
        if key in tree:
            value = allowed(tree[key], inner, judge)
            if not isinstance(value, Dropped):
                shown[key] = value
    return shown


def _members(tree: Any, shape: Each, judge: Judge) -> Any:
    if not isinstance(tree, (list, tuple)):
        return DROPPED if tree is None else judge.drop()
    left = tree[-shape.most :]
    judge.withheld += len(tree) - len(left)
    shown = (allowed(each, shape.shape, judge) for each in left)
    return [each for each in shown if not isinstance(each, Dropped)]


def guarded(event: Any, shape: Shape, judge: Judge, *, failed: Any = NOTHING) -> Any:
    """Return what may leave of *event*; *failed* if judging it failed. Never raises.

    Where the exchange's runtime only reports, the event itself is returned, and counted.
    """
    try:
        shown = allowed(event, shape, judge)
    except Exception:  # noqa: BLE001 - fails closed: whatever broke, the event is not sent
        tally.count("telemetry", "failed")
        return failed if _enforces(judge) else event
    if judge.withheld:
        tally.count("telemetry", "withheld")
    if not _enforces(judge):
        return event
    return failed if isinstance(shown, Dropped) else shown


def _enforces(judge: Judge) -> bool:
    try:
        return judge.enforce
    except Exception:  # noqa: BLE001 - in doubt it is withheld
        return True
