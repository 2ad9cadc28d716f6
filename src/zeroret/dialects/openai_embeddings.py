"""OpenAI's embeddings, and answers without text: moderations.

API reference: https://platform.openai.com/docs/api-reference/embeddings and .../moderations. An
embedding reports its input and puts out nothing; some servers report only the total. A moderation
reports no usage.
"""

from __future__ import annotations

from typing import Final

import msgspec

from zeroret.dialects.answer import BodyReader
from zeroret.dialects.openai_usage import read_usage
from zeroret.dialects.request import model_in
from zeroret.dialects.usage import opened, stated

_NOTHING: Final = msgspec.Raw()


class _Vectors(msgspec.Struct):
    usage: msgspec.Raw = _NOTHING
    model: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING
    data: msgspec.Raw = _NOTHING


_vectors: Final = msgspec.json.Decoder(_Vectors)


class Body(BodyReader):
    """Reads the answer of an endpoint that has no text to count."""

    __slots__ = ()

    def _read(self, body: bytes, *, count: bool) -> None:
        head = _vectors.decode(body)
        self.model = model_in(head.model)
        self.error = stated(head.error)
        usage = read_usage(opened(head.usage), self._name, self.model)
        if usage is not None:
            self.usage = usage
            self.malformed += usage.malformed
        if count and not self.usage.whole and self._is_vectors(head):
            self.recognised = True
            self.usage.output_tokens = 0

    def _is_vectors(self, head: _Vectors) -> bool:
        return self._name == "openai.embeddings" and bytes(memoryview(head.data)[:1]) == b"["
