"""The built-in policies hold every cell of the table of promises, spelled out here by hand."""

from __future__ import annotations

import pytest

from zeroret.policy import Period, Policy
from zeroret.usage.record import COLUMNS, TOKEN_COLUMNS

ROW = {"id", "policy", "usage_source"}
MODELS = {"request_model", "response_model"}
TOKENS = set(TOKEN_COLUMNS)

NAMES = ["crofai", "crouter", "kriora", "wallet", "noorapi"]


def every(value: object) -> dict[str, object]:
    """Return *value* for every policy of the table."""
    return dict.fromkeys(NAMES, value)


TABLE_COLUMNS: dict[str, set[str]] = {
    "crofai": {"started_at", "account", "key_id", "status", "outcome"},
    "crouter": {"started_at", "account", "key_id", *MODELS, *TOKENS, "cost"},
    "kriora": {"started_at", "account", "client_ip", "request_bytes", "response_bytes", "status",
               "error_type"},
    "wallet": {"started_at", "account", "key_id", "route", *MODELS, *TOKENS, "duration",
               "time_to_first_token", "status", "outcome", "error_type", "client", "cost"},
    "noorapi": {"started_at", "account", *MODELS, *TOKENS, "duration", "status"},
    "usage-only": set(COLUMNS) - {"client_ip", "client"},
}  # fmt: skip

CELLS: dict[str, dict[str, object]] = {
    "content.never_kept": {
        "crofai": {"prompts", "answers", "history", "personal data in prompts"},
        "crouter": {"request content", "response content", "physical location"},
        "kriora": {"prompts", "answers", "user text", "files", "media", "passwords",
                   "prompt-derived analytics"},
        "wallet": {"request content", "response content"},
        "noorapi": {"message content", "personal data beyond e-mail", "browsing behaviour"},
    },
    "content.lives": {
        "crofai": "real time only", "crouter": "in memory only", "kriora": "in memory only",
        "wallet": "in memory only", "noorapi": "in memory only",
    },
    "content.forbidden": {
        "crofai": {"access by staff"}, "crouter": set(),
        "kriora": {"persistent storage", "retrieval after the session"},
        "wallet": set(), "noorapi": {"reading", "storing", "selling"},
    },
    "content.passes_to": {
        "crofai": set(), "crouter": {"Anthropic"}, "kriora": set(), "wallet": {"model providers"},
        "noorapi": set(),
    },
    "grace": {"crofai": 2.0, "crouter": 2.0, "kriora": 0.0, "wallet": 2.0, "noorapi": 2.0},
    "analytics.from_content": every("never"),
    "analytics.from_browsing": every(None) | {"noorapi": "never"},
    "account.data": {
        "crofai": {"e-mail", "hashed password", "creation date", "subscription status"},
        "crouter": {"e-mail", "name"}, "kriora": {"e-mail"},
        "wallet": {"name", "e-mail", "company", "key metadata"}, "noorapi": {"e-mail"},
    },
    "account.sign_in": {
        "crofai": "password", "crouter": "oauth", "kriora": "external", "wallet": None,
        "noorapi": None,
    },
    "keys.stored": {
        "crofai": "hmac", "crouter": "encrypted", "kriora": "hmac", "wallet": "bcrypt",
        "noorapi": "sha256",
    },
    "keys.shown": every("once"),
    "usage.keep": {
        "crofai": "7 years", "crouter": "12 months", "kriora": "as law needs",
        "wallet": "90 days", "noorapi": "90 days",
    },
    "usage.deletion": every("by command") | {"noorapi": "automatic"},
    "audit_log.scope": every(None) | {
        "kriora": "internal", "wallet": "all administrative actions",
    },
    "audit_log.immutable": every(None) | {"kriora": False, "wallet": True},
    "audit_log.access": every(None) | {"kriora": "strict"},
    "audit_log.keep": every(None) | {"kriora": "as law needs", "wallet": "90 days"},
    "money.processor": every("Stripe") | {"wallet": None},
    "money.wallet": every(False) | {"wallet": True},
    "money.top_ups": every(False) | {"wallet": True},
    "money.transactions": every(None) | {"wallet": "for ever"},
    "money.dashboard": every(None) | {"crouter": "real time"},
    "money.receipts": every(None) | {"noorapi": "e-mail"},
    "limits.by": {
        "crofai": {"rate limits", "request plans", "abuse"}, "crouter": {"rate limits"},
        "kriora": {"abuse", "availability"}, "wallet": set(),
        "noorapi": {"rate limits", "plan quotas"},
    },
    "erasure.within": {
        "crofai": "30 days", "crouter": "30 days", "kriora": None, "wallet": "30 days",
        "noorapi": None,
    },
    "erasure.answered_within": every(None) | {"noorapi": "30 days"},
    "erasure.legal_holds": every(False) | {"crouter": True, "wallet": True},
    "erasure.by": every({"deletion"}) | {"kriora": {"deletion", "anonymisation"}},
    "rights.of": {
        "crofai": {"access", "correct", "delete", "export", "restrict"},
        "crouter": {"access", "delete", "update"},
        "kriora": {"access", "correct", "delete", "restrict", "object"},
        "wallet": {"access", "correct", "delete", "export", "opt out"},
        "noorapi": {"access", "correct", "delete"},
    },
    "rights.california": every(set()) | {"crofai": {"know", "delete", "opt out"}},
    "rights.answered_within": every(None) | {"crouter": "30 days", "noorapi": "30 days"},
    "changes.notice": {
        "crofai": {"dated"}, "crouter": {"e-mail"}, "kriora": {"website", "e-mail"},
        "wallet": {"e-mail", "service"}, "noorapi": {"e-mail"},
    },
    "changes.which": every("every change") | {
        "crouter": "significant changes", "noorapi": "material changes",
    },
    "changes.ahead": every(None) | {"noorapi": "14 days"},
    "security.in_transit": {
        "crofai": None, "crouter": "HTTPS", "kriora": "TLS", "wallet": "TLS", "noorapi": "TLS",
    },
    "security.at_rest": every(None) | {"kriora": "encrypted"},
    "sharing.parties": {
        "crofai": {"Stripe"}, "crouter": {"Stripe", "database host", "Anthropic", "edge host"},
        "kriora": {"Stripe"}, "wallet": {"model providers", "payment", "cloud host"},
        "noorapi": {"Stripe"},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE_COLUMNS)
def test_columns_equal_the_table(name: str) -> None:
    """A built-in's usage row has the table's columns and the three of every row, no other."""
    assert Policy.load(name).columns == TABLE_COLUMNS[name] | ROW


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("name", NAMES)
def test_cells_equal_the_table(name: str, cell: str) -> None:
    """A built-in holds the table's promise in each cell."""
    value: object = Policy.load(name)
    for part in cell.split("."):
        value = getattr(value, part) if value is not None else None
    if isinstance(value, tuple):
        value = set(value)
    if isinstance(value, Period):
        value = str(value)
    assert value == CELLS[cell][name]


def test_every_field_is_held_by_a_cell() -> None:
    """No field of a clause escapes the table above."""
    elsewhere = {"name", "usage.columns", "content.grace"}
    fields: set[str] = set()
    for key, info in Policy.model_fields.items():
        kinds = [info.annotation, *getattr(info.annotation, "__args__", ())]
        clause = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)
        fields |= {f"{key}.{part}" for part in clause.model_fields} if clause else {key}
    fields = {field for field in fields if not field.startswith("apart.")}
    assert fields - elsewhere == set(CELLS) - {"grace"}


def test_only_crofai_collects_apart() -> None:
    """Security data and hourly totals have a purpose and a clock of their own, and only there."""
    security, totals = sorted(Policy.load("crofai").apart, key=lambda part: part.purpose)[::-1]
    assert security.purpose == "security"
    assert security.columns == {"client_ip", "browser", "device"}
    assert security.keep.clocked
    assert (totals.per, totals.with_account) == ("hour", False)
    assert totals.columns == MODELS | TOKENS
    assert totals.keep.clocked
    assert [name for name in TABLE_COLUMNS if Policy.load(name).apart] == ["crofai"]


def test_usage_only_is_neutral() -> None:
    """The neutral policy keeps usage for 90 days and promises or collects nothing else."""
    policy = Policy.load("usage-only")
    assert policy.usage.keep == Period.parse("90 days")
    assert policy.account.data == ()
    assert policy.sharing.parties == ()
    assert policy.audit_log is None
    assert policy.keys.stored == "hmac"
