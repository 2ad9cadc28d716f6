"""Which path speaks which dialect."""

from __future__ import annotations

import pytest

from zeroret.dialects import DIALECTS, detect


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "openai.chat"),
        ("/chat/completions", "openai.chat"),
        ("/chat/completions/", "openai.chat"),
        ("/openai/deployments/x/chat/completions", "openai.chat"),
        ("/v1/completions", "openai.completions"),
        ("/completions", "openai.completions"),
        ("completions", "openai.completions"),
        ("/v1/embeddings", "openai.embeddings"),
        ("/openai/deployments/x/embeddings//", "openai.embeddings"),
        ("/v1/messages", "anthropic.messages"),
        ("/messages", "anthropic.messages"),
        ("/anthropic/v1/messages/", "anthropic.messages"),
        ("/v1/messages/count_tokens", "anthropic.count_tokens"),
        ("/v1/messages/batches", None),
        ("/v1/threads/thread_abc/messages", None),
        ("/api/conversations/7/messages/", None),
        ("/v1/chat/completions/chatcmpl-1", None),
        ("/v1/Messages", None),
        ("/healthz", None),
        ("/", None),
        ("//", None),
        ("", None),
    ],
)
def test_the_last_segments_decide(path: str, name: str | None) -> None:
    """A path is known by its end, whatever stands before it."""
    dialect = detect(path)
    assert (dialect.name if dialect else None) == name


def test_names_are_distinct() -> None:
    """Every dialect of the registry has a name of its own."""
    assert len({dialect.name for dialect in DIALECTS}) == len(DIALECTS)
