"""Asking an OpenAI-like upstream for the usage of a stream, and hiding the answer from the caller.

An upstream reports the usage of a stream only if ``stream_options.include_usage`` asks for it; then
one more chunk comes, whose ``choices`` are empty. Who did not ask need not see it.

API reference: https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

ENDPOINTS: Final = ("/chat/completions", "/completions")
"""The ends of the paths whose streams can be asked."""

HELD_LIMIT: Final = 2**20
"""Bytes of one event that are held back to look at it; a longer one passes as it is."""

_ASKED: Final = b'"stream_options":{"include_usage":true},'
_END: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_OPENING: Final = re.compile(rb"\s*\{")
_DATA: Final = re.compile(rb"^data:[ ]?(.*?)\r?$", re.MULTILINE)


class _Request(msgspec.Struct):
    stream: Any = None
    stream_options: Any = None


class _Chunk(msgspec.Struct):
    choices: Any = None
    usage: Any = None


_request: Final = msgspec.json.Decoder(_Request)
_chunk: Final = msgspec.json.Decoder(_Chunk)


def asking(body: bytes) -> bytes | None:
    """Return *body* with the question in it, every other byte unchanged.

    None where there is nothing to ask: it is no request for a stream, or asks already. A request
    whose ``stream_options`` say something else has them completed, and is written anew.
    """
    opening = _OPENING.match(body)
    if opening is None or b'"stream"' not in body:
        return None
    try:
        request = _request.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    if request.stream is not True:
        return None
    options = request.stream_options
    if options is None and b'"stream_options"' not in body:
        return body[: opening.end()] + _ASKED + body[opening.end() :]
    if not isinstance(options, dict | None) or (options or {}).get("include_usage") is True:
        return None
    whole = msgspec.json.decode(body)
    whole["stream_options"] = {**(options or {}), "include_usage": True}
    return msgspec.json.encode(whole)


class UsageHidden:
    """Passes an event stream on without the chunk that only says the usage.

    Every other event passes byte for byte, as soon as it is whole.
    """

    __slots__ = ("_held", "_open")

    def __init__(self) -> None:
        self._held = b""
        self._open = False
        """Whether the event at hand was too long to be held, and passes as it comes."""

    def feed(self, chunk: bytes) -> bytes:
        """Return what may pass now."""
        held = self._held + chunk if self._held else chunk
        passing: list[bytes] = []
        at = 0
        for end in _END.finditer(held):
            event = held[at : end.end()]
            at = end.end()
            if self._open or not only_usage(event):
                passing.append(event)
            self._open = False
        self._held = held[at:]
        # A border may be cut in two: its first half waits with the event.
        if len(self._held) > HELD_LIMIT:
            passing.append(self._held)
            self._held = b""
            self._open = True
        return b"".join(passing)

    def finish(self) -> bytes:
        """Return what is left when the stream ends."""
        left, self._held = self._held, b""
        return left


def only_usage(event: bytes) -> bool:
    """Tell whether *event* is the chunk that says the usage, and nothing else."""
    if b'"usage"' not in event:
        return False
    found = _DATA.search(event)
    try:
        chunk = _chunk.decode(found[1]) if found is not None else None
    except (msgspec.DecodeError, RecursionError, ValueError):
        return False
    return chunk is not None and chunk.choices == [] and isinstance(chunk.usage, dict)
