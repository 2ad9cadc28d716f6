"""The wire formats of vendors that do not speak OpenAI's: where they are spoken, who reads them.

Lines of the registry like those in `zeroret.dialects`. Where a prompt is counted at all its form is
``messages``, whose count is always an estimate: none of these vendors publishes its frame.
"""

from __future__ import annotations

from typing import Final

from zeroret.dialects.dialect import Dialect

_MISTRAL: Final = "zeroret.dialects.mistral"
_GEMINI: Final = "zeroret.dialects.gemini"
_BEDROCK: Final = "zeroret.dialects.bedrock"
_INVOKE: Final = "zeroret.dialects.invoke"
_COHERE: Final = "zeroret.dialects.cohere"
_OLLAMA: Final = "zeroret.dialects.ollama"

_LARGE_EVENT: Final = 16 * 2**20
"""The most bytes of one event that may hold an image or speech."""


def _google(verb: str) -> tuple[str, ...]:
    """Return the paths of a *verb* of Gemini's, Vertex's included."""
    holders = ("models/{model}", "tunedModels/{model}", "endpoints/{endpoint}")
    return tuple(f"{holder}:{verb}" for holder in holders)


def _vertex(publisher: str) -> tuple[str, ...]:
    """Return the paths on which Vertex speaks the format of a model's *publisher*."""
    model = f"publishers/{publisher}/models/{{model}}"
    return (f"{model}:rawPredict", f"{model}:streamRawPredict")


VENDORS: Final[tuple[Dialect, ...]] = (
    Dialect("mistral.fim", _MISTRAL, ("fim/completions",), prompt="text", reports=True),
    Dialect("mistral.agents", _MISTRAL, ("agents/completions",), reports=True),
    Dialect("gemini.generateContent", _GEMINI, _google("generateContent"), stream=None),
    Dialect(
        "gemini.streamGenerateContent",
        _GEMINI,
        _google("streamGenerateContent"),
        framings=("array",),
        streams=True,
        reports=True,
        event_limit=_LARGE_EVENT,
    ),
    Dialect(
        "gemini.embedContent",
        _GEMINI,
        (*_google("embedContent"), *_google("batchEmbedContents")),
        body="Vectors",
        stream=None,
    ),
    Dialect("gemini.countTokens", _GEMINI, _google("countTokens"), body=None, stream=None),
    Dialect(
        "vertex.anthropic",
        "zeroret.dialects.anthropic",
        _vertex("anthropic"),
        prompt="messages",
        reports=True,
    ),
    Dialect("vertex.mistral", _MISTRAL, _vertex("mistralai"), reports=True),
    Dialect("vertex.predict", _GEMINI, _google("predict"), body="Vectors", stream=None),
    Dialect(
        "bedrock.converse",
        _BEDROCK,
        ("model/{model:path}/converse",),
        prompt="messages",
        stream=None,
    ),
    Dialect(
        "bedrock.converse_stream",
        _BEDROCK,
        ("model/{model:path}/converse-stream",),
        prompt="messages",
        framings=("eventstream",),
        streams=True,
        reports=True,
    ),
    Dialect(
        "bedrock.invoke",
        _INVOKE,
        ("model/{model:path}/invoke",),
        stream=None,
        headers="header_usage",
    ),
    Dialect(
        "bedrock.invoke_stream",
        _INVOKE,
        ("model/{model:path}/invoke-with-response-stream",),
        framings=("eventstream",),
        streams=True,
        reports=True,
    ),
    Dialect(
        "bedrock.count_tokens",
        _BEDROCK,
        ("model/{model:path}/count-tokens",),
        body=None,
        stream=None,
    ),
    Dialect("cohere.v1.chat", _COHERE, ("v1/chat",), framings=("ndjson",), reports=True),
    Dialect("cohere.v1.generate", _COHERE, ("v1/generate",), framings=("ndjson",), reports=True),
    Dialect("cohere.v2.chat", _COHERE, ("v2/chat",), prompt="messages", reports=True),
    Dialect("cohere.v1.embed", _COHERE, ("v1/embed",), body="Vectors", stream=None),
    Dialect("cohere.v2.embed", _COHERE, ("v2/embed",), body="Vectors", stream=None),
    Dialect("cohere.v1.rerank", _COHERE, ("v1/rerank",), body="Vectors", stream=None),
    Dialect("cohere.v2.rerank", _COHERE, ("v2/rerank",), body="Vectors", stream=None),
    Dialect(
        "ollama.generate",
        _OLLAMA,
        ("api/generate",),
        framings=("ndjson",),
        streams=True,
        reports=True,
    ),
    Dialect(
        "ollama.chat",
        _OLLAMA,
        ("api/chat",),
        prompt="messages",
        framings=("ndjson",),
        streams=True,
        reports=True,
    ),
    Dialect("ollama.embed", _OLLAMA, ("api/embed",), body="Vectors", stream=None),
    Dialect("ollama.embeddings", _OLLAMA, ("api/embeddings",), body="Vectors", stream=None),
)
"""Every dialect of Google, Amazon, Mistral, Cohere and Ollama that is not also OpenAI's."""
