"""OpenAI's responses: one answer as a body; its streams are read by `openai_events`.

API reference: https://platform.openai.com/docs/api-reference/responses. An answer that is stored
can be fetched again, with the usage it had. That was metered when it was made, unless it was made
in the background: then whoever fetches it first has its usage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from zeroret.dialects.answer import BodyReader
from zeroret.dialects.openai_events import REASONING, REFUSAL, TEXT, TOOLS, Stream
from zeroret.dialects.openai_socket import Socket
from zeroret.dialects.openai_text import flat
from zeroret.dialects.openai_usage import read_usage
from zeroret.dialects.request import model_in
from zeroret.dialects.usage import details, opened, stated

if TYPE_CHECKING:
    from zeroret.dialects.answer import Parts

__all__ = ["Body", "Socket", "Stored", "Stream"]


_UNFINISHED: Final = frozenset({"queued", "in_progress"})
"""The states of a response that is made in the background."""

_NOTHING: Final = msgspec.Raw()


class _Item(msgspec.Struct):
    type: Any = None
    name: Any = None
    arguments: Any = None
    input: Any = None
    content: Any = None
    summary: Any = None


class _Whole(msgspec.Struct):
    output: list[_Item] | None = None


class _Stored(msgspec.Struct):
    usage: msgspec.Raw = _NOTHING
    model: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING
    service_tier: msgspec.Raw = _NOTHING
    id: str | None = None
    status: str | None = None


_stored: Final = msgspec.json.Decoder(_Stored)
_whole: Final = msgspec.json.Decoder(_Whole)


class Body(BodyReader):
    """Reads one response, or the compaction of one."""

    __slots__ = ()

    def _read(self, body: bytes, *, count: bool) -> None:
        head = _stored.decode(body)
        if head.status in _UNFINISHED:
            self.way, self.key = "later", head.id
        self.model = model_in(head.model)
        self.error = stated(head.error)
        self._served(opened(head.service_tier))
        usage = read_usage(opened(head.usage), self._name, self.model)
        if usage is not None:
            self.usage = usage
            self.malformed += usage.malformed
        if not count or self.usage.whole:
            return
        output = _whole.decode(body).output
        if not output or self._count is None:
            return  # nothing was made yet, as with a response in the background
        self.recognised = True
        parts: Parts = {}
        for index, item in enumerate(output):
            if not _read_item(index, item, parts):
                self.opaque = True
        self._count(parts)


class Stored(BodyReader):
    """Reads a response that was stored; the usage is taken if nobody could have it before."""

    __slots__ = ()

    def _read(self, body: bytes, *, count: bool) -> None:  # noqa: ARG002 - it was delivered before
        head = _stored.decode(body)
        self.model = model_in(head.model)
        usage = read_usage(opened(head.usage), self._name, self.model)
        if usage is not None and head.status not in _UNFINISHED:
            self.way, self.key = "claim", head.id
            self._served(opened(head.service_tier))
            self.usage = usage
            self.malformed += usage.malformed


def _read_item(index: int, item: _Item, parts: Parts) -> bool:
    """Add the text of one *item* to *parts*; False if a count of it is no count of the whole."""
    if item.type == "message":
        plain = True
        for part in item.content if isinstance(item.content, list) else [item.content]:
            refused = details(part).get("type") == "refusal"
            plain &= flat(part, parts.setdefault((index, REFUSAL if refused else TEXT), []))
        return plain
    for told in (item.content, item.summary):
        flat(told, parts.setdefault((index, REASONING), []))
    for told in (item.name, item.arguments, item.input):
        if isinstance(told, str):
            parts.setdefault((index, TOOLS), []).append(told)
    return False
