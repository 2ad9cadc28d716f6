"""Ollama's lines: counts of the last one, a missing one unknown, in any cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import detect, named

if TYPE_CHECKING:
    from zeroret.dialects.answer import Parts, Reader
    from zeroret.dialects.streams import StreamReader
    from zeroret.dialects.usage import Usage

CHAT: Final = named("ollama.chat")


class Text:
    """Collects delivered text by place."""

    def __init__(self) -> None:
        self.places: dict[tuple[int, int], str] = {}

    def __call__(self, parts: Parts) -> None:
        """Take a batch."""
        for place, texts in parts.items():
            self.places[place] = self.places.get(place, "") + "".join(texts)


def line(**fields: Any) -> bytes:
    """Return one line as Ollama writes it, ``done`` last."""
    return json.dumps({"model": "llama3", **fields}, separators=(",", ":")).encode() + b"\n"


def delta(text: str, **more: Any) -> bytes:
    """Return one line that delivers *text*."""
    return line(message={"role": "assistant", "content": text, **more}, done=False)


def last(**counts: Any) -> bytes:
    """Return the line that is ``done``."""
    return line(message={"role": "assistant", "content": ""}, done=True, **counts)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut *body* at *places*."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


def sides(usage: Usage) -> tuple[int | None, int | None]:
    """Return the two sides."""
    return usage.input_tokens, usage.output_tokens


def read(
    pieces: list[bytes], *, hold: bool = True, complete: bool = True
) -> tuple[StreamReader, Text, int | None]:
    """Read a stream; the third value is how many bytes had passed when it was called terminal."""
    text = Text()
    reader = CHAT.stream(text, hold=hold, framing="ndjson")
    terminal = None
    passed = 0
    for piece in pieces:
        passed += len(piece)
        if reader.feed(piece):
            assert terminal is None
            terminal = passed
    reader.finish(complete=complete, count=True)
    assert reader.held == 0
    return reader, text, terminal


TEXTS = st.sampled_from([" a", "größe", "", '"done":true', '\n{"done":true}', '"done":false}\n'])
EVENTS = st.one_of(
    TEXTS.map(delta),
    st.sampled_from(
        [
            line(response="r", done=False),
            line(thinking="t", response="", done=False),
            delta("", thinking="hm"),
            delta("", tool_calls=[{"function": {"name": "f", "arguments": {"a": 1}}}]),
            b"\n",
            b"{broken\n",
        ]
    ),
)
LAST = st.sampled_from(
    [
        last(prompt_eval_count=17, eval_count=50),
        last(eval_count=50),
        last(prompt_eval_count=0, eval_count=0),
        last(prompt_eval_count="17", eval_count=2.5),
        last(),
    ]
)


@given(
    st.lists(EVENTS, max_size=8), LAST, st.lists(st.integers(0, 5000), max_size=9), st.booleans()
)
def test_any_cut_and_line_end_reads_alike(
    events: list[bytes],
    end: bytes,
    places: list[int],
    returns: bool,  # noqa: FBT001 - hypothesis passes it
) -> None:
    """Usage, model and text depend on the bytes alone, not on how they came."""
    plain = b"".join(events) + end
    expected, text, _ = read([plain], hold=False)
    body = plain.replace(b"\n", b"\r\n") if returns else plain
    for pieces in ([body], cut(body, places), [body[i : i + 1] for i in range(len(body))]):
        for hold in (False, True):
            reader, got, terminal = read(pieces, hold=hold)
            assert terminal == len(body)
            assert sides(reader.usage) == sides(expected.usage)
            assert reader.model == "llama3"
            if not expected.usage.whole:
                assert got.places == text.places


def test_a_missing_count_is_unknown() -> None:
    """The server leaves the prompt's count out where it had the prompt in its cache."""
    for hold in (True, False):
        reader, _, _ = read([delta("hi"), last(eval_count=50)], hold=hold)
        assert sides(reader.usage) == (None, 50)


def test_a_last_line_needs_no_end() -> None:
    """A stream that ends without a line end is read to its end."""
    reader, _, _ = read([delta("hi"), last(prompt_eval_count=1, eval_count=2)[:-1]])
    assert sides(reader.usage) == (1, 2)


@given(st.lists(EVENTS, max_size=6), st.lists(st.integers(0, 5000), max_size=9))
def test_a_stream_without_its_last_line_is_counted(events: list[bytes], places: list[int]) -> None:
    """Where the client hung up nobody reported the tokens of the text, and nothing was last."""
    body = b"".join([*events, delta("hello")])
    for hold in (False, True):
        reader, text, terminal = read(cut(body, places), hold=hold, complete=False)
        assert terminal is None
        assert sides(reader.usage) == (None, None)
        assert text.places[0, 0].endswith("hello")
        assert reader.recognised
        assert reader.opaque


def test_broken_lines_do_not_mend_one_another() -> None:
    """An object that a line end cuts in two is two faults, in whatever pieces it comes."""
    whole = last(prompt_eval_count=1, eval_count=2)
    at = whole.index(b',"eval_count"')
    body = delta("hi") + whole[:at] + b"\n" + whole[at:]
    for pieces in ([body], [body[i : i + 1] for i in range(len(body))]):
        for hold in (True, False):
            reader, _, terminal = read(pieces, hold=hold)
            assert terminal is None
            assert sides(reader.usage) == (None, None)
            assert reader.malformed == 2


def test_an_error_ends_the_stream() -> None:
    """A line with an error is terminal."""
    body = delta("hi") + b'{"error":"model runner has unexpectedly stopped"}\n'
    for hold in (True, False):
        reader, text, terminal = read([body], hold=hold)
        assert terminal == len(body)
        assert reader.error
        assert text.places == {(0, 0): "hi"}


def answered(name: str, body: Any) -> tuple[Reader, Text]:
    """Read one answer."""
    text = Text()
    reader = named(name).body(text)
    reader.feed(json.dumps(body).encode())
    reader.finish(complete=True, count=True)
    return reader, text


@pytest.mark.parametrize(
    ("name", "body", "expected", "said"),
    [
        (
            "ollama.generate",
            {"response": "hi", "done": True, "prompt_eval_count": 9, "eval_count": 3},
            (9, 3),
            "",
        ),
        ("ollama.generate", {"response": "hi", "done": True, "context": [1]}, (None, None), "hi"),
        (
            "ollama.chat",
            {"message": {"content": "hi"}, "done": True, "eval_count": 3},
            (None, 3),
            "hi",
        ),
        ("ollama.chat", {"message": "hi", "done": True}, (None, None), ""),
        ("ollama.chat", {"reply": "hi"}, (None, None), ""),
        ("ollama.embed", {"embeddings": [[0.1]], "prompt_eval_count": 8}, (8, 0), ""),
        ("ollama.embeddings", {"embedding": [0.1]}, (None, None), ""),
    ],
)
def test_answers_are_read(
    name: str, body: dict[str, Any], expected: tuple[int | None, int | None], said: str
) -> None:
    """Counts where they are; text where one is missing; nothing of what is not Ollama's."""
    reader, text = answered(name, body)
    assert sides(reader.usage) == expected
    assert "".join(text.places.values()) == said


def test_an_answer_is_a_stream_unless_it_says_json() -> None:
    """Ollama streams where nothing was asked; an app in its place may name no content type."""
    for kind, framing in ((b"", "ndjson"), (b"text/plain", "ndjson"), (b"application/json", None)):
        assert CHAT.framing(kind, asked=False) == framing


def test_paths_are_known() -> None:
    """The endpoints stand under ``api``."""
    for path in ("generate", "chat", "embed", "embeddings"):
        dialect = detect(f"/ollama/api/{path}")
        assert dialect is not None
        assert dialect.name == f"ollama.{path}"
    assert detect("/api/tags") is None


@given(st.binary(max_size=200), st.lists(st.integers(0, 900), max_size=6))
def test_any_bytes_are_borne(junk: bytes, places: list[int]) -> None:
    """Arbitrary bytes after a good stream never raise, and never change what it reported."""
    good = last(prompt_eval_count=1, eval_count=2)
    for pieces in ([good + junk], cut(good + junk, places)):
        for hold in (True, False):
            reader, _, terminal = read(pieces, hold=hold)
            assert terminal is not None
            assert sides(reader.usage) == (1, 2)
