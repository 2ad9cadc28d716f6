"""The closed set of model names: what is recorded of what a client wrote."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zeroret.errors import ConfigurationError
from zeroret.usage.models import (
    LAST_YEAR,
    LONGEST,
    MOST_LEARNED,
    MOST_REMEMBERED,
    OTHER,
    PROVIDERS,
    REGIONS,
    ModelNames,
    catalogue,
)

NAMES = ModelNames(["house-model", "Ours: large"])
KNOWN = sorted(catalogue())
TAIL = re.compile(
    r"[-:]latest|:[0-9]{1,3}(?:\.[0-9])?[bm][a-zA-Z0-9_-]*|[-@]20[23][0-9][01][0-9][0-3][0-9]|-20[23][0-9]-[01][0-9]-[0-3][0-9]",
    re.ASCII,
)


def composed(name: str) -> bool:
    """Whether *name* is made of catalogue or configured names and the allowed forms only."""
    name = name.removeprefix("ft:")
    known = catalogue() | {"house-model", "Ours: large"}
    parts = name.split("/")
    for cut in range(min(3, len(parts))):
        whole = "/".join(parts[cut:])
        region, _, inner = whole.partition(".")
        rests = [whole, inner] if region in REGIONS else [whole]
        bases = {
            *rests,
            *(
                rest[: tail.start()]
                for rest in rests
                for tail in TAIL.finditer(rest)
                if tail.end() == len(rest)
            ),
        }
        if set(parts[:cut]) <= PROVIDERS and bases & known:
            return True
    return False


@pytest.mark.parametrize(
    "name",
    ["gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-mini-2031-12-31", "claude-3-5-sonnet-20241022",
     "claude-sonnet-4-5", "claude-opus-4-1@20250805", "claude-3-5-haiku-latest", "gemini-pro",
     "us.anthropic.claude-sonnet-4-20250514-v1:0", "anthropic/claude-3.5-sonnet",
     "openrouter/anthropic/claude-3.5-sonnet", "azure/gpt-4o", "models/gemini-2.5-flash",
     "openai/gpt-4o-2024-08-06", "house-model", "house-model-20260101", "Ours: large",
     "us.amazon.nova-lite-v1:0", "apac.house-model", "llama3", "llama3:latest", "gemma3:1b",
     "qwen2.5:0.5b", "llama3.1:70b-instruct-q4_K_M", "ollama/gpt-oss:20b", "gpt-oss:20b-fp16",
     "rerank-english-v3.0", "cohere.embed-v4:0"],
)  # fmt: skip
def test_known_names_are_kept(name: str) -> None:
    """A known name is recorded as given, the second time as the first."""
    names = ModelNames(["house-model", "Ours: large"])
    assert names.known(name) == name
    assert names.known(name) == name


@pytest.mark.parametrize(
    "name",
    ["my name is Bob", "GPT-4o", "gpt-4o ", " gpt-4o", "gpt-4o\n", "gpt-4o-2024-13-01",
     "gpt-4o-2024-02-30", "gpt-4o-19990101", f"gpt-4o-{LAST_YEAR + 1}0101", "gpt-4o-2024-0806",
     "gpt-4o@latest", "gpt-4o-latest-latest", "gpt-4o-٢٠٢٤-٠٨-٠٦", "secret/gpt-4o", "/gpt-4o",
     "openai//gpt-4o", "openai/azure/bedrock/gpt-4o", "gpt-4o/openai", "gpt-4o:secret",
     "ft:secret:org::id", "ft:", "ft:secret", "x" * (LONGEST + 1), "other", "mars.gpt-4o",
     "us.secret", "us.eu.gpt-4o", ".gpt-4o", "us.", "llama3:secret", "llama3:70b-secret",
     "llama3:1234b", "llama3:", "llama3:70b:70b"],
)  # fmt: skip
def test_other_names_are_other(name: str) -> None:
    """Whatever is not a known name in an allowed form is not repeated."""
    assert NAMES.known(name) == OTHER


BEDROCK = "arn:aws:bedrock:us-east-1:123456789012"


def test_a_public_models_address_shows_the_model() -> None:
    """The account and the region of an ARN are not recorded, nor what an account made itself."""
    for kind in ("foundation-model", "inference-profile"):
        known = NAMES.known(f"{BEDROCK}:{kind}/us.amazon.nova-lite-v1:0")
        assert known == "us.amazon.nova-lite-v1:0"
        assert NAMES.known(f"{BEDROCK}:{kind}/secret") == OTHER
    for kind in ("application-inference-profile", "custom-model", "imported-model"):
        assert NAMES.known(f"{BEDROCK}:{kind}/otnfa2ysixqd") == OTHER
    assert NAMES.known("arn:aws:sagemaker:us-east-1:123456789012:endpoint/gpt-4o") == OTHER


@pytest.mark.parametrize("value", [None, "", 3, b"gpt-4o", ["gpt-4o"], {"model": "gpt-4o"}])
def test_no_name_is_unknown(value: object) -> None:
    """What is no text at all is unknown, which is not the same as other."""
    assert NAMES.known(value) is None


@pytest.mark.parametrize("base", ["gpt-4o", "gpt-4o-mini-2024-07-18", "openai/gpt-4o"])
def test_fine_tunes_show_their_base(base: str) -> None:
    """The organisation, the suffix and the id of a fine-tune are not recorded."""
    assert NAMES.known(f"ft:{base}:acme:our-secret-plan:abc123") == f"ft:{base}"


def test_every_catalogued_name_is_known() -> None:
    """The catalogue is sorted, has no name twice and every name of it is kept."""
    from importlib.resources import files

    lines = files("zeroret.usage").joinpath("models.txt").read_text(encoding="ascii").splitlines()
    assert lines == sorted(set(lines))
    assert len(lines) > 1000
    names = ModelNames()
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9@~][A-Za-z0-9._:/@+~-]{0,127}", line, re.ASCII)
        assert names.known(line) == line


def test_names_are_the_configured_and_catalogued() -> None:
    """The closed set can be asked for as a whole; what was learned later is not in it."""
    names = ModelNames(["house-model"])
    names.learn("brand-new-1")
    assert names.names == catalogue() | {"house-model"}


NEAR = st.builds(
    "".join,
    st.lists(
        st.one_of(
            st.sampled_from(KNOWN),
            st.sampled_from(["house-model", "Ours: large", "/", "-", "@", ":", "ft:", "-latest"]),
            st.sampled_from(sorted(PROVIDERS)).map(lambda provider: f"{provider}/"),
            st.sampled_from(["-20240806", "@20240806", "-2024-08-06", "-20249999", "20240806"]),
            st.sampled_from(["us.", "eu.", ":70b", ":7b-q4_0", ":latest", f"{BEDROCK}:"]),
            st.text(max_size=3),
        ),
        max_size=5,
    ),
)


@given(st.one_of(st.text(max_size=200), NEAR))
@example("ft:ft:gpt-4o")
@example("ft:gpt-4o/secret")
def test_nothing_else_is_ever_repeated(name: str) -> None:
    """For any text the answer is nothing, other, or made of known names and allowed forms."""
    answer = NAMES.known(name)
    assert answer is None or answer == OTHER or composed(answer)
    assert (answer is None) == (name == "")
    assert NAMES.known(name) == answer


def test_unknown_names_are_not_remembered() -> None:
    """No text a client chose stays behind in the memory of the set."""
    names = ModelNames()
    for number in range(100):
        names.known(f"my secret {number}")
        names.known(f"ft:gpt-4o:secret-{number}")
        names.learn(f"my secret {number}")
    assert not names._remembered
    assert not names._learned


def test_memory_is_bounded() -> None:
    """However many forms of known names pass, only so many are remembered."""
    names = ModelNames()
    days = [f"20{year}{month:02}{day:02}" for year in range(20, 40) for month in range(1, 13)
            for day in range(1, 28)]  # fmt: skip
    assert len(days) > MOST_REMEMBERED
    for day in days:
        assert names.known(f"gpt-4o-{day}") == f"gpt-4o-{day}"
        assert len(names._remembered) <= MOST_REMEMBERED


def test_names_are_learned_within_bounds() -> None:
    """A name an upstream vouched for is kept from then on, up to a number and never free text."""
    names = ModelNames()
    assert names.known("brand-new-1") == OTHER
    assert names.learn("brand-new-1") == "brand-new-1"
    assert names.known("brand-new-1") == "brand-new-1"
    assert names.known("brand-new-1-latest") == "brand-new-1-latest"
    assert names.learn("words with spaces") == OTHER
    assert names.learn("x" * 129) == OTHER
    assert names.learn(None) is None
    for number in range(2 * MOST_LEARNED):
        names.learn(f"brand-new-{number}")
    assert names.known(f"brand-new-{MOST_LEARNED + 5}") == OTHER
    assert len(names._learned) == MOST_LEARNED


@pytest.mark.parametrize("configured", ["gpt-4o", [""], ["x" * 129], [3], ["a\nb"]])
def test_wrong_configuration_is_refused(configured: object) -> None:
    """A configured name that could not be recorded is an error when the set is made."""
    with pytest.raises(ConfigurationError, match="models"):
        ModelNames(configured)  # type: ignore[arg-type]  # the wrong types are the point


def test_a_string_in_disguise_is_copied() -> None:
    """A subclass of str cannot put other text into the answer."""

    class Disguise(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "my secret"

    answer = ModelNames().known(Disguise("gpt-4o-2024-08-07"))
    assert answer == "gpt-4o-2024-08-07"
    assert type(answer) is str
