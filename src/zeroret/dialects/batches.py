"""The results of batches: of OpenAI's, told by the batch and by its output file, of Anthropic's.

API reference: https://platform.openai.com/docs/api-reference/batch and
https://docs.anthropic.com/en/api/retrieving-message-batch-results. Results are lines, each an
answer with its own usage: they add up. Whoever fetches them again sees the same usage again, so
that a reader says how it is to be taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from zeroret.dialects import anthropic
from zeroret.dialects.answer import FAULTS, Answer, BodyReader
from zeroret.dialects.ndjson import LineBuffer
from zeroret.dialects.openai_usage import read_usage
from zeroret.dialects.request import model_in
from zeroret.dialects.usage import Usage, opened, total

if TYPE_CHECKING:
    from zeroret.dialects.answer import Count

LINE_LIMIT: Final = 16 * 2**20
"""The most bytes of one result, images included."""

_NOTHING: Final = msgspec.Raw()
_PREFIX: Final = len(b"data: ")


class _Answered(msgspec.Struct):
    usage: msgspec.Raw = _NOTHING
    model: msgspec.Raw = _NOTHING


class _Response(msgspec.Struct):
    body: _Answered | None = None


class _Result(msgspec.Struct):
    message: _Answered | None = None


class _Line(msgspec.Struct):
    custom_id: msgspec.Raw = _NOTHING
    response: _Response | None = None
    result: _Result | None = None


class _Batch(msgspec.Struct):
    object: str | None = None
    id: str | None = None
    output_file_id: str | None = None
    status: str | None = None
    usage: msgspec.Raw = _NOTHING
    model: msgspec.Raw = _NOTHING


_line: Final = msgspec.json.Decoder(_Line)
_batch: Final = msgspec.json.Decoder(_Batch)
_OVER: Final = frozenset({"completed", "failed", "expired", "cancelled"})


class Batch(BodyReader):
    """Reads what a batch says of itself; its usage is known when it is over."""

    __slots__ = ()

    def _read(self, body: bytes, *, count: bool) -> None:  # noqa: ARG002 - nothing can be counted
        batch = _batch.decode(body)
        if batch.object != "batch" or batch.status not in _OVER:
            return
        self.model = model_in(batch.model)
        usage = read_usage(opened(batch.usage), self._name, self.model)
        if usage is not None:
            # the file of the results tells the same usage, line by line
            self.way, self.key = "first", batch.output_file_id or batch.id
            self.usage = usage
            self.malformed += usage.malformed


class Results(Answer):
    """Reads the lines of results; a file of anything else is passed by."""

    __slots__ = ("_buffer", "_other")

    def __init__(self, name: str, count: Count | None) -> None:
        super().__init__(name, count)
        self._buffer = LineBuffer(LINE_LIMIT)
        self._other = False

    @property
    def held(self) -> int:
        """Bytes of the unfinished line."""
        return self._buffer.held

    def feed(self, chunk: bytes, /) -> bool:
        """Read the lines that *chunk* completes; there is no terminal event. Never raises."""
        if not self._other:
            try:
                self._read(self._buffer.feed(chunk))
            except Exception:  # noqa: BLE001 - a fault of ours must not reach the reply
                self.malformed += 1
                self._pass_by()
        return False

    def finish(self, *, complete: bool, count: bool) -> None:  # noqa: ARG002 - nothing can be counted
        """Read the last line; of results that broke off nothing is taken, since they come again."""
        rest = self._buffer.finish()
        if not self._other and rest:
            self._read(rest + b"\n\n")
        if not complete or self._other:
            self.usage = Usage()
            self.way = None
        self.malformed += self.usage.malformed

    def drop(self) -> None:
        """Let go of everything held."""
        self._buffer.finish()

    def _read(self, events: bytes) -> None:
        for event in events.split(b"\n\n"):
            if not event or self._other:
                continue
            try:
                line = _line.decode(event[_PREFIX:])
            except FAULTS:
                line = None
            if line is not None and len(line.custom_id):
                self._take(line)
            elif self.recognised:
                self.malformed += 1
            else:
                self._pass_by()

    def _take(self, line: _Line) -> None:
        self.recognised = True
        self.way = "first"
        if line.result is not None and line.result.message is not None:
            answer = line.result.message
            tally = anthropic.Tally()
            tally.final(opened(answer.usage))
            usage: Usage | None = tally.usage()
            self.malformed += tally.malformed
        elif line.response is not None and line.response.body is not None:
            answer = line.response.body
            usage = read_usage(opened(answer.usage), self._name, model_in(answer.model))
        else:
            return
        self.model = self.model or model_in(answer.model)
        if usage is not None:
            self.usage = total(self.usage, usage)

    def _pass_by(self) -> None:
        self._other = True
        self._buffer.finish()
