"""A tokenizer's file on this machine: its own counts, exact as long as nothing was cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret import TokenCounter, testing
from zeroret.errors import ConfigurationError
from zeroret.tokens.counting import MAX_HOLD


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the file of a small byte-level tokenizer."""
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(
        vocab_size=400,
        initial_alphabet=ByteLevel.alphabet(),
        special_tokens=["<s>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the quick brown fox jumps over the lazy dog"] * 50, trainer)
    tokenizer.enable_truncation(8)
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(file))
    return str(file)


def reference(path: str, text: str) -> int:
    """Count as the package itself does, all of the text."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def test_it_counts_with_its_own_vocabulary(path: str) -> None:
    """Whole names and prefixes lead to the file; truncation meant for batches does not count."""
    counter = TokenCounter({"our-model": path})
    text = "the quick brown fox " * 20
    assert counter.count(text, model="our-model-2") == reference(path, text)
    assert counter.exactness("our-model")
    assert not counter.exactness("another")


@given(pieces=st.lists(st.text(max_size=40), max_size=20))
def test_short_texts_are_exact_in_any_pieces(path: str, pieces: list[str]) -> None:
    """Below the bound nothing is cut, so the count is the whole text's."""
    counter = TokenCounter({"our-model": path})
    stream = counter.stream(model="our-model")
    for piece in pieces:
        stream.feed(piece)
    text = "".join(pieces)
    if len(text) < MAX_HOLD and text.isprintable():
        assert stream.finish() == reference(path, text)
        assert stream.exact


def test_long_texts_are_said_to_be_estimated(path: str) -> None:
    """Past the bound a cut comes in, and the count says so; it is close."""
    counter = TokenCounter({"our-model": path})
    stream = counter.stream(model="our-model")
    text = "the quick brown fox jumps over the lazy dog. " * 500
    for start in range(0, len(text), 17):
        stream.feed(text[start : start + 17])
        assert stream.held <= MAX_HOLD + 17
    assert abs(stream.finish() - reference(path, text)) <= len(text) // MAX_HOLD + 3
    assert not stream.exact


def test_mistakes_are_told(tmp_path: Path) -> None:
    """A file that is not there is refused at once, one that holds nothing useful at its use."""
    with pytest.raises(ConfigurationError, match="there is no tokenizer file"):
        TokenCounter({"m": str(tmp_path / "no.json")})
    with pytest.raises(ConfigurationError, match=r"or the path of a tokenizer\.json"):
        TokenCounter({"m": "p50k_base"})
    with (
        pytest.raises(ConfigurationError, match="there is no tokenizer file"),
        testing.memory_runtime(models={"m": "no.json"}),
    ):
        pass


def test_a_broken_file_never_raises_from_counting(tmp_path: Path) -> None:
    """Counting falls back to an estimate, as it does whenever an encoder fails."""
    file = tmp_path / "tokenizer.json"
    file.write_text("{}")
    counter = TokenCounter({"m": str(file)})
    stream = counter.stream(model="m")
    stream.feed("some text of a reply")
    assert stream.finish() == 5
    assert not stream.exact
