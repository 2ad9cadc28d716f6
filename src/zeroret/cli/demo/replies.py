"""What the fake upstream says: answers, event streams and a usage of its own for each.

The shapes follow https://platform.openai.com/docs/api-reference and
https://docs.anthropic.com/en/api/messages. Token numbers are made up from the exchange's number,
so that no count of the text could come to them by accident and each exchange can be told apart.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Piece: TypeAlias = tuple[str, str]
"""The text that an event adds to the answer, and the event as it stands on the wire."""

_PROSE: Final = (
    "First keep the records short, then ask whoever signs them; a café in Zürich does it so. "
    "Numbers such as 1,234.56 and words like naïve or 東京 count as well."
)
_WORDS: Final = tuple(_PROSE.split(" "))

SLOW: Final = 400
"""Deltas of a stream that is not meant to be heard to its end."""


def numbers(exchange: int) -> dict[str, int]:
    """Return the usage of *exchange*: all input and all output, and the parts of each."""
    total = 1_000 + 7 * exchange
    return {
        "input": total,
        "cached": total // 4 + exchange % 5,
        "written": total // 8,
        "output": 50 + exchange % 97,
        "reasoning": 20 + exchange % 13,
    }


def sentences(canary: str, *, slow: bool = False) -> list[str]:
    """Return an answer as the deltas in which it is streamed; the canary comes early."""
    words = _WORDS * (SLOW // len(_WORDS)) if slow else _WORDS
    texts = ["Dear", " Ada,", " your", " code", " is", f" {canary}", "."]
    return texts + [f" {word}" for word in words]


def openai_usage(exchange: int, kind: str) -> dict[str, Any]:
    """Return the ``usage`` block of a chat completion."""
    count = numbers(exchange)
    thinks = "reasoning" in kind
    return {
        "prompt_tokens": count["input"],
        "completion_tokens": count["output"],
        "total_tokens": count["input"] + count["output"],
        "prompt_tokens_details": {"cached_tokens": count["cached"], "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": count["reasoning"] if thinks else 0,
            "audio_tokens": 0,
        },
    }


def anthropic_usage(exchange: int, output: int | None = None) -> dict[str, Any]:
    """Return the ``usage`` block of a message: cache reads and writes stand beside the input."""
    count = numbers(exchange)
    return {
        "input_tokens": count["input"] - count["cached"] - count["written"],
        "cache_read_input_tokens": count["cached"],
        "cache_creation_input_tokens": count["written"],
        "output_tokens": count["output"] if output is None else output,
    }


def chat(exchange: int, kind: str, body: dict[str, Any], canary: str) -> dict[str, Any]:
    """Return a chat completion as one JSON object."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(sentences(canary))}
    reason = "stop"
    if "tools" in kind:
        message = {"role": "assistant", "content": None, "tool_calls": [_call(body, canary)]}
        reason = "tool_calls"
    answer = {
        "id": f"chatcmpl-{exchange}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
    }
    if "uncounted" not in kind:
        answer["usage"] = openai_usage(exchange, kind)
    return answer


def chat_events(exchange: int, kind: str, body: dict[str, Any], canary: str) -> Iterator[Piece]:
    """Yield the events of a streamed chat completion."""
    head = {
        "id": f"chatcmpl-{exchange}",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": body["model"],
    }

    def event(delta: dict[str, Any], reason: str | None = None) -> Piece:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return delta.get("content", ""), _data({**head, "choices": [choice]})

    yield event({"role": "assistant", "content": ""})
    if "tools" in kind:
        call = _call(body, canary)
        arguments = call["function"]["arguments"]
        call["function"]["arguments"] = ""
        yield event({"tool_calls": [{"index": 0, **call}]})
        for start in range(0, len(arguments), 9):
            piece = {"index": 0, "function": {"arguments": arguments[start : start + 9]}}
            yield event({"tool_calls": [piece]})
        yield event({}, "tool_calls")
    else:
        for text in sentences(canary, slow=is_slow(kind)):
            yield event({"content": text})
        yield event({}, "stop")
    if (body.get("stream_options") or {}).get("include_usage"):
        yield "", _data({**head, "choices": [], "usage": openai_usage(exchange, kind)})
    yield "", "data: [DONE]\n\n"


def embedding(exchange: int, model: str) -> dict[str, Any]:
    """Return one embedding."""
    tokens = numbers(exchange)["input"]
    vector = [(exchange % 7) / 10, 0.25, -0.5, 0.125]
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def message(exchange: int, kind: str, body: dict[str, Any], canary: str) -> dict[str, Any]:
    """Return an Anthropic message as one JSON object."""
    block: dict[str, Any] = {"type": "text", "text": "".join(sentences(canary))}
    if "tools" in kind:
        block = {
            "type": "tool_use",
            "id": f"toolu_{exchange}",
            "name": body["tools"][0]["name"],
            "input": {"code": canary},
        }
    return {
        **_message_head(exchange, body),
        "content": [block],
        "stop_reason": "tool_use" if "tools" in kind else "end_turn",
        "usage": anthropic_usage(exchange),
    }


def message_events(exchange: int, kind: str, body: dict[str, Any], canary: str) -> Iterator[Piece]:
    """Yield the events of a streamed Anthropic message."""
    start = {**_message_head(exchange, body), "content": [], "stop_reason": None}
    start["usage"] = anthropic_usage(exchange, output=1)
    yield "", _event("message_start", {"message": start})
    block = {"type": "text", "text": ""}
    yield "", _event("content_block_start", {"index": 0, "content_block": block})
    yield "", _event("ping", {})
    for text in sentences(canary, slow=is_slow(kind)):
        delta = {"type": "text_delta", "text": text}
        yield text, _event("content_block_delta", {"index": 0, "delta": delta})
    yield "", _event("content_block_stop", {"index": 0})
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield "", _event("message_delta", {"delta": end, "usage": anthropic_usage(exchange)})
    yield "", _event("message_stop", {})


def refusal(kind: str, body: dict[str, Any], canary: str) -> dict[str, Any]:
    """Return the body of an error that echoes what was asked, as validation errors do."""
    if kind == "unknown model":
        text = f"The model `{body['model']}` does not exist; see case {canary}."
        error = {"message": text, "type": "invalid_request_error", "code": "model_not_found"}
        return {"error": {**error, "param": "model"}}
    text = (
        f"1 validation error for Messages: messages.0.content: Value error, see case {canary} "
        f"[type=value_error, input_value={body['messages']!r}, input_type=list]"
    )
    error = {"message": text, "type": "invalid_request_error"}
    if kind.startswith("anthropic"):
        return {"type": "error", "error": error}
    return {"error": {**error, "param": "messages", "code": None}}


def is_slow(kind: str) -> bool:
    """Whether a stream of this kind trickles, so that it can be broken off in its midst."""
    return kind.endswith(("hang-up", "kill"))


def _call(body: dict[str, Any], canary: str) -> dict[str, Any]:
    """Return the call of the one tool that the request offers."""
    name = body["tools"][0]["function"]["name"]
    arguments = json.dumps({"code": canary})
    return {
        "id": "call_1",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _message_head(exchange: int, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{exchange}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "stop_sequence": None,
    }


def _data(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def _event(name: str, value: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps({'type': name, **value}, ensure_ascii=False)}\n\n"
