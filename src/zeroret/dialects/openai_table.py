"""The dialects of OpenAI and of Anthropic; `zeroret.dialects` finds them."""

from __future__ import annotations

from typing import Final

from zeroret.dialects.dialect import Dialect

ANSWER_LIMIT: Final = 16 * 2**20
"""The most bytes of an event that may hold a whole answer, images included."""

_CHAT: Final = "zeroret.dialects.openai"
_MEDIA: Final = "zeroret.dialects.openai_media"
_BATCHES: Final = "zeroret.dialects.batches"
_ANTHROPIC: Final = "zeroret.dialects.anthropic"


def _paths(*endpoints: str) -> tuple[str, ...]:
    """Return the paths of *endpoints*, Azure's too, which name a deployment."""
    return (*endpoints, *(f"deployments/{{model}}/{endpoint}" for endpoint in endpoints))


OPENAI: Final[tuple[Dialect, ...]] = (
    Dialect("openai.chat", _CHAT, _paths("chat/completions"), prompt="chat"),
    Dialect("openai.completions", _CHAT, _paths("completions"), prompt="text"),
    Dialect(
        "openai.responses",
        "zeroret.dialects.openai_responses",
        ("responses", "responses/compact"),
        prompt="responses",
        reports=True,
        socket="Socket",
        event_limit=ANSWER_LIMIT,
    ),
    Dialect(
        "openai.stored_responses",
        "zeroret.dialects.openai_responses",
        ("responses/{id}",),
        methods=("GET",),
        body="Stored",
        stream=None,
        json_only=True,
        once=True,
    ),
    Dialect("openai.count_tokens", _CHAT, ("responses/input_tokens",), body=None, stream=None),
    Dialect(
        "openai.embeddings",
        "zeroret.dialects.openai_embeddings",
        _paths("embeddings"),
        prompt="embeddings",
        stream=None,
    ),
    Dialect(
        "openai.moderations",
        "zeroret.dialects.openai_embeddings",
        ("moderations",),
        stream=None,
    ),
    Dialect(
        "openai.realtime",
        "zeroret.dialects.openai_socket",
        ("realtime",),
        methods=(),
        body=None,
        stream=None,
        socket="Socket",
    ),
    Dialect(
        "openai.batches",
        _BATCHES,
        ("batches/{id}",),
        methods=("GET",),
        body="Batch",
        stream=None,
        once=True,
    ),
    Dialect(
        "openai.batch_results",
        _BATCHES,
        ("files/{id}/content",),
        methods=("GET",),
        body="Results",
        stream=None,
        once=True,
    ),
    Dialect("openai.transcriptions", _MEDIA, _paths("audio/transcriptions"), json_only=True),
    Dialect("openai.translations", _MEDIA, _paths("audio/translations"), json_only=True),
    Dialect("openai.speech", _MEDIA, _paths("audio/speech"), json_only=True),
    Dialect(
        "openai.images",
        _MEDIA,
        _paths("images/generations", "images/edits", "images/variations"),
        event_limit=ANSWER_LIMIT,
    ),
)
"""OpenAI's endpoints."""

ANTHROPIC: Final[tuple[Dialect, ...]] = (
    Dialect("anthropic.messages", _ANTHROPIC, ("messages",), prompt="messages", reports=True),
    Dialect(
        "anthropic.count_tokens", _ANTHROPIC, ("messages/count_tokens",), body=None, stream=None
    ),
    Dialect(
        "anthropic.complete", "zeroret.dialects.anthropic_complete", ("complete",), prompt="text"
    ),
    Dialect(
        "anthropic.batches",
        _BATCHES,
        ("messages/batches/{id}/results", "messages/batches/{id}"),
        methods=("GET",),
        body="Results",
        stream=None,
        once=True,
    ),
)
"""Anthropic's endpoints."""
