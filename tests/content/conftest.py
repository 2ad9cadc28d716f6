"""Content for this room's tests: a prompt that is hard to spell, and real prose."""

from __future__ import annotations

import json
from pydoc_data.topics import topics
from typing import TYPE_CHECKING

import pytest

from zeroret.content.flight import Flight

if TYPE_CHECKING:
    from collections.abc import Callable

PROMPT = (
    'Dear Dr. Brändström, my sister said "do not tell anyone", but since the diagnosis in Örebro\n'
    "last Tuesday I keep wondering whether the naïve treatment — 40 mg of the white pills, twice — "
    "is safe beside her lithium. She weighs 52 kg, her father's kidneys failed at fifty, and the "
    'café "Zur Traube" is where we would tell her. Please write a letter, in plain words, which '
    "says what the numbers mean and what we ought to ask the ward next week."
)


@pytest.fixture(scope="session")
def prompt() -> str:
    """Return 420 characters of prose with quotes, a newline and letters beyond ASCII."""
    return PROMPT


@pytest.fixture(scope="session")
def prose() -> str:
    """Return 50 kB of the documentation that Python carries."""
    return "\n".join(topics[name] for name in sorted(topics))[:50_000]


@pytest.fixture(scope="session")
def asking() -> Callable[[str], Flight]:
    """Return a maker of flights whose request asks a given prompt as JSON."""

    def make(text: str) -> Flight:
        flight = Flight()
        message = {"role": "user", "content": text}
        flight.hold(json.dumps({"model": "gpt-4o", "messages": [message]}).encode())
        return flight

    return make
