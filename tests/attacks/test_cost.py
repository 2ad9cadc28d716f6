"""Texts and contents made to be slow: each would take minutes if it cost its square."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable

import pytest

from zeroret.content.flight import Flight
from zeroret.content.redaction import redact
from zeroret.guards import formats

pytestmark = pytest.mark.timeout(30)
MEGABYTE = 2**20
LINE = "worker 17 finished batch 4711 for account acme in 12 ms"


def carrying(*chunks: bytes) -> Flight:
    """Return an exchange with that content."""
    flight = Flight("match")
    for chunk in chunks:
        flight.hold(chunk)
    return flight


CONTENTS: dict[str, Callable[[int], bytes]] = {
    "one byte": lambda size: b"a" * size,
    "noise": secrets.token_bytes,
    "escapes": lambda size: b"\\n\\u0041" * (size // 8),
    "backslashes": lambda size: b"\\" * size,
    "percents": lambda size: b"%41" * (size // 3),
    "pairs": lambda size: b'{"a":"b"},' * (size // 10),
    "quotes": lambda size: b'"' * size,
    "open value": lambda size: b'{"k":"' + b"a " * (size // 2 - 3),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_content_of_the_greatest_size_is_looked_up(kind: str) -> None:
    """Eight megabytes of anything are indexed, and what they share is found."""
    flight = carrying(b"what my sister told me about lithium\n", CONTENTS[kind](8 * MEGABYTE - 99))
    text = f"{LINE}: what my sister told me about lithium"
    shown = redact(text, None, [flight], background=True)
    assert "sister" not in shown
    assert shown.startswith("worker 17")


def test_a_run_of_backslashes_in_many_chunks_is_read_once() -> None:
    """With a line after every chunk, the index grows with the content and not with its square."""
    flight = carrying()
    for _ in range(2000):
        flight.hold(b"\\" * 1001)
        assert redact(LINE, flight) == LINE
    assert len(flight.index._exact.data) < 16 * MEGABYTE  # type: ignore[attr-defined] # what memory it takes is the point


def test_thousands_of_shared_stretches_are_found_in_one_pass() -> None:
    """A text of all items of the content, in another order and spelling, is withheld whole."""
    random_ = random.Random(7)  # noqa: S311 - any words do
    items = ["".join(random_.choices("abcdefghijklmnop", k=30)) for _ in range(8000)]
    flight = carrying("x, ".join(items).encode())
    shown = redact(" - ".join(f"{item[:15]}.{item[15:]}" for item in sorted(items)), flight)
    assert not any(item[:15] in shown for item in items)


def test_windows_in_no_order_do_not_search_for_ever() -> None:
    """All windows of a text, each alone in megabytes of content, are not searched one by one."""
    random_ = random.Random(7)  # noqa: S311 - any letters do
    text = "".join(random_.choices("abcdefghijklmnopqrstuvwxyz", k=60_000))
    windows = [text[at : at + 8] for at in range(len(text) - 7)]
    random_.shuffle(windows)
    content = "".join(windows).encode()
    flight = carrying(content + b"z" * (7 * MEGABYTE - len(content)))
    assert redact(LINE, flight) == LINE
    assert len(redact(text, flight)) > 0


@pytest.mark.parametrize(
    "text", ["%(" * 200_000, "%" + "0" * 400_000, "%0" * 200_000, "%*." * 99_999]
)
def test_conversions_that_never_end_are_parsed(text: str) -> None:
    """Messages of beginnings of conversions hold none."""
    assert "".join(formats.parse(text).pieces) == text


MESSAGES = {
    "blanks": " " * 400_000,
    "hex": "a1 " * 130_000,
    "short hex": ("a1" * 15 + "g ") * 12_000 + "a1" * 16,
    "numbers": "1," * 200_000,
    "short lists": ("1," * 14 + "x ") * 12_000,
    "base64": ("b" * 21 + " ") * 18_000 + "b" * 22,
    "wrapped base64": "bbbbbbbbbbbbbbbbbbbbbb\n" * 18_000,
    "entities": "&" * 200_000 + ";",
    "percents": "%41" * 130_000,
    "backslashes": "\\" * 400_000,
    "nulls": "a\0" * 200_000,
    "markers": "[withheld " * 40_000,
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_long_message_of_any_kind_is_compared(kind: str) -> None:
    """Four hundred kilobytes of every coding's beginnings share nothing with other content."""
    assert redact(MESSAGES[kind], carrying(b"nothing like it stands in here")) == MESSAGES[kind]


def test_a_thousand_exchanges_do_not_stop_the_log() -> None:
    """A line of no exchange is compared with a thousand live ones, again and again."""
    flights = [carrying(secrets.token_bytes(4000)) for _ in range(1000)]
    for number in range(8):
        assert redact(f"{LINE} {number}", None, flights, background=True).endswith(str(number))
