"""The policy as one frozen model: what an operator promises, and the code obeys."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final, Self

from pydantic import Field, Strict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from zeroret.errors import ConfigurationError
from zeroret.policy.clauses import (
    Account,
    Analytics,
    Apart,
    AuditLog,
    Changes,
    Clause,
    Content,
    Erasure,
    Keys,
    Limits,
    Money,
    Rights,
    Security,
    Sharing,
    Usage,
)
from zeroret.policy.explaining import explain
from zeroret.policy.loading import read
from zeroret.policy.terms import ALWAYS, expanded

if TYPE_CHECKING:
    import os

DIGEST_LENGTH: Final = 12
"""Hexadecimal digits of a policy's digest."""


class Policy(Clause):
    """What the operator promises: which metadata, for how long, and where content may go.

    Read one with `Policy.load`. Two policies with the same promises have the same digest, whatever
    the order and the comments of their files.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    content: Content = Content()
    analytics: Analytics = Analytics()
    usage: Usage
    apart: Annotated[tuple[Apart, ...], Strict(strict=False)] = ()
    account: Account = Account()
    keys: Keys = Keys()
    audit_log: AuditLog | None = None
    money: Money = Money()
    limits: Limits = Limits()
    erasure: Erasure = Erasure()
    rights: Rights = Rights()
    changes: Changes = Changes()
    security: Security = Security()
    sharing: Sharing = Sharing()

    @classmethod
    def load(cls, source: str | os.PathLike[str] | Policy) -> Policy:
        """Return the built-in policy of that name, the policy in that ``.toml`` file, or *source*.

        Raises `ConfigurationError`, which names the place, what was given and what is allowed.
        """
        if isinstance(source, Policy):
            return source
        place, data = read(source)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            message = explain(error, cls, place)
        # outside the handler: the message says all, pydantic's own chain would say it twice
        raise ConfigurationError(message)

    @cached_property
    def columns(self) -> frozenset[str]:
        """The columns of a usage row, groups spelled out, those of every row included."""
        return expanded(self.usage.columns) | ALWAYS

    @property
    def grace(self) -> float:
        """Seconds content may stay matchable after the reply."""
        return self.content.grace

    @cached_property
    def digest(self) -> str:
        """The first 12 hexadecimal digits of SHA-256 over the canonical JSON of the promises."""
        canonical = json.dumps(
            self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True
        )
        return hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_LENGTH]

    @property
    def stamp(self) -> str:
        """What stands on every usage row: ``name@digest``."""
        return f"{self.name}@{self.digest}"

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        never = self.content.never_kept
        names = [collection.name for collection in self.apart]
        if len(names) != len(set(names)):
            raise PydanticCustomError("contradiction", "two collections in apart have one name")
        if "passwords" in never and "hashed password" in self.account.data:
            raise PydanticCustomError(
                "contradiction",
                "content.never_kept names 'passwords', account.data keeps 'hashed password'",
            )
        if "personal data beyond e-mail" in never and self._beyond_email():
            raise PydanticCustomError(
                "contradiction",
                "content.never_kept names 'personal data beyond e-mail', but keeps: {kept}",
                {"kept": ", ".join(self._beyond_email())},
            )
        return self

    def _beyond_email(self) -> list[str]:
        """Return what else than an e-mail address is kept and says something of a person."""
        rows = self.columns.union(*(collection.columns for collection in self.apart))
        personal = {"browser", "client", "client_ip", "device"} & rows
        return sorted(personal | ({"company", "name"} & set(self.account.data)))
