"""Recorded provider answers: the file's format, and which of its exchanges can be replayed.

One JSON object a line, gzip or plain. Used of each: ``id``, ``dialect``, ``path``, ``status``,
``content_type``, ``request_body``, ``request_content_type``, ``response_body``, ``stream`` and
``truth``, whose numbers count all input and all output, parts included; null is "not reported".
"""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from zeroret.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIALECTS: Final = (
    "openai.chat",
    "openai.completions",
    "openai.embeddings",
    "anthropic.messages",
)
"""The dialects that are replayed; other lines of the file are passed over."""

_GZIP: Final = b"\x1f\x8b"


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded request and its response."""

    id: str
    dialect: str
    path: str
    request_body: str
    response_body: str
    status: int
    content_type: str | None = None
    request_content_type: str | None = None
    stream: bool = False
    truth: dict[str, Any] | None = None


class _Line(msgspec.Struct):
    dialect: str = ""


_line: Final = msgspec.json.Decoder(_Line)
_recorded: Final = msgspec.json.Decoder(Recorded)


def read(file: Path) -> list[Recorded]:
    """Return the exchanges of *file* that can be replayed.

    Raises:
        ConfigurationError: the file cannot be read, is not of this format, or holds none.
    """
    try:
        found = list(_exchanges(file))
    except OSError as error:
        why = error.strerror or "not a whole gzip file"
        raise ConfigurationError(f"--exchanges {file}: {why}") from None
    except (EOFError, zlib.error):
        raise ConfigurationError(f"--exchanges {file}: not a whole gzip file") from None
    if not found:
        raise ConfigurationError(
            f"--exchanges {file}: no exchange of {', '.join(DIALECTS)} stands in it"
        )
    return found


def _exchanges(file: Path) -> Iterator[Recorded]:
    with file.open("rb") as raw:
        opener = gzip.open if raw.read(2) == _GZIP else open
    with opener(file, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                if _line.decode(line).dialect in DIALECTS:
                    yield _recorded.decode(line)
            except msgspec.DecodeError:
                message = f"--exchanges {file}: line {number} is not a recorded exchange"
                raise ConfigurationError(message) from None
