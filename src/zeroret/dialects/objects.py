"""Answers made of JSON objects: one as a body, or one an event of a stream.

A family of dialects says once what its objects mean, by the methods of `Objects`, and has readers
of both kinds by joining it with `ObjectBody` and `ObjectStream`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from zeroret.dialects import sse
from zeroret.dialects.answer import Answer, BodyReader, Parts
from zeroret.dialects.request import model_in
from zeroret.dialects.streams import StreamReader
from zeroret.dialects.usage import Usage, fold, stated

NOTHING: Final = msgspec.Raw()
"""What stands in a field that was not sent."""


class Head(msgspec.Struct):
    """What is read of an object whose text is of no interest; families add their own fields.

    What may be of any shape is left raw, so that nothing is built of what is large or not wanted.
    """

    model: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING


class Objects(Answer):
    """What the objects of one family mean."""

    __slots__ = ()

    HEAD: ClassVar[msgspec.json.Decoder[Any]]
    """Decodes what is needed of every object; bears anything."""

    WHOLE: ClassVar[msgspec.json.Decoder[Any]]
    """Decodes the text too; a refusal means that the object is not of this dialect."""

    def _usage_of(self, head: Any) -> Usage | None:
        """Return the usage an object reports; None if it reports none."""
        raise NotImplementedError

    def _failed(self, head: Any) -> bool:
        """Return whether an object says that the answer is an error."""
        return stated(head.error)

    def _deliver(self, whole: Any, parts: Parts) -> bool:
        """Add the text of an object to *parts*; True if only this dialect sends such an object."""
        raise NotImplementedError

    def _note(self, head: Any) -> Usage | None:
        """Take model and error out of an object; return its usage, which is left to the caller."""
        if self.model is None:
            self.model = model_in(head.model)
        if self._failed(head):
            self.error = True
        return self._usage_of(head)

    def _read_text(self, whole: Any, parts: Parts) -> None:
        if self._deliver(whole, parts):
            self.recognised = True
            self.opaque = True  # neither vocabulary nor frame of these vendors is public


class ObjectBody(Objects, BodyReader):
    """Reads one object."""

    __slots__ = ()

    def _read(self, body: bytes, *, count: bool) -> None:
        usage = self._note(self.HEAD.decode(body))
        if usage is not None:
            self.usage = fold(self.usage, usage)
        self.malformed += self.usage.malformed
        if not count or self.usage.whole:
            return
        parts: Parts = {}
        self._read_text(self.WHOLE.decode(body), parts)
        if self._count is not None and parts:
            self._count(parts)


class ObjectStream(Objects, StreamReader):
    """Reads a stream each event of which is one object."""

    __slots__ = ()

    USAGE: ClassVar[tuple[bytes, ...]]
    """Bytes one of which stands in every event that reports usage, in the order of preference."""

    NAMES: ClassVar[bytes] = b'"model"'
    """Bytes that stand in every event that names the model; none if no event does."""

    LAST: ClassVar[tuple[bytes, ...]] = ()
    """Bytes one of which stands in every last event, as it is given on."""

    def _ends(self, head: Any) -> bool:
        """Return whether an object is the last of its stream."""
        raise NotImplementedError

    def _scan_terminal(self, text: bytes) -> None:
        for needle in self.LAST:
            for block in sse.blocks_with_from_end(text, needle):
                head = self._head_of(block)
                if head is not None and (self._ends(head) or self._failed(head)):
                    self.terminal = True
                    self.error = self.error or self._failed(head)
                    return

    def _scan_usage(self, text: bytes) -> None:
        if self.model is None and self.NAMES:
            for block in sse.blocks_with(text, self.NAMES):
                head = self._head_of(block)
                self.model = None if head is None else model_in(head.model)
                if self.model is not None:
                    break
        found: list[Usage] = []
        for needle in self.USAGE:
            for block in sse.blocks_with_from_end(text, needle):
                head = self._head_of(block)
                usage = None if head is None else self._note(head)
                if usage is not None:
                    found.append(usage)
                    if usage.whole:
                        break
        for usage in reversed(found):
            self.usage = fold(self.usage, usage)

    def _scan_errors(self, text: bytes) -> None:
        for block in sse.blocks_with(text, b'"error"'):
            head = self._head_of(block)
            if head is not None and self._failed(head):
                self.error = True

    def _head_of(self, block: bytes) -> Any:
        """Return the head of an event; None if it cannot be read."""
        return self._decoded(self.HEAD, sse.event(block)[1])

    def _read_lines(self, lines: bytes, parts: Parts) -> bool:
        events = self._decoded_lines(self.WHOLE, lines)
        if events is None:
            return False
        for event in events:
            self._read_text(event, parts)
            if self.model is None:
                self.model = model_in(event.model)
        self._report_all(events)
        return True

    def _report_all(self, events: list[Any]) -> None:
        """Take usage and errors out of *events*: of running totals the last one is enough."""
        found: list[Usage] = []
        whole = False
        for event in reversed(events):
            if not whole:
                usage = self._usage_of(event)
                if usage is not None:
                    found.append(usage)
                    whole = usage.whole
            if self._failed(event):
                self.error = True
        for usage in reversed(found):
            self.usage = fold(self.usage, usage)

    def _read_event(self, kind: bytes, data: bytes, parts: Parts) -> bool:  # noqa: ARG002 - the types of these events say nothing
        if data.strip() in {b"", b"[DONE]"}:
            return True
        event = self._decoded(self.WHOLE, data)
        if event is not None:
            self._read_whole(event, parts)
            return True
        head = self._decoded(self.HEAD, data)
        if head is not None:
            self._report(head)
        return False

    def _read_whole(self, event: Any, parts: Parts) -> None:
        self._report(event)
        self._read_text(event, parts)

    def _report(self, head: Any) -> None:
        usage = self._note(head)
        if usage is not None:
            self.usage = fold(self.usage, usage)
