"""Anthropic's messages.

API reference: https://docs.anthropic.com/en/api/messages and .../messages-streaming. ``usage`` of
``message_start`` names the input; its output is a placeholder. ``usage`` of ``message_delta`` is
cumulative: it overwrites, key by key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from zeroret.dialects import sse
from zeroret.dialects.answer import FAULTS, BodyReader
from zeroret.dialects.request import model_in
from zeroret.dialects.streams import LARGE, StreamReader
from zeroret.dialects.template import MARK
from zeroret.dialects.usage import Reading, Usage, as_count, details, opened, stated

if TYPE_CHECKING:
    from zeroret.dialects.answer import Count, Parts

_KEYS: Final = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
)
_SILENT: Final = frozenset({"signature_delta", "citations_delta"})
"""Deltas that deliver no tokens of their own."""

_NOTHING: Final = msgspec.Raw()


class _Message(msgspec.Struct):
    """What is read of a message whose text is of no interest; undecoded where it may be large."""

    usage: msgspec.Raw = _NOTHING
    model: msgspec.Raw = _NOTHING


class _Head(_Message):
    type: str | None = None
    error: msgspec.Raw = _NOTHING
    message: _Message | None = None


class _Body(msgspec.Struct):
    content: Any = None


class _Delta(msgspec.Struct):
    type: Any = None
    text: Any = None
    thinking: Any = None
    partial_json: Any = None


class _Event(_Head):
    index: Any = 0
    delta: _Delta | None = None
    content_block: Any = None


_head: Final = msgspec.json.Decoder(_Head)
_body: Final = msgspec.json.Decoder(_Body)
_event: Final = msgspec.json.Decoder(_Event)


class Tally:
    """The usage blocks of one message, overwritten key by key."""

    __slots__ = ("_final", "_start", "malformed", "tier")

    def __init__(self) -> None:
        self._start: dict[str, int] = {}
        self._final: dict[str, int] = {}
        self.malformed = 0
        self.tier: object = None
        """The service tier, as sent."""

    def start(self, block: object) -> None:
        """Take the usage of ``message_start``; its output is a placeholder and is left out."""
        counts = self._counts(block)
        counts.pop("output_tokens", None)
        self._start = counts

    def final(self, block: object) -> None:
        """Take a cumulative usage."""
        self._final.update(self._counts(block))

    def usage(self) -> Usage:
        """Return what is known now."""
        counts = self._start | self._final
        fresh = counts.get("input_tokens")
        read = counts.get("cache_read_input_tokens")
        write = counts.get("cache_creation_input_tokens")
        return Usage(
            input_tokens=None if fresh is None else fresh + (read or 0) + (write or 0),
            output_tokens=counts.get("output_tokens"),
            cache_read_input_tokens=read,
            cache_write_input_tokens=write,
            reasoning_output_tokens=counts.get("thinking_tokens"),
        )

    def _counts(self, block: object) -> dict[str, int]:
        if not isinstance(block, dict):
            self.malformed += block is not None
            return {}
        report = Reading()
        self.tier = block.get("service_tier") or self.tier
        counts = {
            key: value for key in _KEYS if (value := report.count(block.get(key))) is not None
        }
        thinking = report.count(details(block.get("output_tokens_details")).get("thinking_tokens"))
        if thinking is not None:
            counts["thinking_tokens"] = thinking
        self.malformed += report.malformed
        return counts


def names_all(block: object) -> bool:
    """Return whether a usage *block* names every count: then no older one matters."""
    return isinstance(block, dict) and all(as_count(block.get(key)) is not None for key in _KEYS)


def read_block(index: int, block: object, parts: Parts) -> bool:
    """Add the text of one content *block* to *parts*; False if some of it is no text."""
    if not isinstance(block, dict):
        return False
    kind = block.get("type")
    out = parts.setdefault((index, 0), [])
    if kind in {"text", "thinking"}:
        text = block.get(kind)
        if isinstance(text, str):
            out.append(text)
        return True
    if isinstance(kind, str) and kind.endswith("tool_use"):
        name = block.get("name")
        if isinstance(name, str):
            out.append(name)
        if block.get("input"):
            out.append(msgspec.json.encode(block["input"]).decode())
        return True
    # results of server tools are input, not output; anything else cannot be counted
    return isinstance(kind, str) and kind.endswith("tool_result")


class Body(BodyReader):
    """Reads a message."""

    __slots__ = ()

    def _read(self, body: bytes, *, count: bool) -> None:
        head = _head.decode(body)
        self.model = model_in(head.model)
        self.error = head.type == "error" or stated(head.error)
        tally = Tally()
        tally.final(opened(head.usage))
        self.usage = tally.usage()
        self.malformed += tally.malformed
        self._served(tally.tier)
        if not count or self._count is None or self.usage.whole:
            return
        content = _body.decode(body).content
        if not isinstance(content, list):
            return
        self.recognised = True
        parts: Parts = {}
        for index, block in enumerate(content):
            if not read_block(index, block, parts):
                self.opaque = True
        self._count(parts)


class Stream(StreamReader):
    """Reads a stream of message events."""

    __slots__ = ("_started", "_tally")

    MARKERS: ClassVar[tuple[bytes, ...]] = (b"message_stop", b"error")
    TEXT: ClassVar = re.compile(rb'"(?:text|thinking|partial_json)": ?"')

    def __init__(self, name: str, count: Count | None, *, hold: bool) -> None:
        super().__init__(name, count, hold=hold)
        self._tally = Tally()
        self._started = False

    def feed(self, chunk: bytes, /) -> bool:
        """Take a chunk; True when it completes ``message_stop`` or an error event."""
        try:
            tape = self._tape
            tape.append(chunk)
            if (
                chunk.find(b"\n", 40) == (size := len(chunk)) - 2
                and chunk[:13] == b"event: conten"
                and len(tape) < self._limit
                and size < LARGE
            ):
                # one event about a content block, which is not the terminal one
                return False
            return self._look(chunk)
        except Exception:  # noqa: BLE001 - as `_break` says
            return self._break()

    def _scan_terminal(self, text: bytes) -> None:
        for part in (sse.last_events(text, 4096), text):
            for marker in self.MARKERS:
                for block in sse.blocks_with(part, marker):
                    self._read_terminal(block)
                if self.terminal:
                    return

    def _read_terminal(self, block: bytes) -> None:
        kind, data = sse.event(block)
        if kind not in {b"", b"message_stop", b"error"}:
            return
        head = self._decoded(_head, data)
        said = head.type if head is not None else None
        if said == "message_stop" or (head is None and kind == b"message_stop"):
            self.terminal = True
        elif said == "error" or kind == b"error":
            self.terminal = self.error = True

    def _scan_usage(self, text: bytes) -> None:
        if not self._started:
            for block in sse.blocks_with(text, b'"message_start"'):
                self._take_head(self._decoded(_head, sse.event(block)[1]))
                if self._started:
                    break
        found: list[object] = []
        for block in sse.blocks_with_from_end(text, b'"message_delta"'):
            head = self._decoded(_head, sse.event(block)[1])
            if head is not None and head.type == "message_delta":
                found.append(usage := opened(head.usage))
                if names_all(usage):
                    break
        for usage in reversed(found):
            self._tally.final(usage)
        self._settle()

    def _scan_errors(self, text: bytes) -> None:
        for block in sse.blocks_with(text, b"error"):
            head = self._decoded(_head, sse.event(block)[1])
            if head is not None and head.type == "error":
                self.error = True

    def _take_head(self, head: _Head | None) -> None:
        """Take usage, model and error out of one event."""
        if head is None:
            return
        if head.type == "message_delta":
            self._tally.final(opened(head.usage))
        elif head.type == "message_start" and head.message is not None:
            self._started = True
            self._tally.start(opened(head.message.usage))
            if self.model is None:
                self.model = model_in(head.message.model)
        elif head.type == "error":
            self.error = True

    def _settle(self) -> None:
        self.usage = self._tally.usage()
        self.malformed += self._tally.malformed
        self._tally.malformed = 0
        self._served(self._tally.tier)

    def _read_event(self, kind: bytes, data: bytes, parts: Parts) -> bool:  # noqa: ARG002 - the data says its type too
        if data.strip() == b"[DONE]":
            return True  # some servers end every stream so
        event = self._decoded(_event, data)
        if event is not None:
            self._read_whole(event, parts)
            return True
        self._take_head(self._decoded(_head, data))
        self._settle()
        return False

    def _read_lines(self, lines: bytes, parts: Parts) -> bool:
        events = self._decoded_lines(_event, lines)
        if events is None:
            return False
        for event in events:
            self._read_whole(event, parts)
        return True

    def _read_whole(self, event: _Event, parts: Parts) -> None:
        said = event.type
        if said == "content_block_delta":
            self._read_delta(event, parts)
        elif said == "content_block_start":
            index = event.index if type(event.index) is int else 0
            if not read_block(index, event.content_block, parts):
                self.opaque = True
        elif said in {"message_start", "message_delta", "error"}:
            self._take_head(event)
            self._settle()
        else:
            return
        self.recognised = True

    def _read_delta(self, event: _Event, parts: Parts) -> None:
        delta = event.delta
        if delta is None:
            self.opaque = True
            return
        text = delta.text
        if text is None:
            text = delta.thinking if delta.thinking is not None else delta.partial_json
        if type(text) is not str:
            if delta.type not in _SILENT:
                self.opaque = True
            return
        if not text:
            return
        index = event.index if type(event.index) is int else 0
        place = parts.get((index, 0))
        if place is None:
            place = parts[index, 0] = []
        place.append(text)

    def _meaning(self, event: bytes) -> tuple[int, int] | None:
        try:
            whole = _event.decode(sse.event(event)[1])
        except FAULTS:
            return None
        if whole.type != "content_block_delta" or stated(whole.error):
            return None
        parts: Parts = {}
        self._read_delta(whole, parts)
        if list(parts.values()) != [[MARK]]:
            return None
        self.recognised = True
        return next(iter(parts))
