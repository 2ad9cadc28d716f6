"""OpenAI's websockets: realtime sessions, and responses over a connection that stays open.

API reference: https://platform.openai.com/docs/api-reference/realtime-server-events and
.../responses-client-events. Each frame is one JSON event. Each answer of a session has a usage of
its own, and so has each transcript of what the client said: they add up. An answer that is told
twice is taken once; one that broke off has its text counted.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from zeroret.dialects.answer import FAULTS
from zeroret.dialects.openai_events import (
    LAST,
    TEXTS,
    Event,
    Head,
    Response,
    model_of,
    read_text,
    usage_in,
)
from zeroret.dialects.repair import decoded
from zeroret.dialects.request import model_in
from zeroret.dialects.socket import SocketReader
from zeroret.dialects.streams import HOLD_LIMIT
from zeroret.dialects.usage import total

if TYPE_CHECKING:
    from zeroret.dialects.answer import Count, Parts

FRAME_LIMIT: Final = 16 * 2**20
"""The most bytes of a frame that is read."""

REMEMBERED: Final = 64
"""How many answers are remembered, so that none is taken twice."""

_TRANSCRIBED: Final = "conversation.item.input_audio_transcription.completed"
_LONGEST_ID: Final = 256
_HEAD: Final = 512  # bytes of a large frame in which its type is looked for
_LARGE: Final = 8192
_KINDS: Final = tuple(sorted({name.rpartition(".")[0].encode() for name in TEXTS}))


class _Session(msgspec.Struct):
    model: msgspec.Raw = msgspec.Raw()


class _Frame(Head):
    session: _Session | None = None
    event: Head | None = None


class _Asking(Response):
    session: _Session | None = None
    response: _Session | None = None


_frame: Final = msgspec.json.Decoder(_Frame)
_event: Final = msgspec.json.Decoder(Event)
_asking: Final = msgspec.json.Decoder(_Asking)


class Socket(SocketReader):
    """Reads one connection; `usage` is the sum of all that was reported on it so far."""

    __slots__ = ("_held", "_size", "_taken")

    def __init__(self, name: str, count: Count | None) -> None:
        super().__init__(name, count)
        self._held: list[bytes] = []
        self._size = 0
        self._taken: deque[bytes] = deque(maxlen=REMEMBERED)

    @property
    def held(self) -> int:
        """Bytes referenced: the text of answers whose usage has not come."""
        return self._size

    def finish(self, *, complete: bool, count: bool) -> None:  # noqa: ARG002 - an end is an end
        """Count the text of the answers that broke off, if *count* asks for it."""
        if count:
            self._count_held()
        self.malformed += self.usage.malformed
        self.drop()

    def drop(self) -> None:
        """Let go of everything held."""
        self._held = []
        self._size = 0
        self._taken.clear()

    def _came(self, frame: bytes) -> str | None:
        if b'"model"' not in frame or len(frame) > HOLD_LIMIT:
            return None
        try:
            asking = _asking.decode(frame)
        except FAULTS:
            return None  # the server will say so
        for each in (asking.session, asking.response, asking):
            model = None if each is None else model_in(each.model)
            if model is not None:
                return model
        return None

    def _went(self, frame: bytes) -> bool:
        if len(frame) > FRAME_LIMIT:
            self.malformed += 1
            return False
        if b'"usage"' in frame or (self.model is None and b'"model"' in frame):
            return self._take(frame)
        if self._count is not None and self._size < HOLD_LIMIT and _delivers(frame):
            self._held.append(frame)
            self._size += len(frame)
        return False

    def _take(self, frame: bytes) -> bool:
        """Read an event that names a model or reports usage; True if it reports."""
        head = decoded(_frame, frame)
        if head is None:
            self.malformed += 1
            return False
        if head.session is not None:
            self.model = self.model or model_in(head.session.model)
        told: Head = head.event or head  # a Live session wraps the events of its answers
        self.model = self.model or model_of(told)
        if told.type in LAST:
            return self._take_answer(told)
        usage = usage_in(told, self._name) if told.type == _TRANSCRIBED else None
        if usage is None:
            return False
        self.usage = total(self.usage, usage)
        return True

    def _take_answer(self, head: Head) -> bool:
        """Add the usage of an answer that ended; count its text if it has none."""
        name = b"" if head.response is None else bytes(head.response.id)[:_LONGEST_ID]
        if not name.startswith(b'"'):
            name = b""  # no text names it
        if name and name in self._taken:
            return False
        self._taken.append(name)
        usage = usage_in(head, self._name)
        if usage is None:
            self._count_held()
            return False
        self._held = [
            frame for frame in self._held if b'"response_id"' in frame and name not in frame
        ]
        self._size = sum(map(len, self._held))
        self.usage = total(self.usage, usage)
        return True

    def _count_held(self) -> None:
        parts: Parts = {}
        for frame in self._held:
            event = decoded(_event, frame)
            if event is None:
                self.malformed += 1
            else:
                read_text(event, parts)
        self._held = []
        self._size = 0
        if parts and self._count is not None:
            self._count(parts)


def _delivers(frame: bytes) -> bool:
    """Return whether a *frame* looks like one that delivers text; sound is not searched through."""
    part = frame if len(frame) <= _LARGE else frame[:_HEAD] + frame[-_HEAD:]
    return b'.delta"' in part and any(kind in part for kind in _KINDS)
