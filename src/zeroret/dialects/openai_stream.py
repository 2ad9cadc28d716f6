"""What OpenAI's two kinds of streams have in common: running usages, and where to look for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from zeroret.dialects import sse
from zeroret.dialects.openai_usage import without_nulls
from zeroret.dialects.streams import StreamReader
from zeroret.dialects.usage import fold_used

if TYPE_CHECKING:
    import msgspec

    from zeroret.dialects.answer import Parts
    from zeroret.dialects.usage import Usage

END: Final = 4096
"""Bytes at the end of a run, where the usage stands and the last event, if all goes well."""


class UsageStream(StreamReader):
    """Reads a stream any event of which may tell the usage so far."""

    __slots__ = ()

    HEAD: ClassVar[msgspec.json.Decoder[Any]]
    """Decodes what is needed of every event; bears anything."""

    WHOLE: ClassVar[msgspec.json.Decoder[Any]]
    """Decodes the text too."""

    def _note(self, head: Any) -> Usage | None:
        """Take model and error out of an event; return its usage, if it has one."""
        raise NotImplementedError

    def _deliver(self, whole: Any, parts: Parts) -> None:
        """Add the text of an event to *parts*."""
        raise NotImplementedError

    def _scan_usage(self, text: bytes) -> None:
        if self.model is None:
            for block in sse.blocks_with(text, b'"model"'):
                self._read_head(sse.event(block)[1])
                if self.model is not None:
                    break
        end = sse.last_events(text, END)
        found = self._usages(end)
        if not (found and found[-1].decisive):
            found += self._usages(text[: len(text) - len(end)])
        for usage in reversed(found):
            self.usage = fold_used(self.usage, usage)

    def _usages(self, text: bytes) -> list[Usage]:
        """Return the usages that count, the last one first."""
        found: list[Usage] = []
        for block in sse.blocks_with_from_end(without_nulls(text), b'"usage"'):
            usage = self._read_head(sse.event(block)[1])
            if usage is not None:
                found.append(usage)
                if usage.decisive:
                    break
        return found

    def _scan_errors(self, text: bytes) -> None:
        for block in sse.blocks_with(text, b'"error"'):
            self._read_head(sse.event(block)[1])

    def _read_head(self, data: bytes) -> Usage | None:
        head = self._decoded(self.HEAD, data)
        return None if head is None else self._note(head)

    def _read_event(self, kind: bytes, data: bytes, parts: Parts) -> bool:  # noqa: ARG002 - the data says its type too, if it has one
        if data.strip() == b"[DONE]":
            return True
        event = self._decoded(self.WHOLE, data)
        if event is not None:
            self._read_whole(event, parts)
            return True
        usage = self._read_head(data)
        if usage is not None:
            self.usage = fold_used(self.usage, usage)
        return False

    def _read_lines(self, lines: bytes, parts: Parts) -> bool:
        events = self._decoded_lines(self.WHOLE, lines)
        if events is None:
            return False
        for event in events:
            self._read_whole(event, parts)
        return True

    def _read_whole(self, event: Any, parts: Parts) -> None:
        usage = self._note(event)
        if usage is not None:
            self.usage = fold_used(self.usage, usage)
        self._deliver(event, parts)
