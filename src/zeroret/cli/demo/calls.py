"""The exchanges of the demo: which kinds, how many, and the canaries each one carries."""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTH: Final = 32
"""Characters of a canary."""

ALPHABET: Final = string.ascii_lowercase + string.digits

PLACES: Final = (
    "prompt",
    "system prompt",
    "tool name",
    "tool arguments",
    "user",
    "metadata",
    "header",
    "credential",
    "query",
)
"""Where a request carries a canary of its own; the upstream adds one to what it sends."""

REPLY: Final = "reply"
"""The place of the upstream's own canary."""

ROUND: Final[tuple[tuple[str, str], ...]] = (
    ("openai json", "gpt-4o-mini"),
    ("openai stream", "gpt-4o"),
    ("openai stream uncounted", "gpt-4o-mini"),
    ("openai tools", "gpt-4.1-mini"),
    ("embeddings", "text-embedding-3-small"),
    ("anthropic json", "claude-sonnet-5"),
    ("anthropic stream", "claude-sonnet-5"),
    ("openai refused", "gpt-4o-mini"),
    ("crash", "gpt-4o"),
    ("openai hang-up", "gpt-4o-mini"),
    ("openai stream tools", "gpt-4.1-mini"),
    ("openai reasoning", "o4-mini"),
    ("anthropic tools", "claude-haiku-4-5"),
    ("openai json", "gpt-4o"),
    ("openai json uncounted", "gpt-4o"),
    ("openai stream", "gpt-4o-mini"),
    ("openai stream uncounted", "gpt-4"),
    ("anthropic refused", "claude-sonnet-5"),
    ("anthropic stream", "claude-haiku-4-5"),
    ("anthropic hang-up", "claude-sonnet-5"),
    ("anthropic json", "claude-haiku-4-5"),
    ("unknown model", "an invented name"),
    ("openai stream reasoning", "o4-mini"),
    ("embeddings", "text-embedding-3-small"),
)
"""One of everything: kinds of exchange and the model each asks for, dealt out in turn."""

KILLED: Final[tuple[tuple[str, str], ...]] = (
    ("openai kill", "gpt-4o-mini"),
    ("anthropic kill", "claude-sonnet-5"),
)
"""The exchanges that are under way when the server is killed."""

_DIRECTIVE: Final = re.compile(r"\[exchange (\d+): ([a-z -]+)\]")


@dataclass(frozen=True)
class Call:
    """One exchange to be made: *number* is unique in a run, over all servers."""

    number: int
    kind: str
    model: str
    canaries: dict[str, str] = field(repr=False)

    @property
    def prompt(self) -> str:
        """What the user says; the part in brackets tells the fake upstream what to play."""
        return (
            f"[exchange {self.number}: {self.kind}] My name is Ada and this is my case: "
            f"{self.canaries['prompt']}. What do you advise?"
        )

    @property
    def system(self) -> str:
        """What the system prompt says."""
        return f"You advise clinics. The code of this one is {self.canaries['system prompt']}."

    @property
    def tool(self) -> str:
        """The name of the tool the model may call."""
        return f"look_up_{self.canaries['tool name']}"


def deal(count: int, first: int, kinds: tuple[tuple[str, str], ...] = ROUND) -> Iterator[Call]:
    """Yield *count* exchanges with fresh canaries, numbered from *first*."""
    for offset, (kind, model) in enumerate(islice(cycle(kinds), count)):
        canaries = {place: canary() for place in PLACES}
        if kind == "unknown model":
            canaries["model"] = canary()
            model = f"my-{canaries['model']}"  # noqa: PLW2901 - a name that nobody could know beforehand
        yield Call(first + offset, kind, model, canaries)


def canary() -> str:
    """Return a fresh random canary."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def directive(text: str) -> tuple[int, str]:
    """Return number and kind from the directive in *text*.

    Raises:
        ValueError: there is none.
    """
    found = _DIRECTIVE.search(text)
    if found is None:
        raise ValueError("no directive in the prompt")
    return int(found[1]), found[2]
