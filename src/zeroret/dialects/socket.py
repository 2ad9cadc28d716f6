"""What every reader of a websocket has in common.

A websocket carries many answers, one after the other, each with a usage of its own: so unlike the
usages of one stream these add up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroret.dialects.answer import Answer

if TYPE_CHECKING:
    from zeroret.dialects.answer import Count


class SocketReader(Answer):
    """Reads one websocket, frame by frame: each is one event, whole.

    Subclasses override `_came` and `_went`. *broken* is set by a fault of ours, after which nothing
    is read.
    """

    __slots__ = ("broken",)

    def __init__(self, name: str, count: Count | None) -> None:
        super().__init__(name, count)
        self.broken = False

    @property
    def held(self) -> int:
        """Bytes referenced."""
        return 0

    def feed(self, frame: bytes, /) -> bool:
        """Take a frame that goes to the client; True when the counts have changed. Never raises."""
        if self.broken:
            return False
        try:
            return self._went(frame)
        except Exception:  # noqa: BLE001 - a fault of ours must not reach the connection
            self._break()
            return False

    def came(self, frame: bytes, /) -> str | None:
        """Take a frame that comes from the client; return the model it asks for. Never raises."""
        if self.broken:
            return None
        try:
            return self._came(frame)
        except Exception:  # noqa: BLE001 - as above
            self._break()
            return None

    def finish(self, *, complete: bool, count: bool) -> None:  # noqa: ARG002 - for subclasses
        """End the connection; *count* asks for the text of answers whose usage did not come."""
        self.drop()

    def drop(self) -> None:
        """Let go of everything held."""

    def _break(self) -> None:
        self.broken = True
        self.malformed += 1
        self.drop()

    def _went(self, frame: bytes) -> bool:
        raise NotImplementedError

    def _came(self, frame: bytes) -> str | None:
        raise NotImplementedError
