"""Answers that are passed by: they say nothing that is recorded, such as the sound of a voice."""

from __future__ import annotations

from zeroret.dialects.answer import Answer


class Unread(Answer):
    """Holds nothing and reads nothing."""

    __slots__ = ()

    @property
    def held(self) -> int:
        """Bytes referenced: none."""
        return 0

    def feed(self, chunk: bytes, /) -> bool:  # noqa: ARG002 - the protocol's
        """Let *chunk* pass."""
        return False

    def finish(self, *, complete: bool, count: bool) -> None:
        """End the answer."""

    def drop(self) -> None:
        """Let go of nothing."""
