"""The tiers of guards, as the posture states them."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Grade: TypeAlias = Literal["closed", "watched", "out of reach", "off"]
"""``closed``: a guard refuses or withholds. ``watched``: a library is patched where it writes, or
crossings are seen and counted. ``out of reach``: nothing of ours stands there. ``off``: an option
turned the guard off, or it is not installed."""


class Tier(NamedTuple):
    """What the posture says of one way out: its grade, and in one sentence how or why."""

    grade: Grade
    how: str
