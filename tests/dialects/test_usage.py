"""What is read of usage blocks and other small parts of an answer."""

from __future__ import annotations

import msgspec
import pytest

from zeroret.dialects.usage import BLOCK_LIMIT, OVERSIZED, UNREADABLE, opened, stated


class _Part(msgspec.Struct):
    part: msgspec.Raw = msgspec.Raw()


def raw(text: bytes) -> msgspec.Raw:
    """Return *text* as a decoder leaves it that passes over it."""
    return msgspec.json.decode(b'{"part":' + text + b"}", type=_Part).part


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"null", None),
        (b'{"a": "\xff"}', UNREADABLE),
        (b'{"a": 1e999}', UNREADABLE),
        (b'{"a": ' + b"9" * 5000 + b"}", UNREADABLE),
        (b'"' + b"a" * BLOCK_LIMIT + b'"', OVERSIZED),
    ],
)
def test_a_part_is_opened_or_said_to_be_no_part(text: bytes, value: object) -> None:
    """What the decoder passed over may still be broken: it is told so, and nothing is raised."""
    assert opened(raw(text)) == value
    assert stated(raw(text)) == bool(value)


def test_nothing_is_nothing() -> None:
    """A part that was not sent is None, and states nothing."""
    assert opened(msgspec.Raw()) is None
    assert not stated(msgspec.Raw())
