"""Sharing: what counts as content in what leaves, and what every program says anyway."""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroret.content.flight import Flight
from zeroret.guards import wording
from zeroret.guards.sharing import OVERLAP, Pieces, shares

Within = Callable[..., AbstractContextManager[Flight]]

REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1732200000,
    "choices": [{"index": 0, "message": {"role": "assistant"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(REPLY["usage"]),
        json.dumps({"usage": REPLY["usage"]}, separators=(",", ":")),
        "INSERT INTO usage (prompt_tokens, completion_tokens, total_tokens) VALUES (?, ?, ?)",
        '{"object":"chat.completion","created":1732200000}',
        "application/json",
        "usage: completion_tokens",
    ],
)
def test_what_apis_call_things_is_no_content(text: str, within: Within) -> None:
    """Usage reports and tables repeat the reply's structure, and quote no conversation."""
    for asked in (json.dumps(REPLY), json.dumps(REPLY, separators=(",", ":"))):
        with within(asked.encode() + b" application/json") as flight:
            assert not shares(text.encode(), flight)


@pytest.mark.parametrize(
    "text",
    [
        "a message of the user",
        "text, content, message, input",
        '{"role": "user", "note": "a message of the user"}',
        "4111 1111 1111 1111",
        "[104, 101, 108, 108, 111, 32, 119, 111, 114, 108, 100, 33, 33, 33, 33, 33]",
        "----------------",
    ],
)
def test_ordinary_words_and_numbers_are_content(text: str, within: Within) -> None:
    """Only names that an API made up, and JSON around them, are anybody's."""
    with within(text.encode()) as flight:
        assert shares(text.encode(), flight)


def test_what_a_library_calls_itself_is_no_content(within: Within) -> None:
    """Caller and app may use the same client."""
    wording.learn("python-test-client/1.2.3")
    with within(b"python-test-client/1.2.3") as flight:
        assert not shares(b"python-test-client/1.2.3", flight)
        assert shares(b"python-test-client/1.2.4 and more", flight)


@pytest.mark.parametrize("route", ["/v1/chat/completions", "/v1/{model}/completions", "^v1/(.*)$"])
def test_a_route_without_parameters_is_no_content(route: str, within: Within) -> None:
    """A limiter's key may name the route; one with parameters proves nothing."""
    with within(b"/v1/chat/completions") as flight:
        flight.route = route
        assert shares(b"LIMIT//v1/chat/completions/1", flight) is (route != "/v1/chat/completions")


def test_identifiers_are_content_except_where_they_may_be_kept(within: Within) -> None:
    """A session's key is content on the network, and none in a store; with more it is again."""
    key = "8s3kq0vv1l2m4n5p6q7r8s9t0u1v2w3x"
    with within(key.encode() + b" the words of a prompt") as flight:
        flight.headers = [(b"cookie", b"sid=" + key.encode())]
        assert shares(f"session:{key}".encode(), flight)
        assert not shares(f"session:{key}".encode(), flight, identifiers=True)
        assert shares(f"{key} the words of a prompt".encode(), flight, identifiers=True)
        flight.drop()
        assert flight.identifiers() == frozenset()


@settings(max_examples=15)
@given(size=st.integers(1, 40), at=st.integers(0, 300), seed=st.integers(0, 2**32))
def test_pieces_are_seen_across_their_joints(size: int, at: int, seed: int) -> None:
    """Wherever content lies in a stream, and however it is cut, no more than a run of it passes."""
    content = secrets.token_hex(20).encode()
    flight = Flight()
    flight.hold(content)
    body = bytes((seed * (index + 1) >> 3) % 26 + 65 for index in range(at)) + content
    pieces = Pieces(flight)
    passed = b""
    for start in range(0, len(body), size):
        if pieces.takes(body[start : start + size]):
            break
        passed += body[start : start + size]
    else:
        pytest.fail("all of it passed")
    assert content[:16] not in passed


def test_pieces_of_a_dropped_exchange_are_not_taken() -> None:
    """What was content is not known any more, so nothing more is let out."""
    flight = Flight()
    flight.hold(b"anything at all, and some more")
    pieces = Pieces(flight)
    assert not pieces.takes(b"words of the program's own")
    flight.drop()
    assert pieces.takes(b"words of the program's own")


def test_compressed_pieces_are_read() -> None:
    """Content cannot hide in a coding that the headers name."""
    flight = Flight()
    content = " ".join(secrets.token_hex(8) for _ in range(20)).encode()
    flight.hold(content)
    data = zlib.compress(content, 9)
    pieces = Pieces(flight, "deflate")
    assert any(pieces.takes(data[start : start + 5]) for start in range(0, len(data), 5))
    clean = zlib.compress(b"words of the program's own, again and again" * 9)
    pieces = Pieces(flight, "deflate")
    assert not any(pieces.takes(clean[start : start + 5]) for start in range(0, len(clean), 5))


def test_an_overlap_holds_any_disguise_of_a_short_run() -> None:
    """Sixteen bytes, each written as six characters, fit into what is kept of the piece before."""
    assert OVERLAP >= 2 * 16 * 6


@given(st.binary(max_size=300))
def test_wording_never_adds_substance(data: bytes) -> None:
    """What is left of a stretch is at most the stretch."""
    spans = [(0, len(data)), (len(data) // 3, len(data) // 2)]
    for (start, end), left in zip(spans, wording.substance(data, spans), strict=True):
        assert 0 <= left <= max(end - start, 0)


def test_hostile_structure_costs_one_pass() -> None:
    """Nothing that nearly is JSON makes the patterns go back and forth."""
    for text in (b'{"role"' * 20_000, b"[" * 100_000, b'"role" ' * 20_000, b'"role":1' * 20_000):
        data: Any = text
        assert wording.substance(data, [(0, len(data))])[0] <= len(data)
