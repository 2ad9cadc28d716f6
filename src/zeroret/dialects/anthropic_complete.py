"""Anthropic's text completions, which older models have and which report no usage.

API reference: https://docs.anthropic.com/en/api/complete. Each event delivers a piece of the text;
the one that says why the answer stopped is the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from zeroret.dialects.objects import Head, ObjectBody, Objects, ObjectStream

if TYPE_CHECKING:
    from zeroret.dialects.answer import Parts
    from zeroret.dialects.usage import Usage


class _Head(Head):
    stop_reason: str | None = None


class _Whole(_Head):
    completion: Any = None


class _Completion(Objects):
    """What an answer or an event of one means."""

    __slots__ = ()

    HEAD: ClassVar = msgspec.json.Decoder(_Head)
    WHOLE: ClassVar = msgspec.json.Decoder(_Whole)

    def _usage_of(self, head: _Head) -> Usage | None:  # noqa: ARG002 - there is none
        return None

    def _deliver(self, whole: _Whole, parts: Parts) -> bool:
        if not isinstance(whole.completion, str):
            return False
        parts.setdefault((0, 0), []).append(whole.completion)
        return True


class Body(_Completion, ObjectBody):
    """Reads a whole completion."""

    __slots__ = ()


class Stream(_Completion, ObjectStream):
    """Reads a completion in pieces."""

    __slots__ = ()

    MARKERS: ClassVar = (b"stop_reason", b'"error"')
    LAST: ClassVar = (b'"stop_reason"', b'"error"')
    USAGE: ClassVar = ()

    def _ends(self, head: _Head) -> bool:
        return head.stop_reason is not None
