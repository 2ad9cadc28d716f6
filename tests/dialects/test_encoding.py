"""Content codings, piece by piece."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects.encoding import OUTPUT_LIMIT, Inflate, coding


def raw_deflate(data: bytes) -> bytes:
    """Compress without the zlib wrapper, as some servers do."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "two members": ("gzip", lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:])),
    "zlib": ("deflate", zlib.compress),
    "raw": ("deflate", raw_deflate),
}


@pytest.mark.parametrize("packer", PACKERS)
@given(data=st.binary(max_size=3000), step=st.integers(1, 400))
def test_any_cut_inflates_to_the_same(packer: str, data: bytes, step: int) -> None:
    """However the packed bytes are cut, what comes out is what went in."""
    name, pack = PACKERS[packer]
    packed = pack(data)
    inflate = Inflate(name)
    out = b"".join(inflate.feed(packed[i : i + step]) for i in range(0, len(packed), step))
    assert out == data
    assert inflate.readable


@given(st.sampled_from(["gzip", "deflate"]), st.lists(st.binary(max_size=60), max_size=8))
def test_junk_is_unreadable_and_raises_nothing(name: str, chunks: list[bytes]) -> None:
    """Bytes that are not packed raise nothing."""
    inflate = Inflate(name)
    for chunk in chunks:
        assert isinstance(inflate.feed(chunk), bytes)


@pytest.mark.parametrize("step", [100, 2**20])
def test_a_bomb_is_refused_early(step: int) -> None:
    """A body that inflates a thousandfold stops being read far below its size."""
    packed = gzip.compress(b"\0" * (OUTPUT_LIMIT // 2))
    inflate = Inflate("gzip")
    made = sum(len(inflate.feed(packed[i : i + step])) for i in range(0, len(packed), step))
    assert not inflate.readable
    assert made < 2 * 2**20


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, ""),
        (b"", ""),
        ("identity", ""),
        (b"GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("identity, gzip", "gzip"),
        ("deflate", "deflate"),
        ("br", "unreadable"),
        ("gzip, gzip", "unreadable"),
        (b"deflate, gzip", "unreadable"),
    ],
)
def test_the_header_names_one_coding_or_none(header: str | bytes | None, expected: str) -> None:
    """One known coding is read, none is none, everything else is unreadable."""
    assert coding(header) == expected


def test_an_unreadable_coding_yields_nothing() -> None:
    """What cannot be undone gives no bytes, so nothing is read into them."""
    inflate = Inflate("unreadable")
    assert inflate.feed(b"abc") == b""
    assert not inflate.readable
