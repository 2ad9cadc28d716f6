"""OpenAI's typed events: responses, transcriptions, speech and images, in streams.

API reference: https://platform.openai.com/docs/api-reference/responses-streaming, .../audio and
.../images-streaming. Each event names its ``type``. The last one of a response holds all of it with
its usage; elsewhere the last event has the usage at its top. Servers that bridge from chat end with
``[DONE]`` besides.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from zeroret.dialects import sse
from zeroret.dialects.answer import FAULTS
from zeroret.dialects.openai_stream import UsageStream
from zeroret.dialects.openai_usage import read_usage
from zeroret.dialects.request import model_in
from zeroret.dialects.streams import LARGE
from zeroret.dialects.template import MARK
from zeroret.dialects.usage import opened, stated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroret.dialects.answer import Parts
    from zeroret.dialects.usage import Usage

TEXT, REASONING, REFUSAL, TOOLS, AUDIO = range(5)
"""The kinds of text that one item of an answer can hold."""

PLAIN: Final = frozenset({TEXT, REFUSAL})
"""The kinds whose count is the count of what was put out: the rest is framed, or a summary."""

TEXTS: Final[Mapping[str, int]] = {
    "response.output_text.delta": TEXT,
    "response.text.delta": TEXT,
    "response.refusal.delta": REFUSAL,
    "response.reasoning_text.delta": REASONING,
    "response.reasoning_summary_text.delta": REASONING,
    "response.function_call_arguments.delta": TOOLS,
    "response.custom_tool_call_input.delta": TOOLS,
    "response.mcp_call_arguments.delta": TOOLS,
    "response.code_interpreter_call_code.delta": TOOLS,
    "response.shell_call_command.delta": TOOLS,
    "response.audio.transcript.delta": AUDIO,
    "response.audio_transcript.delta": AUDIO,
    "response.output_audio_transcript.delta": AUDIO,
    "transcript.text.delta": TEXT,
}
"""The events that deliver text, and its kind."""

LAST: Final = frozenset(
    {
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.cancelled",
        "response.done",
        "transcript.text.done",
        "speech.audio.done",
    }
)
"""The events that end an answer."""

_NOTHING: Final = msgspec.Raw()
_USUAL: Final = frozenset({b"event: response.ou", b"event: response.re", b"event: response.fu"})
"""How events begin that do not end an answer."""

_LINES: Final = 3  # line ends of one event with its type


class Response(msgspec.Struct):
    """What is read of an answer; undecoded, so that nothing large is built."""

    usage: msgspec.Raw = _NOTHING
    model: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING
    id: msgspec.Raw = _NOTHING
    service_tier: msgspec.Raw = _NOTHING


class Head(Response):
    """What is read of an event whose text is of no interest."""

    type: str | None = None
    response: Response | None = None


class _Item(msgspec.Struct):
    name: Any = None


class Event(Head):
    """What is read of an event whose text is counted."""

    output_index: Any = 0
    delta: Any = None
    item: _Item | None = None


HEAD: Final = msgspec.json.Decoder(Head)
EVENT: Final = msgspec.json.Decoder(Event)


def usage_in(head: Head, name: str) -> Usage | None:
    """Return the usage that an event reports; None if it reports none."""
    for each in (head.response, head):
        if each is not None and len(each.usage):
            usage = read_usage(opened(each.usage), name, model_in(each.model))
            if usage is not None:
                return usage
    return None


def model_of(head: Head) -> str | None:
    """Return the model that an event names."""
    named = None if head.response is None else model_in(head.response.model)
    return named or model_in(head.model)


def failed(head: Head) -> bool:
    """Return whether an event says that the answer is an error."""
    if head.type in {"error", "response.failed"} or stated(head.error):
        return True
    return head.response is not None and stated(head.response.error)


def read_text(event: Event, parts: Parts) -> bool:
    """Add what an event delivers to *parts*; False if a count of it is no count of the whole."""
    kind = TEXTS.get(event.type or "")
    index = event.output_index if type(event.output_index) is int else 0
    if kind is None:
        name = None if event.item is None else event.item.name
        if event.type == "response.output_item.added" and isinstance(name, str) and name:
            parts.setdefault((index, TOOLS), []).append(name)
            return False
        return not (event.type or "").endswith("audio.delta")
    if isinstance(event.delta, str) and event.delta:
        parts.setdefault((index, kind), []).append(event.delta)
    return kind in PLAIN


class Stream(UsageStream):
    """Reads a stream of typed events."""

    __slots__ = ()

    HEAD: ClassVar = HEAD
    WHOLE: ClassVar = EVENT
    MARKERS: ClassVar[tuple[bytes, ...]] = (
        b"response.complet",
        b"response.incompl",
        b"response.failed",
        b"response.cancell",
        b"response.done",
        b"ript.text.done",
        b"eech.audio.done",
        b"[DONE]",
    )
    TEXT: ClassVar = re.compile(rb'"delta": ?"')
    VARYING: ClassVar = (
        b'"sequence_number"',
        re.compile(rb',(?:"sequence_number":\d+|"obfuscation":"[^"\\]*+")'),
    )

    def feed(self, chunk: bytes, /) -> bool:
        """Take a chunk; True when it completes the last event of the answer."""
        try:
            tape = self._tape
            tape.append(chunk)
            if (
                chunk[:18] in _USUAL
                and chunk[-3:] == b"}\n\n"
                and chunk.count(b"\n") == _LINES
                and len(tape) < self._limit
                and len(chunk) < LARGE
            ):
                # one event, of a kind that is not the last
                return False
            return self._look(chunk)
        except Exception:  # noqa: BLE001 - as `_break` says
            return self._break()

    def _scan_terminal(self, text: bytes) -> None:
        for marker in self.MARKERS:
            for block in sse.blocks_with_from_end(text, marker):
                data = sse.event(block)[1]
                if data.strip() == b"[DONE]":
                    self.terminal = True
                    return
                head = self._decoded(HEAD, data)
                if head is not None and head.type in LAST:
                    self.terminal = True
                    return

    def _note(self, head: Head) -> Usage | None:
        """Take model and error out of an event; return its usage, if it has one."""
        if self.model is None:
            self.model = model_of(head)
        if failed(head):
            self.error = True
        if head.response is not None and len(head.response.service_tier):
            self._served(opened(head.response.service_tier))
        return usage_in(head, self._name)

    def _deliver(self, whole: Event, parts: Parts) -> None:
        self.recognised = True
        if not read_text(whole, parts):
            self.opaque = True

    def _read_whole(self, event: Event, parts: Parts) -> None:
        if event.type is not None:
            super()._read_whole(event, parts)

    def _meaning(self, event: bytes) -> tuple[int, int] | None:
        try:
            whole = EVENT.decode(sse.event(event)[1])
        except FAULTS:
            return None
        if whole.type not in TEXTS or failed(whole) or usage_in(whole, self._name) is not None:
            return None
        parts: Parts = {}
        plain = read_text(whole, parts)
        if list(parts.values()) != [[MARK]]:
            return None
        self.recognised = True
        self.opaque = self.opaque or not plain
        return next(iter(parts))
