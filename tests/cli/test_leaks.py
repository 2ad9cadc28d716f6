"""The search finds planted canaries in every disguise and on every surface, and nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.cli.demo.calls import ALPHABET, LENGTH, canary
from zeroret.cli.demo.leaks import FRAGMENT, SURFACES, Search, merge, streams

DISGUISES: dict[str, Callable[[str], bytes]] = {
    "raw": str.encode,
    "JSON": lambda text: json.dumps({"said": text}).encode(),
    "JSON, all escaped": lambda text: "".join(f"\\u{ord(one):04x}" for one in text).encode(),
    "JSON twice": lambda text: "".join(f"\\\\u{ord(one):04x}" for one in text).encode(),
    "repr of bytes": lambda text: "".join(f"\\x{ord(one):02x}" for one in text).encode(),
    "URL, all escaped": lambda text: "".join(f"%{ord(one):02X}" for one in text).encode(),
    "URL": lambda text: quote(f"?q=ü {text}").encode(),
    "HTML, decimal": lambda text: "".join(f"&#{ord(one)};" for one in text).encode(),
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(one):02x};" for one in text).encode(),
    "hex": lambda text: text.encode().hex().encode(),
    "hex, odd": lambda text: b"0" + text.encode().hex().upper().encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64, +1": lambda text: base64.b64encode(b"." + text.encode()),
    "base64, +2": lambda text: base64.b64encode(b".." + text.encode()),
    "base64, URL-safe": lambda text: base64.urlsafe_b64encode(b"\xff\xfe" + text.encode()),
    "base64 in a word": lambda text: b"YWI" + base64.b64encode(text.encode()),
    "UTF-16": lambda text: text.encode("utf-16"),
    "first half": lambda text: text[:FRAGMENT].encode(),
    "last half": lambda text: text[-FRAGMENT:].encode(),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_finds_every_disguise(disguise: str) -> None:
    """A canary is found however it was dressed up, and only that one."""
    planted, other = canary(), canary()
    dressed = b"some words before " + DISGUISES[disguise](planted) + b" and after"
    assert Search([planted, other]).text(dressed) == {planted}


@given(st.text(ALPHABET, min_size=LENGTH, max_size=LENGTH), st.binary(max_size=200))
def test_finds_among_anything(planted: str, noise: bytes) -> None:
    """Bytes around a canary, whatever they are, do not hide it."""
    assert planted in Search([planted]).text(noise + planted.encode() + noise)


@given(st.binary(max_size=500))
def test_finds_nothing_where_nothing_is(noise: bytes) -> None:
    """Random bytes hold no canary."""
    assert Search([canary(), canary()]).text(noise) == set()


def test_fifteen_characters_are_none() -> None:
    """Less than a fragment is not counted as a leak."""
    planted = canary()
    assert Search([planted]).text(planted[: FRAGMENT - 1].encode()) == set()


def test_every_surface(tmp_path: Path) -> None:
    """Each file a server writes counts for its own surface, names of files included."""
    planted = {surface: canary() for surface in SURFACES}
    (tmp_path / "tmp").mkdir()
    (tmp_path / "usage.db.journal").mkdir()
    (tmp_path / "stdout.txt").write_text(
        f'INFO:     127.0.0.1:1 - "POST /v1?x={planted["access log"]} HTTP/1.1" 200 OK\n'
        f"{planted['stdout and stderr, the rest']}\n"
    )
    (tmp_path / "stderr.txt").write_text(
        "ERROR:    Exception in ASGI application\nTraceback (most recent call last):\n"
        f"  File app.py\nRuntimeError: first\nline {planted['tracebacks']}\nINFO:     done\n"
    )
    (tmp_path / "app.log").write_text(planted["application log file"])
    (tmp_path / "log.jsonl").write_text(planted["JSON log file"])
    (tmp_path / "tmp" / planted["temporary directory"]).touch()
    (tmp_path / "usage.db-wal").write_text(planted["usage database"])
    (tmp_path / "usage.db.journal" / "1.0.segment").write_text(planted["journal"])
    (tmp_path / "debug.dump").write_text(planted["other files"])
    found = Search(planted.values()).folder(tmp_path)
    assert {name: found[name] for name in SURFACES} == {
        name: {value} for name, value in planted.items()
    }


def test_a_traceback_ends_at_the_next_record() -> None:
    """What is logged after a traceback counts for the rest again."""
    lines = b"Traceback (most recent call last):\n  x\nE: y\nINFO:app:next\n"
    assert [surface for surface, _ in streams(lines)] == [
        *["tracebacks"] * 3,
        "stdout and stderr, the rest",
    ]


def test_merge_keeps_what_any_search_found() -> None:
    """What stood there once stays found, also if a later search misses it."""
    assert merge({"journal": {"a"}}, {"journal": {"b"}, "access log": set()}) == {
        "journal": {"a", "b"},
        "access log": set(),
    }
