"""The known gaps: what is found although it should not be, and why; a closed one fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from promise.stacks import Stack

Leaks = dict[str, set[str]]


class Gap(NamedTuple):
    """A way out that stands open.

    Args:
        surface: Where the leak is found.
        why: What is missing.
        applies: Whether a stack has it.
        field: The only kind of field that leaks there; all of them if it is empty.
    """

    surface: str
    why: str
    applies: Callable[[Stack], bool]
    field: str = ""


GAPS: Final[tuple[Gap, ...]] = ()
"""None that these suites found."""


def known(stack: Stack, found: Leaks) -> tuple[Leaks, list[str]]:
    """Return what *stack* may leak, of what was *found*, and why; a closed gap is a difference."""
    expected: Leaks = {}
    why = []
    for gap in GAPS:
        if not gap.applies(stack):
            continue
        why.append(f"{gap.surface}: {gap.why}")
        here = {place for place in found.get(gap.surface, ()) if place.endswith(gap.field)}
        expected[gap.surface] = here or {"closed: take this gap off the list"}
    return expected, why
