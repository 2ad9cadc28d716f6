"""The clauses of a policy, one small model each, in the order a privacy policy states them.

A field left out promises nothing, except where its default is the strictest choice.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from zeroret.policy.period import Period  # noqa: TC001 - pydantic reads it at run time
from zeroret.policy.terms import (
    AccountField,
    ApartField,
    CaliforniaRight,
    Column,
    Forbidden,
    Group,
    Limit,
    NeverKept,
    Notice,
    Party,
    Right,
    Several,
    expanded,
)


class Clause(BaseModel):
    """Base of every clause: nothing unknown, nothing coerced, nothing changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Content(Clause):
    """What passes for the user: where it lives, for how long, who may receive it."""

    never_kept: Several[NeverKept] = ()
    forbidden: Several[Forbidden] = ()
    """What is never done with content."""
    lives: Literal["in memory only", "real time only"] = "in memory only"
    passes_to: Several[Party] = ()
    """Whom content may reach; which hosts those are, the runtime's ``upstreams`` says."""
    grace: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 2.0
    """Seconds content may stay matchable after the reply; 0 is: discarded at once."""


class Analytics(Clause):
    """What is worked out from how the service is used."""

    from_content: Literal["never"] = "never"
    from_browsing: Literal["never"] | None = None


class Usage(Clause):
    """The usage rows: their columns and their clock."""

    columns: Several[Column | Group]
    keep: Period
    deletion: Literal["automatic", "by command"] = "by command"
    """What starts deletion when the clock has run: the service itself, or ``zeroret purge``."""


class Apart(Clause):
    """A collection beside the usage rows, with a purpose and a clock of its own."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    purpose: Literal["billing", "capacity", "security"]
    fields: Several[ApartField]
    per: Literal["day", "exchange", "hour"] = "exchange"
    """What one row stands for; per hour and per day are totals."""
    with_account: bool = False
    keep: Period

    @property
    def columns(self) -> frozenset[str]:
        """What a row of it holds, groups spelled out."""
        return expanded(self.fields)

    @model_validator(mode="after")
    def _no_account_by_another_way(self) -> Self:
        if not self.with_account and self.columns & {"account", "key_id"}:
            raise PydanticCustomError(
                "contradiction", "fields name an account or a key, with_account is false"
            )
        return self


class Account(Clause):
    """What is kept about a person or company that has an account."""

    data: Several[AccountField] = ()
    sign_in: Literal["external", "oauth", "password"] | None = None
    """Who checks who somebody is; None when the policy does not say."""


class Keys(Clause):
    """How API keys are stored. A hash cannot be shown again; only an encrypted key can."""

    stored: Literal["bcrypt", "encrypted", "hmac", "sha256"] = "hmac"
    shown: Literal["on request", "once"] = "once"

    @model_validator(mode="after")
    def _shown_as_stored(self) -> Self:
        if self.shown == "on request" and self.stored != "encrypted":
            raise PydanticCustomError(
                "contradiction",
                "shown = 'on request' needs stored = 'encrypted': a hash cannot be shown again",
            )
        return self


class AuditLog(Clause):
    """The log of what administrators did."""

    scope: Literal["all administrative actions", "internal"]
    keep: Period
    immutable: bool = False
    access: Literal["strict"] | None = None


class Money(Clause):
    """How people pay, and what is kept of it."""

    processor: Party | None = None
    wallet: bool = False
    top_ups: bool = False
    transactions: Period | None = None
    """How long transactions are kept."""
    dashboard: Literal["real time"] | None = None
    receipts: Literal["e-mail"] | None = None

    @model_validator(mode="after")
    def _wallet_first(self) -> Self:
        if self.top_ups and not self.wallet:
            raise PydanticCustomError("contradiction", "top_ups = true needs wallet = true")
        return self


class Limits(Clause):
    """What usage is limited by, or watched for."""

    by: Several[Limit] = ()


class Erasure(Clause):
    """How an account goes."""

    within: Period | None = None
    """By when it is gone; None when the policy promises no time."""
    answered_within: Period | None = None
    """By when a request for it is answered."""
    by: Several[Literal["anonymisation", "deletion"]] = ("deletion",)
    """Any one of these."""
    legal_holds: bool = False
    """Whether what the law makes the operator hold is excepted."""


class Rights(Clause):
    """What a person may ask for, and by when it is answered."""

    of: Several[Right] = ()
    california: Several[CaliforniaRight] = ()
    answered_within: Period | None = None


class Changes(Clause):
    """How a change of the policy is made known."""

    notice: Several[Notice] = ()
    """Any one of these."""
    which: Literal["every change", "material changes", "significant changes"] = "every change"
    ahead: Period | None = None
    """How long before it takes effect."""


class Security(Clause):
    """What protects data on its way and in its place."""

    in_transit: Literal["HTTPS", "TLS"] | None = None
    at_rest: Literal["encrypted"] | None = None


class Sharing(Clause):
    """Who outside receives data of any kind."""

    parties: Several[Party] = ()
