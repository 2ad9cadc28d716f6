"""Local counts of delivered text."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import DIALECTS
from zeroret.tokens import TokenCounter
from zeroret.usage.counting import PLACES, DeliveredText, best_model, count_prompt

COUNTER = TokenCounter()
WORDS = st.lists(st.sampled_from(["Hello", " wor", "ld", " größe", "", "\n"]), max_size=12)


def gpt() -> str:
    """Name a model whose vocabulary is known."""
    return "gpt-4o"


@given(WORDS, st.integers(1, 12))
def test_batches_make_no_difference(words: list[str], size: int) -> None:
    """Text counted in batches is counted as one text, each place for itself."""
    delivered = DeliveredText(COUNTER)
    for i in range(0, len(words), size):
        batch = words[i : i + size]
        delivered.count({(0, 0): batch, (1, 0): list(batch)}, gpt)
    tokens, exact = delivered.total()
    assert tokens == 2 * COUNTER.count("".join(words), model="gpt-4o")
    assert exact


def test_places_are_bounded() -> None:
    """Beyond the bound, text is still counted, but no longer apart and no longer exactly."""
    delivered = DeliveredText(COUNTER)
    for index in range(PLACES):
        delivered.count({(index, 0): ["word"]}, gpt)
    assert delivered.total() == (PLACES, True)
    delivered = DeliveredText(COUNTER)
    for index in range(10 * PLACES):
        delivered.count({(index, 0): ["word "]}, gpt)
    tokens, exact = delivered.total()
    assert tokens > PLACES
    assert not exact
    assert len(delivered._streams) <= PLACES + 1


def test_another_vendors_model_is_estimated() -> None:
    """Where the vocabulary is a stand-in, the count says so."""
    delivered = DeliveredText(COUNTER)
    delivered.count({(0, 0): ["Hello"]}, lambda: "claude-sonnet-4-5")
    tokens, exact = delivered.total()
    assert tokens > 0
    assert not exact


def test_a_model_that_thinks_unseen_is_estimated() -> None:
    """Reasoning that is billed and not delivered cannot be counted from the text."""
    for model, expected in (
        ("o3-mini", False),
        ("openai/gpt-5-nano", False),
        ("ft:o4-mini:x", False),
        ("gpt-4o", True),
    ):
        delivered = DeliveredText(COUNTER)
        delivered.count({(0, 0): ["Hello"]}, partial(str, model))
        assert delivered.total()[1] is expected, model


def test_nothing_delivered_is_a_known_zero() -> None:
    """No text is exactly no tokens."""
    delivered = DeliveredText(COUNTER)
    delivered.count({(0, 0): ["", ""]}, gpt)
    assert delivered.total() == (0, True)


def test_a_deployments_name_gives_way_to_a_known_model() -> None:
    """The first name with a vocabulary of its own is used, else the first name."""
    assert best_model(COUNTER, None, "my-deployment", "gpt-4o-2024-08-06") == "gpt-4o-2024-08-06"
    assert best_model(COUNTER, "gpt-4", "gpt-4o") == "gpt-4"
    assert best_model(COUNTER, None, "mine", "theirs") == "mine"
    assert best_model(COUNTER, None, None) is None


def test_every_dialects_prompt_has_a_framing() -> None:
    """Wherever a dialect's prompt is counted, the count grows with its text."""
    for dialect in DIALECTS:
        if dialect.prompt is None:
            continue
        counts = []
        for text in ("Hello", "Hello world, and all who live in it"):
            messages = [{"role": "user", "content": text}]
            request = {"messages": messages, "prompt": text, "input": text}
            counts.append(count_prompt(dialect.prompt, request, COUNTER, "gpt-4o").tokens)
        assert 0 < counts[0] < counts[1], dialect
