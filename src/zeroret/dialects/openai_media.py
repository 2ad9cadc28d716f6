"""OpenAI's sound and images: only the usage of an answer is read.

API reference: https://platform.openai.com/docs/api-reference/audio and .../images. Transcriptions
by ``whisper-1`` report seconds, which are no tokens; a spoken answer and an image without its JSON
report nothing. Streams are read by `openai_events`; one of images has no last event.
"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from zeroret.dialects.answer import BodyReader
from zeroret.dialects.openai_events import Response, Stream
from zeroret.dialects.openai_usage import read_usage
from zeroret.dialects.request import model_in
from zeroret.dialects.usage import opened, stated

__all__ = ["Body", "Stream"]

_response: Final = msgspec.json.Decoder(Response)


class Body(BodyReader):
    """Reads the usage of an answer that may hold several images."""

    __slots__ = ()

    LIMIT: ClassVar[int] = 64 * 2**20

    def _read(self, body: bytes, *, count: bool) -> None:  # noqa: ARG002 - nothing can be counted
        head = _response.decode(body)
        self.model = model_in(head.model)
        self.error = stated(head.error)
        usage = read_usage(opened(head.usage), self._name, self.model)
        if usage is not None:
            self.usage = usage
            self.malformed += usage.malformed
