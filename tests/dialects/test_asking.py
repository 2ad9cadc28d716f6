"""Asking for a stream's usage: one member more in the request, one chunk less in the reply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import asking as module
from zeroret.dialects.asking import UsageHidden, asking, only_usage

USAGE = b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
DELTA = b'data: {"id":"1","choices":[{"delta":{"content":"\xc3\xa9 usage"}}],"usage":null}'


def test_the_question_is_put_first() -> None:
    """Every other byte of the request stays as it was."""
    body = b' {"model" : "m",  "stream":true,"messages":[]}\n'
    asked = asking(body)
    assert asked == (
        b' {"stream_options":{"include_usage":true},"model" : "m",  "stream":true,"messages":[]}\n'
    )


def test_other_options_are_completed() -> None:
    """Who asks for something else of the stream gets that, too."""
    asked = asking(b'{"stream":true,"stream_options":{"include_obfuscation":false}}')
    assert asked is not None
    options: Any = json.loads(asked)["stream_options"]
    assert options == {"include_obfuscation": False, "include_usage": True}
    declined = asking(b'{"stream":true,"stream_options":null}')
    assert declined is not None
    assert json.loads(declined)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream":false}',
        b"{}",
        b"",
        b"[true]",
        b'{"stream":"true"}',
        b'{"stream":true,"stream_options":{"include_usage":true}}',
        b'{"stream":true,"stream_options":5}',
        b'{"stream":true',
        b"\xff\xfe",
    ],
)
def test_nothing_is_asked_where_there_is_nothing_to_ask(body: bytes) -> None:
    """No stream, asked already, or no request at all: the body stays."""
    assert asking(body) is None


@given(
    events=st.lists(st.sampled_from([USAGE, DELTA, b": ping", b"data: [DONE]", b"data: {"])),
    end=st.sampled_from([b"\n\n", b"\r\n\r\n"]),
    cuts=st.lists(st.integers(0, 600)),
    tail=st.binary(max_size=20),
)
def test_only_the_usage_chunk_is_hidden(
    events: list[bytes], end: bytes, cuts: list[int], tail: bytes
) -> None:
    """In any chunking, what passes is the stream without that chunk, byte for byte."""
    stream = b"".join(event + end for event in events) + tail
    expected = b"".join(event + end for event in events if event != USAGE)
    hidden = UsageHidden()
    passed = b""
    at = 0
    for cut in [*sorted(cuts), len(stream)]:
        passed += hidden.feed(stream[at:cut])
        at = max(at, cut)
    passed += hidden.finish()
    assert passed.startswith(expected)
    assert passed == expected + tail or not only_usage(tail)


def test_events_pass_as_soon_as_they_are_whole() -> None:
    """Nothing waits but the event at hand."""
    hidden = UsageHidden()
    assert hidden.feed(DELTA + b"\n\n" + DELTA[:9]) == DELTA + b"\n\n"
    assert hidden.feed(DELTA[9:] + b"\n\n") == DELTA + b"\n\n"
    assert hidden.feed(USAGE + b"\n\n") == b""


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event beyond the bound passes as it comes, and the next one is looked at again."""
    monkeypatch.setattr(module, "HELD_LIMIT", 100)
    hidden = UsageHidden()
    long = b'data: {"usage":' + b"x" * 300
    passed = hidden.feed(long) + hidden.feed(b"y" * 300) + hidden.feed(b"}\n\n")
    assert passed == long + b"y" * 300 + b"}\n\n"
    assert hidden.feed(USAGE + b"\n\n") == b""
