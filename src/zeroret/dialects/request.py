"""The little that is read of every request: which model, whether streamed, whether usage is asked.

A typed decode skips everything else at the parser's speed; the prompt is never built as objects.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from zeroret.dialects.usage import details, opened

FORM: Final = b"--"
"""What a multipart form begins with, and no JSON does."""

MODEL_LENGTH: Final = 256
"""The longest text that can be a model's name."""


_ENDS: Final = 64 * 2**10  # bytes of either end of a form in which its fields are looked for

_FIELD: Final = re.compile(
    rb'Content-Disposition: ?form-data; ?name="?(model|stream)"?\r?\n'
    rb"(?:[A-Za-z-]{1,64}:[^\r\n]{0,256}\r?\n){0,4}\r?\n([^\r\n]{1,256})\r?\n--",
    re.IGNORECASE,
)

_NOTHING: Final = msgspec.Raw()
_any: Final = msgspec.json.Decoder()


class RequestHead(msgspec.Struct):
    """What a request says about itself. *model* is as sent: the caller maps it to a closed set."""

    model: str | None = None
    stream: bool = False
    include_usage: bool = False
    malformed: bool = False


class _Wire(msgspec.Struct):
    """Undecoded, so that nothing large is built of what a client sends in these places."""

    model: msgspec.Raw = _NOTHING
    stream: msgspec.Raw = _NOTHING
    stream_options: msgspec.Raw = _NOTHING


_decoder: Final = msgspec.json.Decoder(_Wire)


def model_name(value: object) -> str | None:
    """Return *value* if it can be a model's name, else None."""
    return value if isinstance(value, str) and 0 < len(value) <= MODEL_LENGTH else None


def model_in(raw: msgspec.Raw) -> str | None:
    """Return the name of a model that stands in *raw*, undecoded JSON; None if none does."""
    try:
        return _model(raw)
    except (msgspec.DecodeError, ValueError):
        return None  # broken UTF-8, which was passed over until now


def _model(raw: msgspec.Raw) -> str | None:
    # no longer than the longest name with all of its characters escaped
    return model_name(_any.decode(raw)) if 0 < len(raw) <= 6 * MODEL_LENGTH else None


def read_request(body: bytes) -> RequestHead:
    """Return the head of a request *body*; never raises, *malformed* says it was no JSON object."""
    try:
        wire = _decoder.decode(body)
        return RequestHead(
            model=_model(wire.model),
            stream=len(wire.stream) == len(b"true") and bytes(wire.stream) == b"true",
            include_usage=details(opened(wire.stream_options)).get("include_usage") is True,
        )
    except Exception:  # noqa: BLE001 - nesting, numbers and bytes of every kind arrive here
        return RequestHead(malformed=True)


def read_form(body: bytes) -> RequestHead:
    """Return the head of a multipart form (RFC 7578), whose fields stand before or after files."""
    fields: dict[bytes, bytes] = {}
    for part in {body[:_ENDS], body[-_ENDS:]}:
        for field in _FIELD.finditer(part):
            fields[field[1]] = field[2]
    return RequestHead(
        model=model_name(fields.get(b"model", b"").decode(errors="replace")),
        stream=fields.get(b"stream", b"").strip().lower() == b"true",
    )


def parse(body: bytes) -> Any:
    """Return the whole request *body* decoded, or None if it is not a JSON object."""
    try:
        data = msgspec.json.decode(body)
    except Exception:  # noqa: BLE001 - as above
        return None
    return data if isinstance(data, dict) else None
