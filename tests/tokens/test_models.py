"""The map from models to encodings."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiktoken.model import MODEL_PREFIX_TO_ENCODING, MODEL_TO_ENCODING

from zeroret.tokens import vocabulary
from zeroret.tokens.models import resolve

O200K: Final = ("o200k_base", True)
CL100K: Final = ("cl100k_base", True)
GUESS: Final = ("o200k_base", False)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o", O200K),
        ("gpt-4o-mini-2024-07-18", O200K),
        ("gpt-4.1-nano", O200K),
        ("gpt-4.5-preview", O200K),
        ("gpt-5", O200K),
        ("gpt-5-mini", O200K),
        ("gpt-5.1", O200K),
        ("gpt-oss-120b", O200K),
        ("chatgpt-4o-latest", O200K),
        ("o1", O200K),
        ("o3-mini", O200K),
        ("o4-mini-2025-04-16", O200K),
        ("gpt-4", CL100K),
        ("gpt-4-0613", CL100K),
        ("gpt-4-turbo", CL100K),
        ("gpt-3.5-turbo-16k", CL100K),
        ("gpt-35-turbo", CL100K),
        ("text-embedding-3-small", CL100K),
        ("text-embedding-ada-002-v2", CL100K),
        ("ft:gpt-4.1-mini:acme::abc", O200K),
        ("ft:gpt-3.5-turbo:acme:name:id", CL100K),
        ("ft:o4-mini-2025-04-16:acme::id", O200K),
        ("openai/ft:gpt-4o:acme/unit::id", O200K),
        ("openai/gpt-4o", O200K),
        ("openrouter/openai/gpt-4o:free", O200K),
        ("openai.gpt-oss-20b-1:0", O200K),
        ("azure/gpt-35-turbo", CL100K),
        (" GPT-4o ", O200K),
        ("gpt-6", GUESS),
        ("gpt-6-mini", GUESS),
        ("gpt-4.2", GUESS),
        ("gpt-41", GUESS),
        ("gpt-neox-20b", GUESS),
        ("gpt2", GUESS),
        ("o5", GUESS),
        ("chatgpt-next", GUESS),
        ("claude-sonnet-4-5", GUESS),
        ("gemini-2.5-pro", GUESS),
        ("meta-llama/Llama-3-70b", GUESS),
        ("my-deployment", GUESS),
        ("ft:", GUESS),
        ("/", GUESS),
        ("", GUESS),
        (None, GUESS),
    ],
)
def test_the_map(model: str | None, expected: tuple[str, bool]) -> None:
    """Each family has its encoding; what is not surely OpenAI's is a guess."""
    assert resolve(model, None) == expected


def test_the_map_agrees_with_tiktoken() -> None:
    """Where tiktoken knows a model of the two vocabularies, ours is the same, and exact."""
    dated = {
        name + "x" if name.endswith("-") else name: encoding
        for name, encoding in MODEL_PREFIX_TO_ENCODING.items()
    }
    known = {
        model: encoding.replace("o200k_harmony", "o200k_base")
        for model, encoding in (MODEL_TO_ENCODING | dated).items()
    }
    shared = {model: one for model, one in known.items() if one in vocabulary.NAMES}
    assert len(shared) > 20
    assert {model: resolve(model, None) for model in shared} == {
        model: (encoding, True) for model, encoding in shared.items()
    }


def test_overrides_win_by_name_then_by_the_longest_prefix() -> None:
    """The operator's names come first, whatever their case and whatever a prefix would say."""
    overrides = {
        "Gpt-4o": "cl100k_base",
        "house": "o200k_base",
        "house-small": "cl100k_base",
        "azure/prod": "cl100k_base",
        "lab-": "cl100k_base",
    }
    assert resolve("gpt-4o", overrides) == CL100K
    assert resolve("openai/GPT-4o", overrides) == CL100K
    assert resolve("ft:gpt-4o:acme::id", overrides) == CL100K
    assert resolve("house-small", overrides) == CL100K
    assert resolve("house-small-2", overrides) == CL100K
    assert resolve("house-large", overrides) == O200K
    assert resolve("azure/prod", overrides) == CL100K
    assert resolve("lab-7", overrides) == CL100K
    assert resolve("household", overrides) == GUESS
    assert resolve("gpt-4", overrides) == CL100K
    assert resolve("gpt-4.1", {"gpt-4": "cl100k_base"}) == O200K


@given(st.text(max_size=80), st.dictionaries(st.text(max_size=9), st.sampled_from(["o200k_base"])))
def test_no_name_is_an_error(model: str, overrides: dict[str, str]) -> None:
    """Any text is resolved to an encoding that is there."""
    name, exact = resolve(model, overrides)
    assert name in vocabulary.NAMES
    assert exact in (True, False)
