"""Failures of metering that users of other gateways reported in public, each as a test.

The numbers are those of the project's list of reports. Reports of queues, stores, sinks, spans and
prices are tested with the journal, the sinks and the prices; what is left here concerns reading.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from zeroret.dialects import detect
from zeroret.journal.once import Once
from zeroret.tokens import TokenCounter, vocabulary
from zeroret.usage.meter import Meter, Metered

COUNTER: Final = TokenCounter()
SSE: Final = b"text/event-stream"
JSON: Final = b"application/json"
CHAT: Final = "/v1/chat/completions"
MESSAGES: Final = "/v1/messages"
DONE: Final = b"data: [DONE]\n\n"
ASK: Final[dict[str, Any]] = {
    "model": "gpt-4o",
    "stream": True,
    "messages": [{"role": "user", "content": "Say something long, please."}],
}
PROMPT: Final = COUNTER.count("user") + COUNTER.count("Say something long, please.") + 6


def data(**fields: Any) -> bytes:
    """Return one event."""
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def delta(text: str, **fields: Any) -> bytes:
    """Return one event that delivers *text*."""
    return data(choices=[{"index": 0, "delta": {"content": text}}], **fields)


def typed(kind: str, **fields: Any) -> bytes:
    """Return one event that says its type."""
    event = json.dumps({"type": kind, **fields})
    return f"event: {kind}\ndata: {event}\n\n".encode()


def metered(
    chunks: list[bytes],
    path: str = CHAT,
    kind: bytes = SSE,
    *,
    complete: bool = True,
    **asked: Any,
) -> Metered:
    """Return what one exchange is metered as."""
    vocabulary.encoding("o200k_base")
    meter = Meter(detect(path), COUNTER, path=path)
    meter.request_chunk(json.dumps({**ASK, **asked}).encode())
    meter.request_end()
    meter.response_start(200, kind, b"")
    for chunk in chunks:
        meter.response_chunk(chunk)
    return meter.finish(complete=complete)


def body(usage: Any, path: str = CHAT, **fields: Any) -> Metered:
    """Return what one answer with this *usage* is metered as."""
    answer = {"model": "m", "usage": usage, **fields}
    return metered([json.dumps(answer).encode()], path, JSON, stream=False)


def counts(got: Metered) -> tuple[int | None, int | None]:
    """Return both sides."""
    return got.input_tokens, got.output_tokens


START: Final = typed(
    "message_start",
    message={"model": "claude", "usage": {"input_tokens": 25, "output_tokens": 1}},
)


def said(text: str) -> bytes:
    """Return one event of a message that delivers *text*."""
    piece = {"type": "text_delta", "text": text}
    return typed("content_block_delta", index=0, delta=piece)


def ended(**usage: int) -> list[bytes]:
    """Return the end of a message."""
    return [typed("message_delta", delta={}, usage=usage), typed("message_stop")]


def test_m1_m7_m9_a_hang_up_counts_both_sides() -> None:
    """M1, M7, M9: usage would have come last; the prompt and what was delivered are counted."""
    got = metered([delta("Hello"), delta(" world")], complete=False)
    assert counts(got) == (PROMPT, 2)
    asked: dict[str, Any] = {"stream_options": {"include_usage": True}}
    assert counts(metered([delta("Hello"), delta(" world")], complete=False, **asked)) == (
        PROMPT,
        2,
    )


def test_m2_an_answer_that_was_cut_still_has_its_prompt() -> None:
    """M2: the upstream was called, so the prompt was spent; the output is unknown, not zero."""
    got = metered([b'{"choices": [{"mess'], kind=JSON, complete=False, stream=False)
    assert counts(got) == (PROMPT, None)


def test_m3_a_messages_hang_up_is_no_zero() -> None:
    """M3: a disconnect keeps the reported input and counts the output."""
    got = metered([START, said("Hello"), said(" world")], MESSAGES, complete=False)
    assert got.input_tokens == 25
    assert got.output_tokens == 2


@pytest.mark.parametrize("zero", [{"prompt_tokens": 0, "completion_tokens": 0}, {"x": 1}])
def test_m4_m15_zero_and_missing_are_told_apart(zero: dict[str, int]) -> None:
    """M4, M15: an explicit zero is kept as reported, a missing count is not made one."""
    got = metered([delta("Hello"), data(choices=[], usage=zero), DONE])
    if "x" in zero:
        assert counts(got) == (PROMPT, 1)
    else:
        assert (counts(got), got.usage_source) == ((0, 0), "reported")


def test_m5_m6_the_placeholder_of_a_start_is_no_output() -> None:
    """M5, M6: message_start's seed of one token never stands for hundreds of deltas."""
    got = metered([START, *(said(" word") for _ in range(806))], MESSAGES, complete=False)
    assert got.output_tokens == 806


def test_m11_m12_m13_a_silent_stream_is_not_free() -> None:
    """M11 to M13: no include_usage, or a provider that ignores it, is counted and not zero."""
    asking: list[dict[str, Any]] = [{}, {"stream_options": {"include_usage": True}}]
    for asked in asking:
        got = metered([delta("Hello"), delta(" world"), DONE], **asked)
        assert counts(got) == (PROMPT, 2)
        assert got.usage_source == "counted"


def test_m14_null_and_nothing_take_nothing_back() -> None:
    """M14: nulls, empty objects and a trailing zero usage leave the real one."""
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    for after in (None, {}, zero):
        stream = [delta("a", usage=None), data(choices=[], usage=usage), data(usage=after), DONE]
        assert counts(metered(stream)) == (9, 4)


def test_m16_m17_cumulative_means_overwrite() -> None:
    """M16, M17: message_delta neither adds to message_start nor loses to it."""
    got = metered([START, said("a"), *ended(input_tokens=25, output_tokens=67)], MESSAGES)
    assert counts(got) == (25, 67)
    first = typed("message_delta", delta={}, usage={"output_tokens": 10})
    assert counts(metered([START, first, *ended(output_tokens=27)], MESSAGES)) == (25, 27)


def test_m18_the_real_input_may_come_last() -> None:
    """M18: a zero in message_start does not win over the input of message_delta."""
    usage = {"input_tokens": 0, "output_tokens": 0}
    start = typed("message_start", message={"model": "m", "usage": usage})
    assert counts(metered([start, *ended(input_tokens=31, output_tokens=5)], MESSAGES)) == (31, 5)


def test_m19_m20_cache_is_counted_once_and_never_lost() -> None:
    """M19, M20: Anthropic's input excludes the cache, OpenAI's includes it; a part is a part."""
    usage = {
        "input_tokens": 3,
        "cache_read_input_tokens": 5000,
        "cache_creation_input_tokens": 200,
        "output_tokens": 7,
    }
    got = body(usage, MESSAGES, type="message")
    assert counts(got) == (5203, 7)
    assert (got.cache_read_input_tokens, got.cache_write_input_tokens) == (5000, 200)
    details = {"cached_tokens": 5000, "cache_write_tokens": 200}
    openai = {"prompt_tokens": 5203, "completion_tokens": 7, "prompt_tokens_details": details}
    assert counts(body({**openai, "total_tokens": 5210})) == (5203, 7)


def test_m21_thoughts_that_only_the_total_tells() -> None:
    """M21: on Gemini's OpenAI-compatible route thoughts are the rest of the total."""
    usage = {"prompt_tokens": 66, "completion_tokens": 6, "total_tokens": 100}
    got = body(usage, model="gemini-2.5-pro")
    assert (counts(got), got.reasoning_output_tokens) == ((66, 34), 28)
    assert counts(body(usage, model="another")) == (66, 6), "of others nobody knows what it is"


def test_m22_reasoning_is_a_part() -> None:
    """M22: reasoning inside the output is not added; where the total proves it outside, it is."""
    details = {"completion_tokens_details": {"reasoning_tokens": 40}}
    inside = {"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60, **details}
    outside = {"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 100, **details}
    assert counts(body(inside)) == (10, 50)
    assert counts(body(outside)) == (10, 90)


def test_m23_sound_has_columns_of_its_own() -> None:
    """M23: audio is told beside the totals, under the names of either API."""
    chat = {
        "prompt_tokens": 30,
        "completion_tokens": 50,
        "prompt_tokens_details": {"audio_tokens": 20},
        "completion_tokens_details": {"audio_tokens": 40, "reasoning_tokens": 0},
    }
    got = body(chat)
    assert (counts(got), got.audio_input_tokens, got.audio_output_tokens) == ((30, 50), 20, 40)


def test_m24_a_responses_stream_is_read_at_its_end() -> None:
    """M24: usage stands inside the response of the last event."""
    usage = {"input_tokens": 12, "output_tokens": 8, "total_tokens": 20}
    last = typed("response.completed", response={"id": "r", "model": "gpt-4o", "usage": usage})
    piece = typed("response.output_text.delta", output_index=0, delta="hi")
    assert counts(metered([piece, last], "/v1/responses")) == (12, 8)


def test_m25_responses_over_a_websocket_are_no_zero() -> None:
    """M25: each answer on the connection has its usage, and they add up."""
    meter = Meter(detect("/v1/responses", "GET"), COUNTER, method="GET")
    meter.response_start(101, b"", b"")
    for number in range(2):
        usage = {"input_tokens": 12, "output_tokens": 8}
        response = {"id": f"r{number}", "usage": usage}
        event = {"type": "response.completed", "response": response}
        meter.response_chunk(json.dumps(event).encode())
    assert counts(meter.finish(complete=True)) == (24, 16)


def test_m27_a_stored_response_is_not_billed_again() -> None:
    """M27: a GET carries the original usage, which its POST has."""
    path = "/v1/responses/resp_1"
    meter = Meter(detect(path, "GET"), COUNTER, path=path, method="GET", marks=Once("memory", b"s"))
    meter.response_start(200, JSON, b"")
    usage = {"input_tokens": 12, "output_tokens": 8}
    answer = {"id": "resp_1", "status": "completed", "usage": usage}
    meter.response_chunk(json.dumps(answer).encode())
    got = meter.finish(complete=True)
    assert (counts(got), got.usage_source) == ((None, None), "unknown")


def test_m30_an_aliased_provider_has_the_right_reader() -> None:
    """M30: Anthropic's format on Vertex is read as Anthropic's."""
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x:rawPredict"
    usage = {"input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 7}
    assert counts(body(usage, path, type="message")) == (8, 7)


def test_m31_a_batch_of_any_endpoint_is_no_zero() -> None:
    """M31: results by the names of chat, responses and embeddings are all read."""
    blocks: list[dict[str, int]] = [
        {"prompt_tokens": 1, "completion_tokens": 2},
        {"input_tokens": 10, "output_tokens": 20},
        {"prompt_tokens": 100, "total_tokens": 100},
    ]
    path = "/v1/files/f/content"
    meter = Meter(detect(path, "GET"), COUNTER, path=path, method="GET", marks=Once("memory", b"s"))
    meter.response_start(200, b"application/octet-stream", b"")
    for number, usage in enumerate(blocks):
        line = {"custom_id": str(number), "response": {"body": {"usage": usage}}}
        meter.response_chunk(json.dumps(line).encode() + b"\n")
    assert counts(meter.finish(complete=True)) == (111, 22)


@pytest.mark.parametrize("prefix", ["/v1", "/openai/deployments/x", "/pass/through/v1", ""])
def test_m32_an_embedding_is_known_under_any_prefix(prefix: str) -> None:
    """M32: a route is known by its end, so that a pass-through is metered too."""
    got = body({"prompt_tokens": 5, "total_tokens": 5}, f"{prefix}/embeddings", data=[])
    assert (got.dialect, counts(got)) == ("openai.embeddings", (5, 0))


def test_usage_that_is_sent_twice_is_read_once() -> None:
    """Groq's pair of equal usages, and a running total in every event, are never added."""
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    assert counts(metered([data(choices=[], usage=usage, x_groq={"usage": usage}), DONE])) == (9, 4)
    running = [delta("a", usage={**usage, "completion_tokens": n}) for n in range(1, 1001)]
    assert counts(metered([*running, DONE])) == (9, 1000)


def test_kimi_and_deepseek_by_their_names() -> None:
    """Usage in the last choice, and cached tokens under three names, are found."""
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "cached_tokens": 3}
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}
    got = metered([delta("a"), data(choices=[choice]), DONE])
    assert (counts(got), got.cache_read_input_tokens) == ((9, 4), 3)
    deepseek = {**usage, "prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 3}
    assert body(deepseek).cache_read_input_tokens == 6
