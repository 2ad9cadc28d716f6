"""Upstream storage: which requests to a model provider let it keep what they carry.

Literal tables over the paths and fields of the providers' APIs, last gone through on 2026-11-21
against the SDKs openai 3.54, anthropic 2.12, google-genai 3.4, mistralai 3.7 and cohere 7.3. Of a
known provider whatever is not known to be transient counts as kept; of another upstream, what is
known to be kept.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

import msgspec

WRITING: Final = frozenset({"POST", "PUT", "PATCH"})
"""Methods that can give an upstream anything to keep."""

KEPT: Final = frozenset(
    {
        *("files", "uploads", "upload", "batches", "batch", "embed-jobs"),
        *("assistants", "threads", "vector_stores", "containers", "evals", "skills"),
        *("fine_tuning", "fine-tuning", "finetuning", "tunedModels", "tuningJobs"),
        *("cachedContents", "fileSearchStores", "corpora", "ragCorpora", "batchPredictionJobs"),
        *("memory_stores", "datasets", "libraries", "collections", "videos"),
        *("model-invocation-job", "async-invoke"),
    }
)
"""Names in a path under which an upstream keeps what it is sent."""

KEEPING_VERBS: Final = frozenset(
    {
        *("batchGenerateContent", "asyncBatchEmbedContent", "predictLongRunning"),
        *("importFile", "register", "uploadToFileSearchStore"),
    }
)
"""Google's custom methods (``models/x:verb``) that do the same."""

TRANSIENT: Final = frozenset(
    {
        *("completions", "responses", "interactions", "messages", "chat", "generate", "complete"),
        *("compact", "input_tokens", "count_tokens", "count-tokens", "tokenize", "detokenize"),
        *("embeddings", "embed", "rerank", "classify", "classifications", "moderations", "ocr"),
        *("speech", "transcriptions", "translations", "generations", "edits", "variations"),
        *("invoke", "invoke-with-response-stream", "converse", "converse-stream"),
        *("client_secrets", "auth_tokens", "cancel"),
    }
)
"""Last names in a path of which an upstream keeps nothing, so far as its fields do not ask it."""

TRANSIENT_VERBS: Final = frozenset(
    {
        *("generateContent", "streamGenerateContent", "countTokens", "computeTokens"),
        *("embedContent", "batchEmbedContents", "predict", "serverStreamingPredict"),
        *("rawPredict", "streamRawPredict"),
    }
)
"""Google's custom methods of the same kind."""

STORED_UNLESS_FALSE: Final = frozenset({"responses", "interactions"})
"""Last names of which an upstream keeps everything unless the request says ``"store": false``; of
conversations (Mistral's have the field, OpenAI's have not) it does under every name."""

FIELDS_MATTER: Final = STORED_UNLESS_FALSE | {"completions"}
"""Names whose requests have fields that ask the upstream to keep them."""

_KEEPING: Final[dict[str, object]] = {
    "store": True,
    "background": True,  # answered later, so kept until then
    "deferred": True,  # likewise, as xAI calls it
    "prompt_cache_retention": "24h",
}


class _Asked(msgspec.Struct):
    """The fields of a request that ask its upstream to keep it."""

    store: Any = None
    background: Any = None
    deferred: Any = None
    prompt_cache_retention: Any = None


_decode: Final = msgspec.json.Decoder(_Asked).decode


def keeps(method: str, path: str, body: bytes | None, *, known: bool) -> bool:
    """Tell whether a request lets the upstream keep what it carries.

    Args:
        method: The request's method.
        path: Its path, with a query or without.
        body: Its body; None for one that cannot be read before it leaves.
        known: Whether the upstream is a provider of the table, whose every path is known.
    """
    if method.upper() not in WRITING:
        return False
    names = [name for name in unquote(path.partition("?")[0]).split("/") if name]
    last, _, verb = names[-1].partition(":") if names else ("", "", "")
    if verb in KEEPING_VERBS or not KEPT.isdisjoint(name.partition(":")[0] for name in names):
        return True
    if verb in TRANSIENT_VERBS:
        return False
    stored = last in STORED_UNLESS_FALSE or "conversations" in names
    if last in FIELDS_MATTER or stored:
        return _asks(body, stored=stored)
    return known and last not in TRANSIENT


def _asks(body: bytes | None, *, stored: bool) -> bool:
    """Tell whether the fields of *body* ask for storage; one that cannot be read does."""
    if body is None:
        return True
    try:
        asked = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
    if stored and asked.store is not False:
        return True
    return any(getattr(asked, name) == value for name, value in _KEEPING.items())
