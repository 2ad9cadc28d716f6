"""Upstream storage: which requests let a provider keep what they carry, path by path."""

from __future__ import annotations

import json
from typing import Any

import pytest

from zeroret.guards.upstream_storage import keeps

KEPT: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/chat/completions", {"store": True}),
    ("POST", "/v1/chat/completions", {"deferred": True}),
    ("POST", "/v1/chat/completions", {"prompt_cache_retention": "24h"}),
    ("POST", "/openai/deployments/d/chat/completions?api-version=1", {"store": True}),
    ("POST", "/v1/responses", {}),
    ("POST", "/v1/responses/", {}),
    ("POST", "//v1//responses", {}),
    ("POST", "/v1/responses", {"store": None}),
    ("POST", "/v1/responses", {"store": 0}),
    ("POST", "/v1/responses", {"store": False, "background": True}),
    ("POST", "/v1/conversations", {}),
    ("POST", "/v1/conversations/c/items", {"items": []}),
    ("POST", "/v1/files", {}),
    ("POST", "/v1/fi%6ces", {}),
    ("post", "/v1/files", {}),
    ("PUT", "/v1/uploads/u/parts", {}),
    ("POST", "/v1/batches", {}),
    ("POST", "/v1/threads/t/messages", {}),
    ("POST", "/v1/messages/batches", {}),
    ("POST", "/v1beta/cachedContents", {}),
    ("PATCH", "/v1beta/cachedContents/c", {}),
    ("POST", "/upload/v1beta/files", {}),
    ("POST", "/v1beta/models/m:batchGenerateContent", {}),
    ("POST", "/v1beta/models/m:predictLongRunning", {}),
    ("POST", "/v1beta/interactions", {}),
    ("POST", "/model-invocation-job", {}),
]

TRANSIENT: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/chat/completions", {}),
    ("POST", "/v1/chat/completions", {"store": False, "metadata": {"store": True}}),
    ("POST", "/v1/chat/completions", {"prompt_cache_retention": "in_memory"}),
    ("POST", "/v1/responses", {"store": False}),
    ("POST", "/v1/responses/compact", {}),
    ("POST", "/v1/responses/input_tokens", {}),
    ("POST", "/v1/responses/r/cancel", {}),
    ("POST", "/v1/conversations", {"store": False}),  # Mistral's
    ("POST", "/v1/messages", {"metadata": {"user_id": "u"}}),
    ("POST", "/v1/messages/count_tokens", {}),
    ("POST", "/v1/embeddings", {}),
    ("POST", "/v1beta/models/m:generateContent", {"cachedContent": "c"}),
    ("POST", "/v1beta/models/m:streamGenerateContent?alt=sse", {}),
    ("POST", "/v1/projects/p/locations/l/publishers/google/models/m:predict", {}),
    ("POST", "/v1beta/interactions", {"store": False}),
    ("POST", "/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/converse-stream", {}),
    ("GET", "/v1/files", {}),
    ("DELETE", "/v1/files/f", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), KEPT)
@pytest.mark.parametrize("known", [True, False])
def test_what_is_kept(method: str, path: str, body: dict[str, Any], known: bool) -> None:  # noqa: FBT001 - a parameter
    """Spelled as it may be, at whatever upstream."""
    assert keeps(method, path, json.dumps(body).encode(), known=known)


@pytest.mark.parametrize(("method", "path", "body"), TRANSIENT)
@pytest.mark.parametrize("known", [True, False])
def test_what_is_not_kept(method: str, path: str, body: dict[str, Any], known: bool) -> None:  # noqa: FBT001 - a parameter
    """Answers, counts, lists and deletions pass."""
    assert not keeps(method, path, json.dumps(body).encode(), known=known)


@pytest.mark.parametrize(
    "body", [None, b"", b"not json", b"[1]", b"\xff", b'{"store": false', b'{"store":"false"}']
)
def test_what_cannot_be_read_counts_as_kept(body: bytes | None) -> None:
    """Where fields decide, a body that does not show them decides for the worse."""
    assert keeps("POST", "/v1/responses", body, known=False)


def test_an_unknown_path_of_a_known_provider_counts_as_kept() -> None:
    """Tomorrow's endpoint is forbidden until it is known; another upstream's may be anything."""
    for path in ("/v1/remember", "/", "/v1beta/models/m:remember"):
        assert keeps("POST", path, b"{}", known=True)
        assert not keeps("POST", path, b"{}", known=False)
