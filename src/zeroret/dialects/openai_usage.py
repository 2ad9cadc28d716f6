"""The usage blocks of OpenAI's endpoints and of the many servers that speak them.

Two sets of names: ``prompt_tokens``, ``completion_tokens`` (chat, completions, embeddings) and
``input_tokens``, ``output_tokens`` (everything newer). Deviations that recorded traffic shows:
DeepSeek's ``prompt_cache_hit_tokens``, ``cached_tokens`` beside the counts (Kimi, Hugging Face),
Mistral's ``num_cached_tokens``, ``cache_write_tokens`` (OpenRouter), Groq's ``x_groq.usage``. Where
parts were left out of the counts, as xAI does with reasoning, only the total tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zeroret.dialects.usage import Reading, Usage, details

if TYPE_CHECKING:
    from collections.abc import Callable

_PLAIN: Final = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
"""The keys of a usage block that names no parts."""

_TAKEN: Final = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_MADE: Final = ("completion_tokens_details", "output_tokens_details", "output_token_details")


def read_usage(block: object, name: str = "openai.chat", model: str | None = None) -> Usage | None:
    """Return the usage of a ``usage`` *block*; None if there is none.

    *name* is the dialect's: an embedding has no output. *model* is the one that answered: Gemini's
    thoughts stand in the total alone. What is no object is a fault, and no usage.
    """
    if not isinstance(block, dict):
        return None if block is None else Usage(malformed=1)
    if not block:
        return None
    get = block.get
    report = Reading()
    count = report.count
    usage = Usage(
        input_tokens=count(get("prompt_tokens"), get("input_tokens")),
        output_tokens=count(get("completion_tokens"), get("output_tokens")),
    )
    total = count(get("total_tokens"))
    if not block.keys() <= _PLAIN:
        _read_parts(block, count, usage)
    if name == "openai.embeddings":
        if usage.input_tokens is None and not report.malformed:
            usage.input_tokens = total
        usage.output_tokens = 0
    elif total is not None:
        _add_what_was_left_out(usage, total, model)
    usage.malformed = report.malformed
    return usage


def without_nulls(text: bytes) -> bytes:
    """Return *text* with usages that are null struck out, at the same length, if the last is one.

    Every event may carry one, and each would be decoded to see it.
    """
    at = text.rfind(b'"usage"')
    if at < 0 or not text[at + 7 : at + 13].lstrip(b" :").startswith(b"null"):
        return text
    text = text.replace(b'"usage":null', b'"usagE":null')
    return text.replace(b'"usage": null', b'"usagE": null')


def _read_parts(block: dict[str, Any], count: Callable[..., int | None], usage: Usage) -> None:
    """Read what is part of the input or the output, under every name it is sent by."""
    get = block.get
    taken = details(next((each for key in _TAKEN if (each := get(key))), None))
    made = details(next((each for key in _MADE if (each := get(key))), None))
    usage.cache_read_input_tokens = count(
        taken.get("cached_tokens"),
        get("prompt_cache_hit_tokens"),
        get("cached_tokens"),
        get("num_cached_tokens"),
        get("cache_read_input_tokens"),
    )
    usage.cache_write_input_tokens = count(
        taken.get("cache_write_tokens"),
        taken.get("cache_creation_tokens"),
        get("cache_creation_input_tokens"),
    )
    usage.reasoning_output_tokens = count(made.get("reasoning_tokens"), get("reasoning_tokens"))
    usage.audio_input_tokens = count(taken.get("audio_tokens"))
    usage.audio_output_tokens = count(made.get("audio_tokens"))


def _add_what_was_left_out(usage: Usage, total: int, model: str | None) -> None:
    """Add parts to their side where the *total* proves that the server left them out of it."""
    took, made = usage.input_tokens, usage.output_tokens
    if took is None or made is None:
        return
    missing = total - took - made
    if missing <= 0:
        return
    reasoning = usage.reasoning_output_tokens or 0
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_write_input_tokens or 0)
    if missing == reasoning:
        usage.output_tokens = made + reasoning
    elif missing == cached:
        usage.input_tokens = took + cached
    elif missing == reasoning + cached:
        usage.input_tokens, usage.output_tokens = took + cached, made + reasoning
    elif not reasoning and model is not None and "gemini" in model.lower():
        usage.output_tokens, usage.reasoning_output_tokens = made + missing, missing
