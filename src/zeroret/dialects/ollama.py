"""Ollama's generate, chat and embed.

API reference: https://github.com/ollama/ollama/blob/main/docs/api.md. A stream is lines of JSON,
the last one ``done`` and with the counts. ``prompt_eval_count`` is left out where the server found
the prompt in its cache, so that a missing one is unknown and not zero.
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
"""The kinds of text of an answer."""


class _Head(Head):
    done: Any = None
    prompt_eval_count: msgspec.Raw = NOTHING
    eval_count: msgspec.Raw = NOTHING


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: Any = None


class _Whole(_Head):
    response: str | None = None
    thinking: str | None = None
    message: _Message | None = None


class _Ollama(Objects):
    """What an answer or a line of one means."""

    __slots__ = ()

    HEAD: ClassVar = msgspec.json.Decoder(_Head)
    WHOLE: ClassVar = msgspec.json.Decoder(_Whole)

    def _usage_of(self, head: _Head) -> Usage | None:
        taken, made = opened(head.prompt_eval_count), opened(head.eval_count)
        if taken is None and made is None:
            return None
        report = Reading()
        usage = Usage(input_tokens=report.count(taken), output_tokens=report.count(made))
        usage.malformed = report.malformed
        return usage

    def _deliver(self, whole: _Whole, parts: Parts) -> bool:
        said = whole.message
        told = [(TEXT, whole.response), (THOUGHT, whole.thinking)]
        if said is not None:
            told += [(TEXT, said.content), (THOUGHT, said.thinking)]
            told += [(CALL, text) for text in _calls(said.tool_calls)]
        for kind, text in told:
            if text:
                parts.setdefault((0, kind), []).append(text)
        return whole.done is not None and (said is not None or whole.response is not None)


def _calls(calls: object) -> list[str]:
    """Return the names and the arguments of tool *calls*."""
    texts = []
    for call in calls if isinstance(calls, list) else ():
        function = details(details(call).get("function"))
        name, arguments = function.get("name"), function.get("arguments")
        texts += [name] if isinstance(name, str) else []
        texts += [msgspec.json.encode(arguments).decode()] if arguments else []
    return texts


class Body(_Ollama, ObjectBody):
    """Reads the answer of ``generate`` or ``chat``."""

    __slots__ = ()


class Vectors(_Ollama, ObjectBody):
    """Reads the answer of ``embed`` or ``embeddings``.

    Vectors are no tokens: where the input is known the output is known to be zero.
    """

    __slots__ = ()

    def _usage_of(self, head: _Head) -> Usage | None:
        usage = super()._usage_of(head)
        if usage is not None and usage.input_tokens is not None:
            usage.output_tokens = 0
        return usage


class Stream(_Ollama, ObjectStream):
    """Reads the lines of ``generate`` or ``chat``."""

    __slots__ = ()

    MARKERS: ClassVar = (b'"done":true', b'"done": true', b'"error"')
    LAST: ClassVar = MARKERS
    USAGE: ClassVar = (b'eval_count"',)

    def feed(self, chunk: bytes, /) -> bool:
        """Take a chunk; True when it completes the line that is ``done``, or an error."""
        try:
            tape = self._tape
            tape.append(chunk)
            if (
                chunk[-14:] == b'"done":false}\n'
                and chunk.find(b"\n") == len(chunk) - 1
                and not self._armed
                and len(tape) < self._limit
                and len(chunk) < LARGE
            ):
                return False  # one line, which is not the last one
            return self._look(chunk)
        except Exception:  # noqa: BLE001 - as `_break` says
            return self._break()

    def _ends(self, head: _Head) -> bool:
        return head.done is True
