"""Cohere's chat, generate, embed and rerank, in versions 1 and 2 of its API.

API reference: https://docs.cohere.com/reference/chat, .../chat-v1, .../embed, .../rerank.
``tokens`` is what the model took in and put out, ``billed_units`` leaves out the preamble and the
end token: the first is usage, the second stands in for it where it is missing. Version 1 streams
lines of JSON, version 2 server-sent events. No answer names its model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from zeroret.dialects.objects import NOTHING, Head, ObjectBody, Objects, ObjectStream
from zeroret.dialects.sse import EVENT_LIMIT
from zeroret.dialects.streams import LARGE
from zeroret.dialects.usage import Reading, Usage, details, opened, stated

if TYPE_CHECKING:
    from zeroret.dialects.answer import Parts

TEXT, THOUGHT, CALL = range(3)
"""The kinds of text that one content block can hold."""


class _Response(msgspec.Struct):
    meta: msgspec.Raw = NOTHING
    finish_reason: msgspec.Raw = NOTHING


class _Head(Head):
    meta: msgspec.Raw = NOTHING
    usage: msgspec.Raw = NOTHING
    delta: msgspec.Raw = NOTHING
    type: msgspec.Raw = NOTHING
    event_type: msgspec.Raw = NOTHING
    is_finished: msgspec.Raw = NOTHING
    finish_reason: msgspec.Raw = NOTHING
    response: _Response | None = None


class _Whole(_Head):
    index: Any = 0
    text: Any = None
    message: Any = None
    generations: Any = None
    tool_calls: Any = None
    tool_call_delta: Any = None
    generation_id: Any = None


def read_usage(block: object) -> Usage | None:
    """Return the usage of a ``meta`` or ``usage`` *block*; None if there is none.

    What is no object is a fault, and no usage.
    """
    if not isinstance(block, dict):
        return None if block is None else Usage(malformed=1)
    tokens, billed = details(block.get("tokens")), details(block.get("billed_units"))
    took, made = Reading(), Reading()
    fresh = took.count(tokens.get("input_tokens"), billed.get("input_tokens"))
    images = took.count(billed.get("image_tokens"))
    usage = Usage(
        output_tokens=made.count(tokens.get("output_tokens"), billed.get("output_tokens")),
        cache_read_input_tokens=took.count(block.get("cached_tokens")),
    )
    if (fresh is not None or images is not None) and not took.malformed:
        usage.input_tokens = (fresh or 0) + (images or 0)
    usage.malformed = took.malformed + made.malformed
    return usage


def read_message(index: int, message: object, parts: Parts) -> bool:
    """Add the text of a *message*, or of the delta of one, to *parts*; False if it is none."""
    if not isinstance(message, dict):
        return False
    content = message.get("content")
    for block in content if isinstance(content, list) else [content]:
        for key, kind in (("text", TEXT), ("thinking", THOUGHT)):
            _add(index, kind, details(block).get(key), parts)
    _add(index, THOUGHT, message.get("tool_plan"), parts)
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else [calls]:
        function = details(details(call).get("function") or call)
        for key in ("name", "arguments", "parameters"):
            _add(index, CALL, function.get(key), parts)
    return True


def _add(index: int, kind: int, text: object, parts: Parts) -> None:
    if isinstance(text, dict):
        text = msgspec.json.encode(text).decode()
    if text and isinstance(text, str):
        parts.setdefault((index, kind), []).append(text)


def _last_delta(head: _Head) -> Any:
    """Return the delta of version 2's last event, which holds no text; None of any other."""
    return opened(head.delta) if opened(head.type) == "message-end" else None


class _Cohere(Objects):
    """What an answer or an event of one means."""

    __slots__ = ()

    HEAD: ClassVar = msgspec.json.Decoder(_Head)
    WHOLE: ClassVar = msgspec.json.Decoder(_Whole)

    def _usage_of(self, head: _Head) -> Usage | None:
        inner = NOTHING if head.response is None else head.response.meta
        for raw in (head.usage, head.meta, inner):
            block = opened(raw)
            if block is not None:
                return read_usage(block)
        delta = _last_delta(head)
        if delta is None or isinstance(delta, dict):
            return read_usage(details(delta).get("usage"))
        return Usage(malformed=1)

    def _failed(self, head: _Head) -> bool:
        reason = opened(head.finish_reason) or details(_last_delta(head)).get("finish_reason")
        if not reason and head.response is not None:
            reason = opened(head.response.finish_reason)
        return stated(head.error) or (isinstance(reason, str) and reason.startswith("ERROR"))

    def _deliver(self, whole: _Whole, parts: Parts) -> bool:
        index = whole.index if type(whole.index) is int else 0
        _add(index, TEXT, whole.text, parts)
        for each in whole.generations if isinstance(whole.generations, list) else ():
            _add(index, TEXT, details(each).get("text"), parts)
        if whole.tool_calls or whole.tool_call_delta:
            calls = whole.tool_call_delta or whole.tool_calls
            read_message(index, {"tool_calls": calls}, parts)
        known = read_message(index, whole.message, parts)
        if len(whole.delta):
            delta = details(opened(whole.delta, EVENT_LIMIT))
            known = read_message(index, delta.get("message"), parts) or known
        told = (opened(whole.event_type), opened(whole.type), whole.generation_id)
        return known or whole.generations is not None or any(each is not None for each in told)


class Body(_Cohere, ObjectBody):
    """Reads the answer of ``chat`` or ``generate``."""

    __slots__ = ()


class Vectors(ObjectBody):
    """Reads the answer of ``embed`` or ``rerank``, Cohere's or one that counts as OpenAI does.

    Vectors and ranks are no tokens: where the input is known the output is known to be zero.
    Search units are no tokens either.
    """

    __slots__ = ()

    HEAD: ClassVar = _Cohere.HEAD
    WHOLE: ClassVar = HEAD

    def _usage_of(self, head: _Head) -> Usage | None:
        usage, block = read_usage(opened(head.meta)), opened(head.usage)
        if usage is None and isinstance(block, dict):
            report = Reading()
            counted = report.count(block.get("prompt_tokens"), block.get("total_tokens"))
            usage = Usage(input_tokens=counted, malformed=report.malformed)
        if usage is not None and usage.input_tokens is not None:
            usage.output_tokens = 0
        return usage

    def _deliver(self, whole: _Head, parts: Parts) -> bool:  # noqa: ARG002 - vectors are no text
        return False


class Stream(_Cohere, ObjectStream):
    """Reads a stream of ``chat`` or ``generate``."""

    __slots__ = ()

    MARKERS: ClassVar = (b"message-end", b"stream-end", b'_finished":true')
    LAST: ClassVar = MARKERS
    USAGE: ClassVar = (b'"usage"', b'"meta"')
    NAMES: ClassVar = b""

    def feed(self, chunk: bytes, /) -> bool:
        """Take a chunk; True when it completes the event that says how the answer ended."""
        try:
            tape = self._tape
            tape.append(chunk)
            size = len(chunk)
            if (
                (
                    (chunk.find(b"\n", 22) == size - 2 and chunk[:19] == b"event: content-delt")
                    or (chunk.find(b"\n") == size - 1 and chunk[:20] == b'{"is_finished":false')
                )
                and not self._armed
                and len(tape) < self._limit
                and size < LARGE
            ):
                return False  # one event with some text, which is not the last one
            return self._look(chunk)
        except Exception:  # noqa: BLE001 - as `_break` says
            return self._break()

    def _ends(self, head: _Head) -> bool:
        if opened(head.type) == "message-end" or opened(head.event_type) == "stream-end":
            return True
        return opened(head.is_finished) is True
