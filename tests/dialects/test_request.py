"""The head of a request, whatever the bytes."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects.request import RequestHead, model_in, parse, read_request


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (b'{"model":"gpt-4o"}', RequestHead(model="gpt-4o")),
        (b'{"model":"a","stream":true}', RequestHead(model="a", stream=True)),
        (
            b'{"stream":true,"stream_options":{"include_usage":true}}',
            RequestHead(stream=True, include_usage=True),
        ),
        (b'{"stream":true,"stream_options":{"include_usage":1}}', RequestHead(stream=True)),
        (b'{"stream":"true","stream_options":[]}', RequestHead()),
        (b'{"model":7}', RequestHead()),
        (b'{"model":{"model":"inner"}}', RequestHead()),
        (b'{"messages":[{"model":"inner"}],"model":"outer"}', RequestHead(model="outer")),
        (b'{"model":"first","model":"last"}', RequestHead(model="last")),
        (b'{"model":""}', RequestHead()),
        (b'{"model":"' + b"x" * 257 + b'"}', RequestHead()),
        (b'{"n":' + b"9" * 9000 + b',"model":"m"}', RequestHead(model="m")),
        (b"[]", RequestHead(malformed=True)),
        (b"", RequestHead(malformed=True)),
        (b'{"model":"gpt', RequestHead(malformed=True)),
        (b'{"messages":' + b"[" * 100_000, RequestHead(malformed=True)),
        (b'{"model":' + b"[" * 100_000, RequestHead(malformed=True)),
        (b'{"model":"\xff"}', RequestHead(malformed=True)),
    ],
)
def test_only_true_names_and_flags_are_believed(body: bytes, head: RequestHead) -> None:
    """The last key wins, wrong types count as absent, broken JSON says so."""
    assert read_request(body) == head


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["model", "stream", "stream_options", "x"]), JSON))
def test_any_object_has_a_head(data: dict[str, object]) -> None:
    """Whatever the values, what is read is what a plain decode says."""
    try:
        body = json.dumps(data, allow_nan=False).encode()
    except ValueError:
        assert read_request(json.dumps(data).encode()).malformed
        return
    head = read_request(body)
    model = data.get("model")
    assert head.model == (model if isinstance(model, str) and model else None)
    assert head.stream is (data.get("stream") is True)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    """Nothing is raised."""
    head = read_request(body)
    assert isinstance(head.malformed, bool)
    assert parse(body) is None or isinstance(parse(body), dict)


@pytest.mark.parametrize(
    ("raw", "model"),
    [
        (b'"m"', "m"),
        (b'"\xff"', None),
        (b"7", None),
        (b"", None),
        (b'"' + b"x" * 2000 + b'"', None),
    ],
)
def test_a_model_that_was_passed_over_is_read_or_is_none(raw: bytes, model: str | None) -> None:
    """The name in an answer is read late, when its bytes may prove to be no text."""
    assert model_in(msgspec.Raw(raw)) == model
