"""Wording: what requests and messages say without any client having written it.

The field names of the model APIs, the values that HTTP libraries give to ordinary headers, and the
structure of JSON around them. A usage report that repeats ``"completion_tokens":5`` quotes no
conversation, though the reply holds the very same bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeroret.content.haystack import Span

_COMPOUND: Final = """
    accepted_prediction_tokens audio_tokens cache_control cache_creation_input_tokens
    cache_creation_tokens cache_read_input_tokens cache_read_tokens cache_write_input_tokens
    cached_tokens cachedContentTokenCount candidatesTokenCount completion_tokens
    completion_tokens_details content_block content_block_delta content_block_start
    content_block_stop content_filter created_at end_turn finish_reason frequency_penalty
    function_call include_usage input_audio input_json_delta input_schema input_text input_tokens
    input_tokens_details json_object json_schema max_completion_tokens max_output_tokens max_tokens
    message_delta message_start message_stop model_version output_index output_text output_tokens
    output_tokens_details parallel_tool_calls presence_penalty prompt_cache_hit_tokens
    prompt_cache_miss_tokens prompt_tokens prompt_tokens_details promptTokenCount
    reasoning_content reasoning_effort reasoning_tokens rejected_prediction_tokens response_format
    sequence_number server_tool_use service_tier stop_reason stop_sequence stream_options
    system_fingerprint text_delta thinking_delta thoughtsTokenCount tool_calls tool_choice
    tool_result tool_use top_logprobs top_p totalTokenCount total_tokens usageMetadata
    web_search_requests
"""
_PLAIN: Final = """
    arguments assistant auto candidates chat.completion chat.completion.chunk choices completion
    content contents created delta developer ephemeral finishReason function generationConfig id
    index input length list logprobs message messages metadata model name null object output
    parameters parts prompt reasoning refusal response role seed status stop stream summary system
    systemInstruction temperature text thinking tool tools type usage user value
"""

ORDINARY: Final = frozenset(
    {
        "application/json",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "application/json, text/event-stream",
        "multipart/form-data; boundary=",
        "text/event-stream",
        "text/plain; charset=utf-8",
        "application/json; charset=utf-8",
        "gzip, deflate, br, zstd",
        "gzip, deflate, zstd",
        "gzip, deflate, br",
    }
)
"""What HTTP libraries say in ordinary headers."""

_learned: Final[set[str]] = set()
_MOST_LEARNED: Final = 64


def _either(names: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True))


_WORD: Final = re.compile(rf"(?<![\w.])(?:{_either(_COMPOUND.split())})(?![\w.])".encode())
_STRUCTURE: Final = re.compile(
    # Possessive throughout: a text that is nearly structure costs one pass. A number counts only
    # behind a name: a list of numbers may be a text's bytes.
    (
        r'(?:[{}\[\],:\s]++|"(?:' + _either([*_COMPOUND.split(), *_PLAIN.split()]) + r')"'
        r"(?:\s*+:\s*+(?:-?\d{1,10}+(?:\.\d{1,6}+)?+|true|false|null)(?=[,}\]\s]))?+)++"
    ).encode()
)


def learn(value: str) -> None:
    """Note what a library says of itself in every request, such as ``python-httpx/0.28.1``."""
    if len(_learned) < _MOST_LEARNED:
        _learned.add(value)


def learned() -> frozenset[str]:
    """Return the ordinary values of headers, and what libraries were found to say of themselves."""
    return ORDINARY.union(_learned)


def substance(data: bytes, spans: Iterable[Span]) -> list[int]:
    """Return for each of *spans* of *data* how many of its bytes are no wording."""
    free = bytearray(b"\1" * len(data))
    for pattern in (_STRUCTURE, _WORD):
        for run in pattern.finditer(data):
            if pattern is _WORD or b'"' in run[0]:
                free[run.start() : run.end()] = bytes(run.end() - run.start())
    return [free.count(1, start, end) for start, end in spans]
