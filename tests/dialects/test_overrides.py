"""Dialects by route: templates and prefixes, and what wins."""

from __future__ import annotations

import pytest

from zeroret.dialects.overrides import Overrides

STATED = Overrides(
    {
        "/my/chat": "openai.chat",
        "/my/chat/quiet": None,
        "/t/{tenant}/ask": "anthropic.messages",
        "/f/<int:number>/ask": "openai.completions",
        "/deep/{rest:path}/talk": "openai.chat",
        "/v1/chat/completions": None,
        "/live": "openai.realtime",
        "/all/": "openai.embeddings",
    }
)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/my/chat", "openai.chat"),
        ("/my/chat/", "openai.chat"),
        ("/my/chat/v2", "openai.chat"),
        ("/my/chat/quiet", None),
        ("/my/chat/quiet/now", None),
        ("/my/chats", None),
        ("/prefix/my/chat", None),
        ("/t/acme/ask", "anthropic.messages"),
        ("/t/acme/corp/ask", None),
        ("/f/7/ask/again", "openai.completions"),
        ("/deep/a/b/talk", "openai.chat"),
        ("/v1/chat/completions", None),
        ("/v2/chat/completions", "openai.chat"),
        ("/all", "openai.embeddings"),
        ("/all/x/y", "openai.embeddings"),
        ("/my/chat" + "x" * 5000, None),
        ("", None),
    ],
)
def test_the_most_literal_route_wins(path: str, name: str | None) -> None:
    """A stated route holds for its path and all below, wins over the look of it, or closes it."""
    dialect = STATED.detect(path)
    assert (dialect.name if dialect else None) == name


def test_methods_are_the_dialects() -> None:
    """A stated route meters what its dialect is spoken with, a websocket's GET included."""
    assert STATED.detect("/my/chat", "GET") is None
    assert STATED.detect("/live", "GET") is not None
    assert STATED.detect("/live", "POST") is None


def test_equal_statements_are_equal() -> None:
    """Runtimes of equal options are one, whatever the order they were stated in."""
    assert (
        Overrides({"/a": None, "/b": "openai.chat"}).key
        == Overrides({"/b": "openai.chat", "/a": None}).key
    )
