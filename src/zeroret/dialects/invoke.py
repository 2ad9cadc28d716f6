"""Amazon Bedrock's InvokeModel: bodies as each vendor's models have them.

User guide: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html. The path
does not always tell the vendor (an ARN of the account's own), so the body does. A stream's events
wrap the vendor's own in base64; whatever the vendor, the last one has the counts of
``amazon-bedrock-invocationMetrics``. Of an answer that is no stream the headers
``x-amzn-bedrock-…-token-count`` have them, and the body only with some vendors. Both leave out what
was read from the cache and written to it.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from zeroret.dialects import anthropic, bedrock, cohere, openai_usage, sse
from zeroret.dialects.answer import FAULTS
from zeroret.dialects.eventstream import MessageBuffer, as_event
from zeroret.dialects.objects import NOTHING, Head, ObjectBody, Objects, ObjectStream
from zeroret.dialects.request import model_name
from zeroret.dialects.sse import EVENT_LIMIT
from zeroret.dialects.usage import (
    OVERSIZED,
    UNREADABLE,
    Reading,
    Usage,
    details,
    fold,
    opened,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroret.dialects.answer import Buffer, Parts
    from zeroret.dialects.eventstream import Message

METRICS: Final = "amazon-bedrock-invocationMetrics"

_TEXTS: Final = (
    "output_text", "outputText", "text", "completion", "generation", "content", "thinking",
    "partial_json",
)  # fmt: skip
"""Where an answer, or a piece of one, has its text, whoever's it is."""

_HOLDERS: Final = (
    "content", "output", "message", "delta", "content_block", "content_block_delta",
    "results", "generations", "outputs", "choices",
)  # fmt: skip
"""What holds an answer or pieces of one, alone or in lists."""

_DEEPEST: Final = 6
_LONGEST_COUNT: Final = 15  # digits of a header's count that is believed

_ENDS: Final = tuple(b64encode(b"." * shift + METRICS[-21:].encode())[4:20] for shift in range(3))
"""What base64 makes of the name of the last event's counts, at each of the three alignments."""


class _Wrapped(msgspec.Struct):
    chunk: bytes = msgspec.field(default=b"", name="bytes")


class _Result(msgspec.Struct):
    tokens: Any = msgspec.field(default=None, name="tokenCount")
    text: Any = msgspec.field(default=None, name="outputText")


class _Head(Head):
    type: msgspec.Raw = NOTHING
    usage: msgspec.Raw = NOTHING
    message: msgspec.Raw = NOTHING
    metadata: msgspec.Raw = NOTHING
    meta: msgspec.Raw = NOTHING
    metrics: msgspec.Raw = msgspec.field(default=NOTHING, name=METRICS)
    titan_input: Any = msgspec.field(default=None, name="inputTextTokenCount")
    titan_output: Any = msgspec.field(default=None, name="totalOutputTextTokenCount")
    results: list[_Result] | None = None
    prompt_token_count: Any = None
    generation_token_count: Any = None
    embedding: msgspec.Raw = NOTHING
    embeddings: msgspec.Raw = NOTHING

    @property
    def vectors(self) -> bool:
        """Whether the answer is vectors, which are no tokens."""
        return len(self.embedding) > 0 or len(self.embeddings) > 0


class _Whole(_Head):
    output_text: Any = msgspec.field(default=None, name="outputText")
    text: Any = None
    completion: Any = None
    generation: Any = None
    content: Any = None
    output: Any = None
    delta: Any = None
    content_block: Any = None
    content_block_delta: Any = msgspec.field(default=None, name="contentBlockDelta")
    generations: Any = None
    outputs: Any = None
    choices: Any = None


_NAMED: Final = tuple(name for name in _Whole.__struct_fields__ if name in {*_TEXTS, *_HOLDERS})
"""The fields that have text or hold it."""

_wrapped: Final = msgspec.json.Decoder(_Wrapped)


def header_usage(headers: Mapping[bytes, bytes]) -> Usage:
    """Return the usage that response *headers* report, their names in lower case."""
    counts: dict[str, object] = {}
    for side in ("input", "output", "cache-read-input", "cache-write-input"):
        value = headers.get(f"x-amzn-bedrock-{side}-token-count".encode())
        if value is not None:
            sure = value.isdigit() and len(value) <= _LONGEST_COUNT
            counts[side] = int(value) if sure else value
    return bedrock.total(
        counts.get("input"),
        counts.get("output"),
        (counts.get("cache-read-input"),),
        (counts.get("cache-write-input"),),
    )


def vendor_usage(head: _Head) -> Usage:
    """Return the usage that the vendor's own part of an object reports."""
    block = opened(head.usage)
    for holder in (head.metadata, head.message):
        inner = opened(holder) if block is None else None
        block = inner.get("usage") if isinstance(inner, dict) else block
        if inner in (OVERSIZED, UNREADABLE):
            return Usage(malformed=1)
    if isinstance(block, dict):
        return _block_usage(block, started=opened(head.type) == "message_start")
    if block is not None:
        return Usage(malformed=1)
    counted = cohere.read_usage(opened(head.meta))
    if counted is not None:
        return counted
    report = Reading()
    made = [report.count(each.tokens) for each in head.results or ()]
    usage = Usage(
        input_tokens=report.count(head.titan_input, head.prompt_token_count),
        output_tokens=report.count(head.titan_output, head.generation_token_count),
    )
    if made and None not in made:
        usage.output_tokens = sum(each or 0 for each in made)
    usage.malformed = report.malformed
    return usage


def _block_usage(block: dict[str, Any], *, started: bool) -> Usage:
    """Return the usage of a ``usage`` *block* by the names of Amazon, OpenAI or Anthropic."""
    if "inputTokens" in block or "outputTokens" in block:
        return bedrock.read_usage(block) or Usage()
    if "prompt_tokens" in block or "completion_tokens" in block:
        return openai_usage.read_usage(block) or Usage()
    tally = anthropic.Tally()
    (tally.start if started else tally.final)(block)
    usage = tally.usage()
    usage.malformed = tally.malformed
    return usage


def _gather(value: object, texts: list[str], depth: int = _DEEPEST) -> None:
    """Add the text that stands in *value* to *texts*."""
    if isinstance(value, list) and depth:
        for each in value:
            _gather(each, texts, depth - 1)
    elif isinstance(value, dict) and depth:
        texts += [said for key in _TEXTS if isinstance(said := value.get(key), str)]
        for key in _HOLDERS:
            _gather(value.get(key), texts, depth - 1)


class _Invoked(Objects):
    """What an answer or an event of one means, whoever's it is."""

    __slots__ = ()

    HEAD: ClassVar = msgspec.json.Decoder(_Head)
    WHOLE: ClassVar = msgspec.json.Decoder(_Whole)

    def _usage_of(self, head: _Head) -> Usage | None:
        if self.model is None:
            self.model = model_name(details(opened(head.message)).get("model"))
        usage = vendor_usage(head)
        if head.vectors and (usage.input_tokens, self.usage.input_tokens) != (None, None):
            usage.output_tokens = 0
        metrics = details(opened(head.metrics))
        if not metrics:
            return usage
        known = fold(msgspec.structs.replace(self.usage), usage)
        if known.whole:
            return usage  # it says more than the metrics do
        get = metrics.get
        return bedrock.total(
            get("inputTokenCount"),
            get("outputTokenCount"),
            (get("cacheReadInputTokenCount"),),
            (get("cacheWriteInputTokenCount"),),
        )

    def _deliver(self, whole: _Whole, parts: Parts) -> bool:
        texts: list[str] = []
        if not whole.vectors:
            said = {name: getattr(whole, name) for name in _NAMED}
            said["message"] = opened(whole.message, EVENT_LIMIT)
            said["results"] = [{"text": each.text} for each in whole.results or ()]
            _gather(said, texts)
        if texts:
            parts.setdefault((0, 0), []).extend(texts)
        return bool(texts)


class Body(_Invoked, ObjectBody):
    """Reads the answer of ``invoke``."""

    __slots__ = ()


class ChunkBuffer(MessageBuffer):
    """Cuts an event stream into the objects that its messages wrap."""

    __slots__ = ()

    def feed(self, data: bytes) -> bytes:
        """Take *data* and return the wrapped objects it completed as events."""
        return b"".join([self._unwrapped(message) for message in self.messages(data)])

    def _unwrapped(self, message: Message) -> bytes:
        kind, failed, payload = message
        try:
            return as_event((kind, failed, payload if failed else _wrapped.decode(payload).chunk))
        except FAULTS:
            self.dropped += 1
            return b""


class Stream(_Invoked, ObjectStream):
    """Reads the answer of ``invoke-with-response-stream``."""

    __slots__ = ()

    MARKERS: ClassVar = (*_ENDS, b"exception", b"error")
    LAST: ClassVar = (METRICS.encode(), b'"error"')
    USAGE: ClassVar = (b"oken",)

    def cut_by(self, buffer: Buffer, *, lined: bool) -> None:
        """Read what the messages of an event stream wrap; other framings wrap nothing."""
        if isinstance(buffer, MessageBuffer):
            buffer = ChunkBuffer()
        super().cut_by(buffer, lined=lined)

    def _ends(self, head: _Head) -> bool:
        return len(head.metrics) > 0

    def _report_all(self, events: list[Any]) -> None:
        # in their order, as below
        for event in events:
            self._report(event)

    def _scan_usage(self, text: bytes) -> None:
        # in their order: the input stands in an early event, the output in a late one
        for block in sse.blocks_with(text, b"oken"):
            head = self._head_of(block)
            usage = None if head is None else self._note(head)
            if usage is not None:
                self.usage = fold(self.usage, usage)
