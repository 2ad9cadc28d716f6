"""The policy: which metadata, for how long, where content may go, and how the rest is kept."""

from __future__ import annotations

from zeroret.policy.clauses import (
    Account,
    Analytics,
    Apart,
    AuditLog,
    Changes,
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
from zeroret.policy.loading import BUILTIN
from zeroret.policy.model import Policy
from zeroret.policy.period import Period

__all__ = [
    "BUILTIN",
    "Account",
    "Analytics",
    "Apart",
    "AuditLog",
    "Changes",
    "Content",
    "Erasure",
    "Keys",
    "Limits",
    "Money",
    "Period",
    "Policy",
    "Rights",
    "Security",
    "Sharing",
    "Usage",
]
