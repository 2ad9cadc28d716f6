"""The table of disguises: which the matcher sees through, and which it does not."""

from __future__ import annotations

import base64
import binascii
import codecs
import gzip
import hashlib
import html
import json
import re
import textwrap
import unicodedata
import urllib.parse
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroret.content.disguises import BYTES_LIMIT, VIEWS_LIMIT, views
from zeroret.content.matching import shared, shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.content.flight import Flight


def deflated(text: str) -> bytes:
    """Return a bare deflate stream."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(text.encode()) + packer.flush()


def numeric(text: str) -> str:
    """Return a text as HTML numeric entities."""
    return "".join(f"&#{ord(character)};" for character in text)


def unicode_escaped(text: str) -> str:
    """Return a text with every character as an escape."""
    return "".join(f"\\u{ord(character):04x}" for character in text)


CAUGHT: dict[str, Callable[[str], str]] = {
    "raw": str,
    "repr": repr,
    "json (ascii)": json.dumps,
    "json (utf-8)": lambda text: json.dumps(text, ensure_ascii=False),
    "double json": lambda text: json.dumps(json.dumps(text)),
    "bytes repr": lambda text: repr(text.encode()),
    "all \\uXXXX": unicode_escaped,
    "url quote": urllib.parse.quote,
    "url quote_plus": urllib.parse.quote_plus,
    "html.escape": html.escape,
    "html numeric": numeric,
    "base64 +0": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 +1": lambda text: base64.b64encode(b"x" + text.encode()).decode(),
    "base64 +2": lambda text: base64.b64encode(b"xy" + text.encode()).decode(),
    "base64 head cut 1": lambda text: base64.b64encode(text.encode()).decode()[1:],
    "base64 head cut 2": lambda text: base64.b64encode(text.encode()).decode()[2:],
    "base64 head cut 3": lambda text: base64.b64encode(text.encode()).decode()[3:],
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 MIME lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "base64 MIME lines, repr": lambda text: repr(base64.encodebytes(text.encode())),
    "hex": lambda text: text.encode().hex(),
    "hex, odd cut": lambda text: text.encode().hex()[1:],
    "hex with blanks": lambda text: binascii.hexlify(text.encode(), " ").decode(),
    "upper": str.upper,
    "lower": str.lower,
    "casefold+strip punct": lambda text: re.sub(r"[^\w\s]", "", text.casefold()),
    "whitespace collapsed": lambda text: re.sub(r"\s+", " ", text),
    "whitespace removed": lambda text: re.sub(r"\s+", "", text),
    "first 40": lambda text: text[:40],
    "textwrap 20": lambda text: textwrap.fill(text, 20),
    "textwrap 10": lambda text: textwrap.fill(text, 10),
    "half a record": lambda text: text[len(text) // 2 :],
    "one char spaced": " ".join,
    "zlib+base64": lambda text: base64.b64encode(zlib.compress(text.encode())).decode(),
    "gzip+base64": lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
    "deflate+base64": lambda text: base64.b64encode(deflated(text)).decode(),
    "zlib+hex": lambda text: zlib.compress(text.encode()).hex(),
    "utf-16 repr": lambda text: repr(text.encode("utf-16")),
    "utf-16-be repr": lambda text: repr(text.encode("utf-16-be")),
    "utf-16 nulls": lambda text: text.encode("utf-16-le").decode("latin-1"),
    "list of ints": lambda text: str(list(text.encode())),
    "list of code points": lambda text: str([ord(character) for character in text]),
    "NFKD ascii-fold": lambda text: (
        unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    ),
    "base64 in json in url": lambda text: urllib.parse.quote(
        json.dumps({"b": base64.b64encode(text.encode()).decode()})
    ),
}

# Matching alone does not see these: a log policy that denies by default does. A word or twelve
# characters are below the threshold, which ordinary lines would else collide with.
NOT_CAUGHT: dict[str, Callable[[str], str]] = {
    "base85": lambda text: base64.b85encode(text.encode()).decode(),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "reversed": lambda text: text[::-1],
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "sha256": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "first 12": lambda text: text[:12],
    "one word per record (longest)": lambda text: max(text.split(), key=len),
    "token ids": lambda text: str([zlib.crc32(word.encode()) % 200_000 for word in text.split()]),
}


@pytest.mark.parametrize("disguise", CAUGHT)
def test_a_disguise_of_the_table_is_seen_through(
    disguise: str, prompt: str, asking: Callable[[str], Flight]
) -> None:
    """The prompt in this disguise, within a log line, is matched."""
    line = f"INFO worker took job {CAUGHT[disguise](prompt)} end of job"
    assert shares(line, asking(prompt))


@pytest.mark.parametrize("disguise", NOT_CAUGHT)
def test_a_disguise_that_matching_is_known_not_to_see(
    disguise: str, prompt: str, asking: Callable[[str], Flight]
) -> None:
    """The documentation says that these pass in match mode, and they do."""
    line = f"INFO worker took job {NOT_CAUGHT[disguise](prompt)} end of job"
    assert not shares(line, asking(prompt))


@pytest.mark.parametrize(
    "disguise", ["base64 +1", "hex", "zlib+base64", "list of ints", "html numeric", "url quote"]
)
def test_only_the_encoded_token_is_hit(
    disguise: str, prompt: str, asking: Callable[[str], Flight]
) -> None:
    """What stands around an encoded token stays readable."""
    hidden = CAUGHT[disguise](prompt)
    line = f"INFO worker took job {hidden} end of job"
    spans = shared(line, asking(prompt))
    assert spans[0][0] >= line.index(hidden)
    assert spans[-1][1] <= line.index(hidden) + len(hidden)
    assert sum(end - start for start, end in spans) > len(hidden) * 0.9


def test_escapes_point_back_to_where_they_stood() -> None:
    """A stretch of a view is traced through two codings to the bytes it came from."""
    text = rb'payload "caf\\u00e9 \\u0022au lait\\u0022" end'
    inner = [view for view in views(text) if "café".encode() in view.data]
    start = inner[-1].data.index("é".encode())
    assert text[slice(*inner[-1].origin(start, start + 2))] == rb"\\u00e9"
    start = inner[-1].data.index(b"lait")
    assert text[slice(*inner[-1].origin(start, start + 4))] == b"lait"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(repr).map(str.encode))
def test_views_of_anything_are_bounded_and_never_fail(text: bytes) -> None:
    """No input raises, and number and size stay within their limits."""
    found = views(text)
    assert len(found) <= VIEWS_LIMIT
    assert sum(len(view.data) for view in found) <= BYTES_LIMIT + 4 * len(text)
    for view in found:
        start, end = view.origin(0, len(view.data))
        assert 0 <= start <= end <= len(text)


def test_a_bomb_inflates_within_the_limit() -> None:
    """A megabyte of zeros in a line costs a bounded number of bytes."""
    bomb = base64.b64encode(zlib.compress(b"A" * 2**24))
    assert sum(len(view.data) for view in views(bomb)) < 2**20


@pytest.mark.parametrize(
    "line",
    [
        b"GET /healthz 200 in 3 ms",
        b"worker 12 started, 4 threads, queue at 0.93 of 100",
        "größe überschritten: 12 von 10".encode(),
    ],
)
def test_a_plain_line_has_no_views(line: bytes) -> None:
    """Nothing is decoded where nothing is encoded."""
    assert views(line) == []
