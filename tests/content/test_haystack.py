"""The haystack against the definition: the union of all windows that stand in the content."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from zeroret.content import haystack
from zeroret.content.haystack import Haystack, Needle
from zeroret.content.matching import merged


def brute(text: bytes, content: bytes, least: int) -> list[tuple[int, int]]:
    """Return the union of all windows of *least* bytes that stand in the content."""
    return merged(
        (at, at + least) for at in range(len(text) - least + 1) if text[at : at + least] in content
    )


@st.composite
def pairs(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw a content and a text that quotes parts of it between parts of its own."""
    alphabet = draw(st.sampled_from([b"ab", b"abcdefgh ", bytes(range(256))]))
    letters = st.lists(st.sampled_from(list(alphabet)), max_size=90).map(bytes)
    content = b"".join(draw(st.lists(letters, min_size=1, max_size=6)))
    parts = []
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(content)))
        parts += [content[start : start + draw(st.integers(0, 100))], draw(letters)[:12]]
    return b"".join(parts), content


@settings(max_examples=400, deadline=None)
@given(pairs(), st.sampled_from([16, 24, 64]), st.sampled_from([0, 4]), st.booleans())
def test_spans_are_exactly_the_union_of_shared_windows(
    pair: tuple[bytes, bytes],
    least: int,
    patience: int,
    large: bool,  # noqa: FBT001 - drawn
) -> None:
    """Every run from the threshold on is found in full, nothing below it, by every method."""
    text, content = pair
    stack = Haystack()
    stack.data += content
    stack._asked = haystack.PATIENCE - patience
    limit = haystack.DENSE_LIMIT
    haystack.DENSE_LIMIT = 0 if large and least > 16 else limit  # type: ignore[misc]  # restored
    try:
        assert merged(stack.spans(Needle(text), least)) == brute(text, content, least)
    finally:
        haystack.DENSE_LIMIT = limit  # type: ignore[misc]  # restored


@settings(max_examples=150, deadline=None)
@given(st.lists(pairs(), min_size=2, max_size=5), st.sampled_from([16, 24, 64]))
def test_a_haystack_that_grows_knows_what_was_added(
    pairs: list[tuple[bytes, bytes]], least: int
) -> None:
    """Windows and blocks are read on from where they ended, joints included."""
    stack = Haystack()
    stack._asked = haystack.PATIENCE
    content = b""
    for text, part in pairs:
        content += part
        stack.data += part
        assert merged(stack.spans(Needle(text), least)) == brute(text, content, least)


def test_long_content_is_searched_through_blocks(prose: str) -> None:
    """A run of 24 bytes at any alignment of 50 kB is found, one of 23 is not."""
    content = prose.encode()
    stack = Haystack()
    stack.data += content
    for start in range(20_000, 20_008):
        for before in (b"", b"\x01", b"\x01\x02\x03\x04\x05"):
            text = before + content[start : start + 24] + b"\x00" * 9
            assert stack.spans(Needle(text), 24) == [(len(before), len(before) + 24)]
            assert stack.spans(Needle(text[: len(before) + 23]), 24) == []
