"""The safe-cut rule: a text fed in pieces counts as the encoder counts it whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random
from typing import Final

import pytest
import tiktoken
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zeroret.tokens import TokenStream, vocabulary
from zeroret.tokens.counting import FORCED, LOW, MAX_HOLD

CASES: Final = 2_500
LONG_CASES: Final = 20_000
WORST: Final = 3
"""The most tokens by which one forced cut is off."""

anything = settings(
    deadline=None,  # the first example loads the vocabulary
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
any_text = st.text(st.characters(exclude_categories=()), max_size=300)
lows = st.sampled_from([1, LOW])


def count_in_pieces(name: str, deltas: list[str] | list[bytes], low: int = LOW) -> TokenStream:
    """Return a stream that was fed *deltas* and finished."""
    stream = TokenStream(name, low=low)
    for delta in deltas:
        stream.feed(delta)
        assert stream.held <= MAX_HOLD
    stream.finish()
    assert stream.held == 0
    return stream


def split(random: Random, text: str, longest: int) -> list[str]:
    """Return *text* cut at random places."""
    deltas, start = [], 0
    while start < len(text):
        end = start + random.randint(1, longest)
        deltas.append(text[start:end])
        start = end
    return deltas


def compare_random_texts(
    encoding: tiktoken.Encoding, awkward: Callable[[Random, int], str], cases: int
) -> None:
    """Count *cases* awkward texts both ways, cut at once and as usual."""
    random = Random(encoding.name)  # noqa: S311 - reproducible texts, no secrets
    for _ in range(cases):
        text = awkward(random, random.randint(0, 60))
        whole = len(encoding.encode_ordinary(text))
        for low in (1, LOW):
            deltas = split(random, text, random.choice((1, 4, 40)))
            stream = count_in_pieces(encoding.name, deltas, low)
            assert (stream.finish(), stream.exact) == (whole, True), ascii(deltas)


@anything
@given(text=any_text, cuts=st.lists(st.integers(0, 300)), low=lows)
def test_any_split_of_any_text_counts_as_the_whole(
    encoding: tiktoken.Encoding, text: str, cuts: list[int], low: int
) -> None:
    """Wherever a text is split, the count is that of the whole, and exact."""
    places = [0, *sorted(cuts), len(text)]
    deltas = [text[start:end] for start, end in itertools.pairwise(places)]
    stream = count_in_pieces(encoding.name, deltas, low)
    assert stream.finish() == len(encoding.encode_ordinary(text))
    assert stream.exact


def test_awkward_texts_count_as_the_whole(
    encoding: tiktoken.Encoding, awkward: Callable[[Random, int], str]
) -> None:
    """Texts made of every class the patterns tell apart are counted exactly."""
    compare_random_texts(encoding, awkward, CASES)


@pytest.mark.long
def test_many_awkward_texts_count_as_the_whole(
    encoding: tiktoken.Encoding, awkward: Callable[[Random, int], str]
) -> None:
    """The same over many more texts."""
    compare_random_texts(encoding, awkward, LONG_CASES)


def compare_every_string(
    encoding: tiktoken.Encoding, pieces: tuple[str, ...], length: int
) -> tuple[int, int]:
    """Count every string of *length* characters, one by one; return how many, how many cut."""
    single = [one for one in pieces if len(one) == 1]
    count = cut = 0
    for characters in itertools.product(single, repeat=length):
        stream = TokenStream(encoding.name, low=1)
        for one in characters:
            stream.feed(one)
        cut += stream.held < length
        text = "".join(characters)
        assert stream.finish() == len(encoding.encode_ordinary(text)), ascii(text)
        count += 1
    return count, cut


def test_every_short_string_counts_as_the_whole(
    encoding: tiktoken.Encoding, pieces: tuple[str, ...]
) -> None:
    """All strings of three class representatives are exact; many of them were really cut."""
    count, cut = compare_every_string(encoding, pieces, 3)
    assert cut > count // 10


@pytest.mark.long
def test_every_string_of_four_counts_as_the_whole(
    encoding: tiktoken.Encoding, pieces: tuple[str, ...]
) -> None:
    """All strings of four class representatives are exact."""
    count, cut = compare_every_string(encoding, pieces, 4)
    assert cut > count // 10


@anything
@given(
    raw=st.binary(max_size=300) | any_text.map(lambda t: t.encode("utf-8", "surrogatepass")),
    size=st.integers(1, 9),
    low=lows,
)
def test_bytes_may_end_inside_a_character(
    encoding: tiktoken.Encoding, raw: bytes, size: int, low: int
) -> None:
    """Bytes in pieces, valid UTF-8 or not, count as the text they decode to."""
    deltas = [raw[start : start + size] for start in range(0, len(raw), size)]
    stream = count_in_pieces(encoding.name, deltas, low)
    assert stream.finish() == len(encoding.encode_ordinary(raw.decode("utf-8", "replace")))


def test_text_after_unfinished_bytes_ends_them(encoding: tiktoken.Encoding) -> None:
    """A character that bytes left unfinished becomes U+FFFD when text follows or the end comes."""
    stream = TokenStream(encoding.name)
    stream.feed("é".encode()[:1])
    assert stream.held == 1
    stream.feed("x")
    stream.feed("é".encode()[:1])
    assert stream.finish() == len(encoding.encode_ordinary("\ufffdx\ufffd"))


def test_surrogate_halves_meet_over_deltas(encoding: tiktoken.Encoding) -> None:
    """A pair split over two deltas counts as its character, a lone half as the encoder takes it."""
    whole = len(encoding.encode_ordinary("a 😀 b"))
    assert count_in_pieces(encoding.name, ["a \ud83d", "\ude00 b"], 1).finish() == whole
    lone = len(encoding.encode_ordinary("a \ud83d b"))
    assert count_in_pieces(encoding.name, ["a \ud83d", " b"], 1).finish() == lone


RUNS: Final = {
    "letters": "qxzjwkvbfh",
    "one letter": "a",
    "capitals": "QXZA",
    "Han": "今天天气很好我们去公园",
    "Thai": "สวัสดีครับวันนี้อากาศดี",
    "blanks": " ",
    "lines": "\n",
    "punctuation": "=-=",
    "digits": "0123456789",
    "emoji": "👩\u200d👩\u200d👧",
    "halves": "\ud83d\ude00",
}


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("start", ["", "x"])
def test_an_unbroken_run_is_nearly_exact_and_says_so(
    encoding: tiktoken.Encoding, kind: str, start: str
) -> None:
    """A run without a safe cut is cut by force: off by at most 3 tokens a cut, held bounded."""
    random = Random(kind)  # noqa: S311 - reproducible texts, no secrets
    text = start + "".join(random.choices(RUNS[kind], k=30_000))
    if len(RUNS[kind]) < 6:  # short patterns are repeated as they are
        text = start + RUNS[kind] * (30_000 // len(RUNS[kind]))
    whole = len(encoding.encode_ordinary(text))
    stream = count_in_pieces(encoding.name, split(random, text, 50))
    assert not stream.exact
    assert abs(stream.finish() - whole) <= WORST * (len(text) // FORCED + 1)


def test_a_long_run_of_digits_is_cut_between_its_groups(encoding: tiktoken.Encoding) -> None:
    """Digits are cut after a multiple of three, so that even a forced cut loses nothing."""
    text = "1234567890" * 3_000
    stream = count_in_pieces(encoding.name, [text])
    assert (stream.finish(), stream.exact) == (len(encoding.encode_ordinary(text)), False)


def test_a_run_up_to_the_bound_is_exact(encoding: tiktoken.Encoding) -> None:
    """No cut is forced while the run fits into what may be held."""
    text = "ab" * (MAX_HOLD // 2)
    stream = count_in_pieces(encoding.name, split(Random(1), text, 8))  # noqa: S311 - as above
    assert (stream.finish(), stream.exact) == (len(encoding.encode_ordinary(text)), True)


def test_a_million_blanks_neither_panic_nor_pile_up(
    encoding: tiktoken.Encoding, capfd: pytest.CaptureFixture[str]
) -> None:
    """What makes the encoder panic when it is counted whole is counted in slices, quietly."""
    stream = count_in_pieces(encoding.name, [" " * 1_100_000 + "x"])
    piece = len(encoding.encode_ordinary(" " * 100_000))
    assert abs(stream.finish() - 11 * piece) <= WORST * (1_100_000 // FORCED + 11)
    assert not stream.exact
    assert capfd.readouterr().err == ""


def test_a_megabyte_of_one_letter(encoding: tiktoken.Encoding) -> None:
    """One enormous word is counted within the bound of its forced cuts."""
    text = "a" * 1_000_000
    stream = count_in_pieces(encoding.name, [text])
    whole = len(encoding.encode_ordinary(text))
    assert abs(stream.finish() - whole) <= WORST * (len(text) // FORCED + 1)


def test_usual_text_is_held_by_the_word(encoding: tiktoken.Encoding) -> None:
    """Of running text no more is held than what waits for the next call of the encoder."""
    text = "The quick brown fox jumps over the lazy dog, 42 times.\n" * 100
    stream = TokenStream(encoding.name)
    for delta in split(Random(2), text, 8):  # noqa: S311 - as above
        stream.feed(delta)
        assert stream.held < LOW
    assert stream.finish() == len(encoding.encode_ordinary(text))


def test_special_token_strings_are_text(encoding: tiktoken.Encoding) -> None:
    """A user who writes a special token gets the tokens of its letters, and no error."""
    for special in encoding.special_tokens_set:
        stream = count_in_pieces(encoding.name, [special])
        assert stream.finish() == len(encoding.encode_ordinary(special)) > 1


def test_nothing_of_the_text_is_shown_or_kept() -> None:
    """The representation shows numbers only; clear and finish let go of the text."""
    stream = TokenStream("o200k_base")
    stream.feed("top secret")
    assert "secret" not in repr(stream)
    assert "held=10" in repr(stream)
    stream.clear()
    assert (stream.held, stream.finish()) == (0, 0)
    stream.feed(b"\xe2\x82")
    stream.clear()
    assert (stream.held, stream.finish()) == (0, 0)
    stream.feed("hello world")
    assert (stream.finish(), stream.finish(), stream.held) == (2, 2, 0)


def test_what_comes_after_the_end_is_a_text_of_its_own(encoding: tiktoken.Encoding) -> None:
    """After finish a new text begins, and the total goes on."""
    stream = TokenStream(encoding.name)
    for text in ("hel", "lo"):
        stream.feed(text)
        stream.finish()
    parts = [len(encoding.encode_ordinary(text)) for text in ("hel", "lo")]
    assert stream.finish() == sum(parts)


def test_a_panic_of_the_encoder_becomes_an_estimate(capfd: pytest.CaptureFixture[str]) -> None:
    """The native panic, no Exception by its base, never leaves; the count is a quarter byte's."""
    native = vocabulary.encoding("o200k_base").encode_ordinary
    stream = TokenStream("o200k_base")
    stream._encode = lambda _: native("\t" * 1_100_000)
    stream.feed("é" * 40)
    assert (stream.finish(), stream.exact) == (20, False)
    assert "panicked" in capfd.readouterr().err


def test_an_interrupt_is_not_swallowed() -> None:
    """Only faults of the encoder are: what ends the program goes on its way."""

    def interrupted(_: str) -> list[int]:
        raise KeyboardInterrupt

    stream = TokenStream("o200k_base")
    stream._encode = interrupted
    stream.feed("hello")
    with pytest.raises(KeyboardInterrupt):
        stream.finish()
