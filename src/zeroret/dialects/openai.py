"""OpenAI's chat completions, completions and embeddings, and the many servers that speak them.

API reference: https://platform.openai.com/docs/api-reference. Deviations that recorded traffic
shows: DeepSeek's ``prompt_cache_hit_tokens``, ``cached_tokens`` beside the counts (Kimi,
Hugging Face), Mistral's ``num_cached_tokens`` and lists as content, Groq's ``x_groq.usage``,
OpenRouter's ``cache_write_tokens``, ``reasoning`` beside ``reasoning_content``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from zeroret.dialects import sse
from zeroret.dialects.answer import FAULTS, LARGE, BodyReader, Parts, StreamReader
from zeroret.dialects.request import model_name
from zeroret.dialects.usage import Reading, Usage, details, fold

CONTENT, REASONING, REFUSAL, TOOLS, AUDIO = range(5)
"""The kinds of text that one choice can hold."""

_DEPTH: Final = 4  # lists of content parts hold parts that hold lists (Mistral's thinking)


if TYPE_CHECKING:
    from collections.abc import Callable


class _Text(msgspec.Struct):
    """``message`` or ``delta``."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct):
    index: Any = 0
    delta: _Text | None = None
    message: _Text | None = None
    text: Any = None


class _Head(msgspec.Struct):
    """What is read of an answer or event whose text is of no interest."""

    usage: Any = None
    x_groq: Any = None
    model: Any = None
    error: Any = None


class _Whole(_Head):
    choices: list[_Choice] | None = None


class _Embeddings(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw()


_SIDES_AND_TOTAL: Final = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
"""The keys of a usage block that names no parts."""

_head: Final = msgspec.json.Decoder(_Head)
_whole: Final = msgspec.json.Decoder(_Whole)
_embeddings: Final = msgspec.json.Decoder(_Embeddings)


def _read_parts(block: dict[str, Any], count: Callable[..., int | None], usage: Usage) -> None:
    """Read what is part of the input or the output, under every name it is sent by."""
    get = block.get
    taken = details(get("prompt_tokens_details"))
    made = details(get("completion_tokens_details"))
    usage.cache_read_input_tokens = count(
        taken.get("cached_tokens"),
        get("prompt_cache_hit_tokens"),
        get("cached_tokens"),
        get("num_cached_tokens"),
    )
    usage.cache_write_input_tokens = count(
        taken.get("cache_write_tokens"), taken.get("cache_creation_tokens")
    )
    usage.reasoning_output_tokens = count(made.get("reasoning_tokens"), get("reasoning_tokens"))
    usage.audio_input_tokens = count(taken.get("audio_tokens"))
    usage.audio_output_tokens = count(made.get("audio_tokens"))


def read_usage(block: object, name: str) -> Usage | None:
    """Return the usage of a ``usage`` *block* of dialect *name*; None if there is none."""
    if not isinstance(block, dict) or not block:
        return None
    get = block.get
    report = Reading()
    count = report.count
    usage = Usage(
        input_tokens=count(get("prompt_tokens"), get("input_tokens")),
        output_tokens=count(get("completion_tokens"), get("output_tokens")),
    )
    total = count(get("total_tokens"))
    if not block.keys() <= _SIDES_AND_TOTAL:
        _read_parts(block, count, usage)
    if name == "openai.embeddings":
        if usage.input_tokens is None and not report.malformed:
            usage.input_tokens = total
        usage.output_tokens = 0
    elif usage.input_tokens is not None and usage.output_tokens is not None:
        reasoning = usage.reasoning_output_tokens or 0
        if reasoning and total == usage.input_tokens + usage.output_tokens + reasoning:
            # the total proves that this server left reasoning out of its output
            usage.output_tokens += reasoning
    usage.malformed = report.malformed
    return usage


def _usage_of(head: _Head, name: str) -> Usage | None:
    usage = read_usage(head.usage, name)
    if usage is None and isinstance(head.x_groq, dict):
        usage = read_usage(head.x_groq.get("usage"), name)
    return usage


def _flat(content: object, out: list[str], depth: int = 0) -> bool:
    """Append the text of *content* to *out*; False if some of it is no text."""
    if isinstance(content, str):
        out.append(content)
        return True
    if content is None:
        return True
    if depth > _DEPTH:
        return False
    if isinstance(content, list):
        plain = True
        for part in content:
            plain &= _flat(part, out, depth + 1)
        return plain
    if isinstance(content, dict):
        for key in ("text", "thinking", "refusal"):
            if key in content:
                return _flat(content[key], out, depth + 1)
    return False


def _calls(value: object, out: list[str]) -> None:
    """Append function names and arguments of *value*, ``tool_calls`` or one ``function_call``."""
    for call in value if isinstance(value, list) else [{"function": value}]:
        if not isinstance(call, dict):
            continue
        function = call.get("function") or call.get("custom")
        if not isinstance(function, dict):
            continue
        for key in ("name", "arguments", "input"):
            text = function.get(key)
            if isinstance(text, str):
                out.append(text)
            elif text is not None:
                out.append(msgspec.json.encode(text).decode())


def _read_text(index: int, said: _Text, parts: Parts) -> bool:
    """Add the text of one message or delta to *parts*; False if some of it is no text."""
    content = said.content
    plain = True
    if type(content) is str:
        if content:
            _place(parts, index, CONTENT).append(content)
    elif content is not None:
        plain = _flat(content, _place(parts, index, CONTENT))
    reasoning = said.reasoning_content or said.reasoning  # servers send one, or the same twice
    if reasoning is not None:
        plain &= _flat(reasoning, _place(parts, index, REASONING))
    if said.refusal is not None:
        plain &= _flat(said.refusal, _place(parts, index, REFUSAL))
    calls = said.tool_calls or said.function_call
    if calls:
        plain = False  # the tokens that frame a call are not published
        _calls(calls, _place(parts, index, TOOLS))
    if said.audio is not None:
        plain = False
        if isinstance(said.audio, dict):
            _flat(said.audio.get("transcript"), _place(parts, index, AUDIO))
    return plain


def _place(parts: Parts, index: int, kind: int) -> list[str]:
    place = parts.get((index, kind))
    if place is None:
        place = parts[index, kind] = []
    return place


def read_choices(choices: list[_Choice], parts: Parts) -> bool:
    """Add the text of *choices* to *parts*; False if some of what they hold is no text."""
    plain = True
    for choice in choices:
        index = choice.index if type(choice.index) is int else 0
        said = choice.delta or choice.message
        if said is not None and not _read_text(index, said, parts):
            plain = False
        if choice.text is not None:
            plain &= _flat(choice.text, _place(parts, index, CONTENT))
    return plain


class Body(BodyReader):
    """Reads a chat completion, completion or embedding answer."""

    __slots__ = ()

    def _read(self, body: bytes, *, count: bool) -> None:
        head = _head.decode(body)
        self.model = model_name(head.model)
        self.error = bool(head.error)
        usage = _usage_of(head, self._name)
        if usage is not None:
            self.usage = usage
            self.malformed += usage.malformed
        if not count or self.usage.whole:
            return
        if self._name == "openai.embeddings":
            if bytes(_embeddings.decode(body).data).startswith(b"["):
                self.recognised = True
                self.usage.output_tokens = 0
            return
        choices = _whole.decode(body).choices
        if choices is None or self._count is None:
            return
        self.recognised = True
        parts: Parts = {}
        self.opaque = not read_choices(choices, parts)
        self._count(parts)


class Stream(StreamReader):
    """Reads a stream of completion chunks."""

    __slots__ = ()

    MARKERS: ClassVar[tuple[bytes, ...]] = (b"[DONE]",)

    def feed(self, chunk: bytes, /) -> bool:
        """Take a chunk; True when it completes ``data: [DONE]``."""
        try:
            pending = self._pending
            pending.append(chunk)
            if (
                (chunk[-3:] == b"}\n\n" or chunk[-5:] == b"}\r\n\r\n")
                and len(pending) < self._most
                and len(chunk) < LARGE
            ):
                # the event that ends here is an object, so it is not the terminal one
                return False
            return self._look(chunk)
        except Exception:  # noqa: BLE001 - as `_break` says
            return self._break()

    def _scan_terminal(self, text: bytes) -> None:
        for part in (sse.last_events(text, 4096), text):
            for block in sse.blocks_with(part, b"[DONE]"):
                if sse.event(block)[1].strip() == b"[DONE]":
                    self.terminal = True
                    return

    def _scan_usage(self, text: bytes) -> None:
        if self.model is None:
            for block in sse.blocks_with(text, b'"model"'):
                self._read_head(block)
                if self.model is not None:
                    break
        at = text.rfind(b'"usage"')
        if at >= 0 and text[at + 7 : at + 13].lstrip(b" :").startswith(b"null"):
            # every chunk may carry a null: they are struck out at once, at the same length
            text = text.replace(b'"usage":null', b'"usagE":null')
            text = text.replace(b'"usage": null', b'"usagE": null')
        found: list[Usage] = []
        for block in sse.blocks_with_from_end(text, b'"usage"'):
            usage = self._read_head(block)
            if usage is not None:
                found.append(usage)
                if usage.whole:
                    break
        for usage in reversed(found):
            self.usage = fold(self.usage, usage)

    def _read_head(self, block: bytes) -> Usage | None:
        data = sse.event(block)[1]
        try:
            head = _head.decode(data)
        except FAULTS:
            return None
        if self.model is None:
            self.model = model_name(head.model)
        if head.error:
            self.error = True
        return _usage_of(head, self._name)

    def _scan_errors(self, text: bytes) -> None:
        for block in sse.blocks_with(text, b'"error"'):
            self._read_head(block)

    def _read_event(self, kind: bytes, data: bytes, parts: Parts) -> bool:  # noqa: ARG002 - the types of these events say nothing
        try:
            event = _whole.decode(data)
        except FAULTS:
            return self._read_odd(data, parts)
        self._read_whole(event, parts)
        return True

    def _read_lines(self, lines: bytes, parts: Parts) -> bool:
        try:
            events = _whole.decode_lines(lines.removesuffix(b"\n[DONE]"))
        except FAULTS:
            return False
        for event in events:
            self._read_whole(event, parts)
        return True

    def _read_whole(self, event: _Whole, parts: Parts) -> None:
        if event.usage is not None or event.x_groq is not None:
            usage = _usage_of(event, self._name)
            if usage is not None:
                self.usage = fold(self.usage, usage)
        if self.model is None:
            self.model = model_name(event.model)
        if event.error is not None:
            self.error = bool(event.error) or self.error
        choices = event.choices
        if choices is not None:
            self.recognised = True
            if not read_choices(choices, parts):
                self.opaque = True

    def _read_odd(self, data: bytes, parts: Parts) -> bool:
        """Read an event that is no clean JSON: the terminal one, or one with broken UTF-8."""
        if data.strip() == b"[DONE]":
            return True
        try:
            data.decode()
        except UnicodeDecodeError:
            # an event stream is decoded with replacement (WHATWG): so the client sees it
            return self._read_event(b"", data.decode(errors="replace").encode(), parts)
        usage = self._read_head(data)
        if usage is not None:
            self.usage = fold(self.usage, usage)
        return False
