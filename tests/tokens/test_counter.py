"""The public counter."""

from __future__ import annotations

import pytest

from zeroret import TokenCounter
from zeroret.errors import ConfigurationError
from zeroret.tokens import vocabulary

TEXT = "안녕하세요, हिन्दी text: 12345 <|endoftext|>"


@pytest.mark.parametrize(
    ("model", "encoding", "exact"),
    [
        ("gpt-4o", "o200k_base", True),
        ("gpt-4", "cl100k_base", True),
        ("claude-sonnet-4-5", "o200k_base", False),
        (None, "o200k_base", False),
    ],
)
def test_a_text_is_counted_by_its_models_encoding(
    model: str | None, encoding: str, *, exact: bool
) -> None:
    """count, stream and exactness agree on the encoding of a model."""
    counter = TokenCounter()
    expected = len(vocabulary.encoding(encoding).encode_ordinary(TEXT))
    assert counter.count(TEXT, model=model) == expected
    stream = counter.stream(model=model)
    for character in TEXT:
        stream.feed(character)
    assert (stream.finish(), stream.exact) == (expected, exact)
    assert counter.exactness(model) is exact
    assert counter.encoding_name(model) == encoding


def test_lone_surrogates_are_counted() -> None:
    """Half a pair in a text is no error."""
    assert TokenCounter().count("a\ud800b") > 0


def test_models_choose_encodings() -> None:
    """A name given with its encoding is counted with it, and exactly."""
    counter = TokenCounter({"my-deployment": "cl100k_base"})
    expected = len(vocabulary.encoding("cl100k_base").encode_ordinary(TEXT))
    assert counter.count(TEXT, model="my-deployment") == expected
    assert counter.exactness("my-deployment")


@pytest.mark.parametrize("models", [{"a": "p50k_base"}, {"": "o200k_base"}, {"a": ""}])
def test_bad_options_are_refused_at_once(models: dict[str, str]) -> None:
    """An encoding or a name that means nothing is an error that says what is allowed."""
    with pytest.raises(ConfigurationError, match="cl100k_base or o200k_base"):
        TokenCounter(models)
