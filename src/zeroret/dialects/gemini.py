"""Google's Gemini, by its own API and by Vertex.

API reference: https://ai.google.dev/api/generate-content and .../embeddings;
https://cloud.google.com/vertex-ai/docs/reference/rest. ``usageMetadata`` stands in every chunk of a
stream and is a running total. ``candidatesTokenCount`` leaves the thoughts out,
``promptTokenCount`` the results of tools that the server itself called. Like every number of
proto3's JSON a zero is left out, so that a missing count is known to be zero only where the total,
or a refusal of the prompt, proves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from zeroret.dialects.objects import NOTHING, Head, ObjectBody, Objects, ObjectStream
from zeroret.dialects.streams import LARGE
from zeroret.dialects.usage import Reading, Usage, details, opened

if TYPE_CHECKING:
    from zeroret.dialects.answer import Parts

TEXT, THOUGHT, CALL = range(3)
"""The kinds of text that one candidate can hold."""


class _Ending(msgspec.Struct, rename="camel"):
    finish_reason: Any = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: Any = None
    function_call: Any = None
    executable_code: Any = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(_Ending, rename="camel"):
    index: Any = 0
    content: _Content | None = None


class _Head(Head, rename="camel"):
    model: msgspec.Raw = msgspec.field(default=NOTHING, name="modelVersion")
    usage_metadata: msgspec.Raw = NOTHING
    prompt_feedback: msgspec.Raw = NOTHING
    candidates: list[_Ending] | None = None


class _Whole(_Head):
    candidates: list[_Candidate] | None = None  # type: ignore[assignment] # each is an _Ending


class _Embedded(msgspec.Struct):
    statistics: Any = None


class _Prediction(msgspec.Struct):
    embeddings: _Embedded | None = None


class _Vectors(Head, rename="camel"):
    usage_metadata: msgspec.Raw = NOTHING
    predictions: list[_Prediction] | None = None


def read_usage(block: object, *, ended: bool, refused: bool) -> Usage | None:
    """Return the usage of a ``usageMetadata`` *block*; None if there is none.

    *ended* says that the answer ends with it, *refused* that the prompt was not let through. What
    is no object is a fault, and no usage.
    """
    if not isinstance(block, dict):
        return None if block is None else Usage(malformed=1)
    get = block.get
    took, made, parts = Reading(), Reading(), Reading()
    prompt = took.count(get("promptTokenCount"), 0 if refused else None)
    tools = took.count(get("toolUsePromptTokenCount"))
    answer = made.count(get("candidatesTokenCount"))
    thought = made.count(get("thoughtsTokenCount"))
    usage = Usage(
        cache_read_input_tokens=parts.count(get("cachedContentTokenCount")),
        reasoning_output_tokens=thought,
        audio_input_tokens=_audio(
            parts, get("promptTokensDetails"), get("toolUsePromptTokensDetails")
        ),
        audio_output_tokens=_audio(parts, get("candidatesTokensDetails")),
        malformed=took.malformed + made.malformed + parts.malformed,
    )
    if prompt is not None and not took.malformed:
        usage.input_tokens = prompt + (tools or 0)
    if made.malformed:
        return usage
    total = get("totalTokenCount")
    if answer is not None or thought is not None:
        usage.output_tokens = (answer or 0) + (thought or 0)
    elif refused or (ended and total is not None and total == usage.input_tokens):
        usage.output_tokens = 0
    return usage


def _audio(report: Reading, *lists: object) -> int | None:
    """Return the audio tokens of lists of counts by modality; None if none are named."""
    found: int | None = None
    for entries in lists:
        for entry in entries if isinstance(entries, list) else ():
            if details(entry).get("modality") == "AUDIO":
                number = report.count(details(entry).get("tokenCount"))
                found = found if number is None else (found or 0) + number
    return found


class _Gemini(Objects):
    """What an answer or a chunk of one means."""

    __slots__ = ()

    HEAD: ClassVar = msgspec.json.Decoder(_Head)
    WHOLE: ClassVar = msgspec.json.Decoder(_Whole)

    def _usage_of(self, head: _Head) -> Usage | None:
        refused = bool(details(opened(head.prompt_feedback)).get("blockReason"))
        ended = any(each.finish_reason for each in head.candidates or ())
        block = opened(head.usage_metadata)
        self._served(details(block).get("trafficType"))
        return read_usage(block, ended=ended, refused=refused)

    def _deliver(self, whole: _Whole, parts: Parts) -> bool:
        for candidate in whole.candidates or ():
            index = candidate.index if type(candidate.index) is int else 0
            content = candidate.content
            for part in (content and content.parts) or ():
                _read_part(index, part, parts)
        return whole.candidates is not None or len(whole.usage_metadata) > 0


def _read_part(index: int, part: _Part, parts: Parts) -> None:
    if part.text:
        parts.setdefault((index, THOUGHT if part.thought else TEXT), []).append(part.text)
    for called in (part.function_call, part.executable_code):
        if isinstance(called, dict):
            told = [called.get("name"), called.get("code")]
            if called.get("args"):
                told.append(msgspec.json.encode(called["args"]).decode())
            texts = [text for text in told if isinstance(text, str)]
            parts.setdefault((index, CALL), []).extend(texts)


class Body(_Gemini, ObjectBody):
    """Reads the answer of ``generateContent``."""

    __slots__ = ()


class Stream(_Gemini, ObjectStream):
    """Reads the answer of ``streamGenerateContent``; no event says that it is the last."""

    __slots__ = ()

    USAGE: ClassVar = (b'"usageMetadata"',)
    NAMES: ClassVar = b'"modelVersion"'

    def feed(self, chunk: bytes, /) -> bool:
        """Take a chunk; False, since the last one looks like all others. Never raises."""
        try:
            self._tape.append(chunk)
            if len(self._tape) > self._limit or len(chunk) >= LARGE:
                self._look(chunk)
        except Exception:  # noqa: BLE001 - as `_break` says
            self._break()
        return False

    def _ends(self, head: _Head) -> bool:  # noqa: ARG002 - the protocol has no last event
        return False


class Vectors(ObjectBody):
    """Reads what embeds: ``embedContent``, ``batchEmbedContents``, and Vertex's ``predict``.

    Vectors are no tokens: where the input is known the output is known to be zero.
    """

    __slots__ = ()

    HEAD: ClassVar = msgspec.json.Decoder(_Vectors)
    WHOLE: ClassVar = HEAD

    def _usage_of(self, head: _Vectors) -> Usage | None:
        usage = read_usage(opened(head.usage_metadata), ended=False, refused=False)
        for one in head.predictions or ():
            statistics = details(one.embeddings and one.embeddings.statistics)
            report = Reading()
            number = report.count(statistics.get("token_count"))
            usage = usage or Usage(input_tokens=0)
            usage.malformed += report.malformed
            known = usage.input_tokens
            usage.input_tokens = None if number is None or known is None else known + number
        if usage is not None and usage.input_tokens is not None:
            usage.output_tokens = 0
        return usage

    def _deliver(self, whole: _Vectors, parts: Parts) -> bool:  # noqa: ARG002 - vectors are no text
        return False
