"""What each exchange asks: bodies, headers and queries, with a canary in every place there is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from zeroret.cli.demo.calls import Call

_SCHEMA: Final = {"type": "object", "properties": {"code": {"type": "string"}}}


def is_broken_off(call: Call) -> bool:
    """Whether the stream of *call* is left before its end, by the client or by the server."""
    return call.kind.endswith(("hang-up", "kill"))


def is_stream(call: Call) -> bool:
    """Whether *call* asks for a stream."""
    return "stream" in call.kind or is_broken_off(call)


def is_counted(call: Call) -> bool:
    """Whether nobody reports the usage of *call*, an OpenAI one, so that it must be counted."""
    return "uncounted" in call.kind or (is_broken_off(call) and call.kind.startswith("openai"))


def request(call: Call) -> dict[str, Any]:
    """Return the keyword arguments that the SDK's method takes."""
    if call.kind == "embeddings":
        body = _embeddings(call)
    elif call.kind.startswith("anthropic"):
        body = _message(call)
    else:
        body = _chat(call)
    return {**body, **_extras(call)}


def carried(call: Call, request: dict[str, Any]) -> set[str]:
    """Return the canaries of *call* that *request* really holds."""
    text = json.dumps(request)
    return {canary for canary in call.canaries.values() if canary in text}


def chat_messages(call: Call) -> list[dict[str, Any]]:
    """Return the messages of a chat completion; with an earlier tool call unless it is counted."""
    system = {"role": "system", "content": call.system}
    prompt = {"role": "user", "content": call.prompt}
    if is_counted(call):
        return [system, prompt]
    function = {"name": call.tool, "arguments": json.dumps(_arguments(call))}
    earlier: list[dict[str, Any]] = [
        {"role": "user", "content": "Look it up first."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_0", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_0", "content": "It is there."},
    ]
    return [system, *earlier, prompt]


def _chat(call: Call) -> dict[str, Any]:
    tier = call.canaries["metadata"] if call.kind == "crash" else "gold"
    body: dict[str, Any] = {
        "model": call.model,
        "messages": chat_messages(call),
        "user": call.canaries["user"],
        "metadata": {"tier": tier, "case": call.canaries["metadata"]},
    }
    if not is_counted(call):
        function = {"name": call.tool, "description": "Looks up.", "parameters": _SCHEMA}
        body["tools"] = [{"type": "function", "function": function}]
    if is_stream(call):
        body["stream"] = True
        if not is_counted(call):
            body["stream_options"] = {"include_usage": True}
    return body


def _message(call: Call) -> dict[str, Any]:
    use = {"type": "tool_use", "id": "toolu_0", "name": call.tool, "input": _arguments(call)}
    result = {"type": "tool_result", "tool_use_id": "toolu_0", "content": "It is there."}
    return {
        "model": call.model,
        "max_tokens": 1024,
        "system": call.system,
        "messages": [
            {"role": "user", "content": "Look it up first."},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
            {"role": "user", "content": call.prompt},
        ],
        "metadata": {"user_id": call.canaries["user"]},
        "tools": [{"name": call.tool, "description": "Looks up.", "input_schema": _SCHEMA}],
    }


def _embeddings(call: Call) -> dict[str, Any]:
    return {
        "model": call.model,
        "input": call.prompt,
        "user": call.canaries["user"],
        "encoding_format": "float",
    }


def _arguments(call: Call) -> dict[str, str]:
    return {"code": call.canaries["tool arguments"]}


def _extras(call: Call) -> dict[str, Any]:
    """Return what the SDKs send beside the body: headers and a query."""
    secret = call.canaries["credential"]
    headers = {"X-Case": call.canaries["header"], "Authorization": f"Bearer {secret}"}
    if call.kind.startswith("anthropic"):
        headers = {"X-Case": call.canaries["header"], "X-Api-Key": secret}
    if call.kind == "crash":
        # uvicorn closes a connection whose application crashed; without this the next call
        # could be sent into the closing one
        headers["Connection"] = "close"
    return {"extra_headers": headers, "extra_query": {"trace": call.canaries["query"]}}
