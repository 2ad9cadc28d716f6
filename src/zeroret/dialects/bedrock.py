"""Amazon Bedrock's Converse: one format for the models of every vendor.

API reference: https://docs.aws.amazon.com/bedrock/latest/APIReference, Converse, ConverseStream and
TokenUsage. ``inputTokens`` leaves out what was read from the cache and written to it, as the totals
of recorded answers prove for Anthropic's models and Amazon's. ``metadata`` is the last event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from zeroret.dialects.objects import NOTHING, Head, ObjectBody, Objects, ObjectStream
from zeroret.dialects.request import model_name
from zeroret.dialects.streams import LARGE
from zeroret.dialects.usage import Reading, Usage, details, opened

if TYPE_CHECKING:
    from zeroret.dialects.answer import Parts

TEXT, REASONING, CALL = range(3)
"""The kinds of text that one content block can hold."""


_DELTA: Final = b"\x0b:event-type\x07\x00\x11contentBlockDelta"
"""The first header of a message that delivers text."""


class _Head(Head):
    usage: msgspec.Raw = NOTHING
    trace: msgspec.Raw = NOTHING
    service_tier: msgspec.Raw = msgspec.field(default=NOTHING, name="serviceTier")


class _Tool(msgspec.Struct):
    name: Any = None
    input: Any = None


class _Block(msgspec.Struct, rename="camel"):
    """A content block, or a delta or the start of one."""

    text: str | None = None
    tool_use: _Tool | None = None
    reasoning_content: Any = None


class _Message(msgspec.Struct):
    content: list[_Block] | None = None


class _Output(msgspec.Struct):
    message: _Message | None = None


class _Whole(_Head):
    output: _Output | None = None


class Event(_Head, rename="camel"):
    """One event of a stream; what kind it is shows by what it holds."""

    content_block_index: Any = None
    delta: _Block | None = None
    start: _Block | None = None
    role: Any = None
    stop_reason: Any = None


def read_usage(block: object) -> Usage | None:
    """Return the usage of a `TokenUsage` *block*, or of one with Nova's names; None if none.

    What is no object is a fault, and no usage.
    """
    if not isinstance(block, dict):
        return None if block is None else Usage(malformed=1)
    get = block.get
    return total(
        get("inputTokens"),
        get("outputTokens"),
        (get("cacheReadInputTokens"), get("cacheReadInputTokenCount")),
        (get("cacheWriteInputTokens"), get("cacheWriteInputTokenCount")),
    )


def total(
    fresh: object, made: object, read: tuple[object, ...], written: tuple[object, ...]
) -> Usage:
    """Return a usage whose input is what is *fresh*, *read* from the cache and *written* to it."""
    took, report = Reading(), Reading()
    count = took.count(fresh)
    usage = Usage(
        output_tokens=report.count(made),
        cache_read_input_tokens=took.count(*read),
        cache_write_input_tokens=took.count(*written),
    )
    if count is not None and not took.malformed:
        cached = (usage.cache_read_input_tokens or 0) + (usage.cache_write_input_tokens or 0)
        usage.input_tokens = count + cached
    usage.malformed = took.malformed + report.malformed
    return usage


def read_block(index: object, block: _Block, parts: Parts) -> None:
    """Add the text of one *block*, delta or start to *parts*."""
    place = index if type(index) is int else 0
    if block.text:
        parts.setdefault((place, TEXT), []).append(block.text)
    tool = block.tool_use
    if tool is not None:
        said = tool.input
        if said is not None and not isinstance(said, str):
            said = msgspec.json.encode(said).decode()
        texts = [text for text in (tool.name, said) if isinstance(text, str)]
        parts.setdefault((place, CALL), []).extend(texts)
    reasoning = details(block.reasoning_content)
    thought = reasoning.get("text") or details(reasoning.get("reasoningText")).get("text")
    if isinstance(thought, str):
        parts.setdefault((place, REASONING), []).append(thought)


def read_message(message: _Message | None, parts: Parts) -> None:
    """Add the text of a whole *message* to *parts*."""
    for index, block in enumerate((message and message.content) or ()):
        read_block(index, block, parts)


class _Converse(Objects):
    """What an answer or an event of one reports."""

    __slots__ = ()

    def _usage_of(self, head: _Head) -> Usage | None:
        if self.model is None and len(head.trace):
            routed = details(details(opened(head.trace)).get("promptRouter")).get("invokedModelId")
            self.model = model_name(routed)
        if len(head.service_tier):
            self._served(details(opened(head.service_tier)).get("type"))
        return read_usage(opened(head.usage))


class Body(_Converse, ObjectBody):
    """Reads the answer of ``converse``."""

    __slots__ = ()

    HEAD: ClassVar = msgspec.json.Decoder(_Head)
    WHOLE: ClassVar = msgspec.json.Decoder(_Whole)

    def _deliver(self, whole: _Whole, parts: Parts) -> bool:
        if whole.output is None:
            return False
        read_message(whole.output.message, parts)
        return True


class Stream(_Converse, ObjectStream):
    """Reads the answer of ``converse-stream``."""

    __slots__ = ()

    MARKERS: ClassVar = (b"metadata", b"exception", b"error")
    HEAD: ClassVar = msgspec.json.Decoder(_Head)
    WHOLE: ClassVar = msgspec.json.Decoder(Event)
    USAGE: ClassVar = (b'"usage"',)
    NAMES: ClassVar = b'"invokedModelId"'
    LAST: ClassVar = (b'"usage"', b'"error"')

    def feed(self, chunk: bytes, /) -> bool:
        """Take a chunk; True when it completes ``metadata`` or an exception."""
        try:
            tape = self._tape
            tape.append(chunk)
            if (
                chunk[12:44] == _DELTA
                and int.from_bytes(chunk[:4]) == len(chunk) < LARGE
                and not self._armed
                and len(tape) < self._limit
            ):
                return False  # one message with some text, which is not the last one
            return self._look(chunk)
        except Exception:  # noqa: BLE001 - as `_break` says
            return self._break()

    def _ends(self, head: _Head) -> bool:
        return opened(head.usage) is not None

    def _deliver(self, whole: Event, parts: Parts) -> bool:
        for block in (whole.delta, whole.start):
            if block is not None:
                read_block(whole.content_block_index, block, parts)
        return whole.role is not None or whole.content_block_index is not None
