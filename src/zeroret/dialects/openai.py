"""OpenAI's chat completions and completions, and the many servers that speak them.

API reference: https://platform.openai.com/docs/api-reference/chat. What servers add to the text
stands in `openai_text` (``reasoning_content``, lists as content), what they add to the usage in
`openai_usage`; Groq has it in ``x_groq`` too, Kimi in the last choice of a stream.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from zeroret.dialects import sse
from zeroret.dialects.answer import FAULTS, BodyReader
from zeroret.dialects.openai_stream import END, UsageStream
from zeroret.dialects.openai_text import Choice, read_choices
from zeroret.dialects.openai_usage import read_usage
from zeroret.dialects.request import model_in
from zeroret.dialects.streams import LARGE
from zeroret.dialects.template import MARK
from zeroret.dialects.usage import details, opened, stated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroret.dialects.answer import Parts
    from zeroret.dialects.usage import Usage

__all__ = ["Body", "Stream", "read_usage"]

_NOTHING: Final = msgspec.Raw()


class _Head(msgspec.Struct):
    """What is read of every answer and event: undecoded, so that nothing large is built."""

    usage: msgspec.Raw = _NOTHING
    x_groq: msgspec.Raw = _NOTHING
    model: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING
    service_tier: msgspec.Raw = _NOTHING


class _Light(_Head):
    choices: msgspec.Raw = _NOTHING


class _Whole(_Head):
    choices: list[Choice] | None = None


class _Ending(msgspec.Struct):
    usage: msgspec.Raw = _NOTHING


_light: Final = msgspec.json.Decoder(_Light)
_whole: Final = msgspec.json.Decoder(_Whole)
_endings: Final = msgspec.json.Decoder(list[_Ending])


def _usage_of(head: _Head, name: str) -> Usage | None:
    """Return the usage that an answer or event reports; None if it reports none."""
    model = model_in(head.model)
    usage = read_usage(opened(head.usage), name, model)
    if usage is None and len(head.x_groq):
        usage = read_usage(details(opened(head.x_groq)).get("usage"), name, model)
    if usage is None:
        for choice in _choices_with_usage(head):
            usage = read_usage(opened(choice.usage), name, model) or usage
    return usage


def _choices_with_usage(head: _Head) -> Sequence[_Ending | Choice]:
    """Return the choices of an answer or event that have a usage of their own."""
    if isinstance(head, _Light):
        return _endings.decode(head.choices) if b'"usage"' in bytes(head.choices) else ()
    choices = head.choices if isinstance(head, _Whole) else None
    return [choice for choice in choices or () if len(choice.usage)]


class Body(BodyReader):
    """Reads a chat completion or a completion."""

    __slots__ = ()

    def _read(self, body: bytes, *, count: bool) -> None:
        head = _light.decode(body)
        self.model = model_in(head.model)
        self.error = stated(head.error)
        if len(head.service_tier):
            self._served(opened(head.service_tier))
        usage = _usage_of(head, self._name)
        if usage is not None:
            self.usage = usage
            self.malformed += usage.malformed
        if not count or self.usage.whole:
            return
        choices = _whole.decode(body).choices
        if choices is None or self._count is None:
            return
        self.recognised = True
        parts: Parts = {}
        self.opaque = not read_choices(choices, parts)
        self._count(parts)


class Stream(UsageStream):
    """Reads a stream of completion chunks."""

    __slots__ = ()

    HEAD: ClassVar = _light
    WHOLE: ClassVar = _whole
    MARKERS: ClassVar[tuple[bytes, ...]] = (b"[DONE]",)
    TEXT: ClassVar = re.compile(
        rb'"(?:content|text|reasoning_content|reasoning|arguments|refusal)": ?"'
    )

    VARYING: ClassVar = (b'"obfuscation"', re.compile(rb',"obfuscation":"[^"\\]*+"'))

    def feed(self, chunk: bytes, /) -> bool:
        """Take a chunk; True when it completes ``data: [DONE]``."""
        try:
            tape = self._tape
            tape.append(chunk)
            if (
                (chunk[-3:] == b"}\n\n" or chunk[-5:] == b"}\r\n\r\n")
                and len(tape) < self._limit
                and len(chunk) < LARGE
            ):
                # the event that ends here is an object, so it is not the terminal one
                return False
            return self._look(chunk)
        except Exception:  # noqa: BLE001 - as `_break` says
            return self._break()

    def _scan_terminal(self, text: bytes) -> None:
        for part in (sse.last_events(text, END), text):
            for block in sse.blocks_with(part, b"[DONE]"):
                if sse.event(block)[1].strip() == b"[DONE]":
                    self.terminal = True
                    return

    def _note(self, head: _Head) -> Usage | None:
        if self.model is None:
            self.model = model_in(head.model)
        if stated(head.error):
            self.error = True
        if len(head.service_tier):
            self._served(opened(head.service_tier))
        try:
            return _usage_of(head, self._name)
        except FAULTS:
            self.malformed += 1
            return None

    def _deliver(self, whole: _Whole, parts: Parts) -> None:
        if whole.choices is not None:
            self.recognised = True
            if not read_choices(whole.choices, parts):
                self.opaque = True

    def _meaning(self, event: bytes) -> tuple[int, int] | None:
        try:
            whole = _whole.decode(sse.event(event)[1])
        except FAULTS:
            return None
        if whole.choices is None or stated(whole.error) or _usage_of(whole, self._name) is not None:
            return None
        parts: Parts = {}
        plain = read_choices(whole.choices, parts)
        if list(parts.values()) != [[MARK]]:
            return None
        self.model = self.model or model_in(whole.model)
        self.recognised = True
        self.opaque = self.opaque or not plain
        return next(iter(parts))
