"""The closed sets that a policy is written in: what may stand in each place, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, Field, Strict, StringConstraints
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Iterable

Item = TypeVar("Item", bound=str)


def _once(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return *items* sorted, so that their order changes no digest; refuse one listed twice."""
    twice = sorted({item for item in items if items.count(item) > 1})
    if twice:
        raise PydanticCustomError("twice", "listed twice: {items}", {"items": ", ".join(twice)})
    return tuple(sorted(items))


Several: TypeAlias = Annotated[tuple[Item, ...], Strict(strict=False), AfterValidator(_once)]
"""A list in TOML, a sorted tuple without repetition here."""

Column: TypeAlias = Literal[
    "id",
    "policy",
    "usage_source",
    "started_at",
    "duration",
    "time_to_first_token",
    "account",
    "key_id",
    "route",
    "method",
    "dialect",
    "provider",
    "request_model",
    "response_model",
    "service_tier",
    "stream",
    "status",
    "outcome",
    "error_type",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "reasoning_output_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "images",
    "request_bytes",
    "response_bytes",
    "client_ip",
    "client",
    "cost",
]
"""A column of a usage record; a test holds this equal to the record's own fields."""

Group: TypeAlias = Literal["models", "token_counts"]
"""A word that stands for several columns."""

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "models": ("request_model", "response_model"),
    "token_counts": (
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_write_input_tokens",
        "reasoning_output_tokens",
        "audio_input_tokens",
        "audio_output_tokens",
        "images",
    ),
}
"""The columns of each group word."""

ALWAYS: Final = frozenset({"id", "policy", "usage_source"})
"""The columns that stand on every row whatever the policy."""


def expanded(words: Iterable[str]) -> frozenset[str]:
    """Return the columns that *words* name, groups spelled out."""
    return frozenset(column for word in words for column in GROUPS.get(word, (word,)))


NeverKept: TypeAlias = Literal[
    "answers",
    "browsing behaviour",
    "files",
    "history",
    "media",
    "message content",
    "passwords",
    "personal data beyond e-mail",
    "personal data in prompts",
    "physical location",
    "prompt-derived analytics",
    "prompts",
    "request content",
    "response content",
    "user text",
]
"""What a policy promises never to keep. All content is covered whatever is named here."""

Forbidden: TypeAlias = Literal[
    "access by staff",
    "persistent storage",
    "reading",
    "retrieval after the session",
    "selling",
    "storing",
]
"""What a policy promises never to do with content."""

ApartField: TypeAlias = Column | Group | Literal["browser", "device"]
"""What a collection beside the usage rows may hold."""

AccountField: TypeAlias = Literal[
    "company",
    "creation date",
    "e-mail",
    "hashed password",
    "key metadata",
    "name",
    "subscription status",
]
"""What is kept about an account."""

Limit: TypeAlias = Literal["abuse", "availability", "plan quotas", "rate limits", "request plans"]
"""What usage is limited by, or watched for."""

Right: TypeAlias = Literal[
    "access", "correct", "delete", "export", "object", "opt out", "restrict", "update"
]
"""What a person may ask for."""

CaliforniaRight: TypeAlias = Literal["delete", "know", "opt out"]
"""What the California Consumer Privacy Act adds."""

Notice: TypeAlias = Literal["dated", "e-mail", "service", "website"]
"""By what a change of the policy is made known; any one of those listed."""

Party: TypeAlias = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9 .&'-]*$"),
    Field(description="a company, or a kind of one"),
]
"""Somebody outside; the only free words of a policy, and the operator's own."""
