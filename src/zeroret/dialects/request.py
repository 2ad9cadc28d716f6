"""The little that is read of every request: which model, whether streamed, whether usage is asked.

A typed decode skips everything else at the parser's speed; the prompt is never built as objects.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

MODEL_LENGTH: Final = 256
"""The longest text that can be a model's name."""


class RequestHead(msgspec.Struct):
    """What a request says about itself. *model* is as sent: the caller maps it to a closed set."""

    model: str | None = None
    stream: bool = False
    include_usage: bool = False
    malformed: bool = False


class _Wire(msgspec.Struct):
    model: Any = None
    stream: Any = None
    stream_options: Any = None


_decoder = msgspec.json.Decoder(_Wire)


def model_name(value: object) -> str | None:
    """Return *value* if it can be a model's name, else None."""
    return value if isinstance(value, str) and 0 < len(value) <= MODEL_LENGTH else None


def read_request(body: bytes) -> RequestHead:
    """Return the head of a request *body*; never raises, *malformed* says it was no JSON object."""
    try:
        wire = _decoder.decode(body)
    except Exception:  # noqa: BLE001 - nesting, numbers and bytes of every kind arrive here
        return RequestHead(malformed=True)
    options = wire.stream_options
    return RequestHead(
        model=model_name(wire.model),
        stream=wire.stream is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def parse(body: bytes) -> Any:
    """Return the whole request *body* decoded, or None if it is not a JSON object."""
    try:
        data = msgspec.json.decode(body)
    except Exception:  # noqa: BLE001 - as above
        return None
    return data if isinstance(data, dict) else None
